package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

// formatted are the names of files that fmt finds in a folder.
var formatted = []string{"*.hcl", "*.dspexvars"}

// formatter formats files.
type formatter struct {
	cli   *cli
	check bool
	diff  bool
	// changed and broken count files.
	changed, broken int
}

func newFmt(c *cli) *cobra.Command {
	f := &formatter{cli: c}
	cmd := &cobra.Command{
		Use:   "fmt [PATH | -]...",
		Short: "Format configuration files",
		Long: `Rewrite configuration files, or those of folders, in canonical form, and print the
names of those that were not. Without a path it formats the folder it is in; with
- it formats standard input to standard output.

The exit code is 0, with --check 1 if a file would change, and 2 if one has a
syntax error; such a file is left as it is.`,
		Example: `  dspex fmt
  dspex fmt --check --diff pools.hcl
  dspex fmt - < pools.hcl`,
		RunE: func(_ *cobra.Command, args []string) error { return f.run(args) },
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing; exit with 1 if something would change")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "show what changes")
	return cmd
}

func (f *formatter) run(paths []string) error {
	if slices.Contains(paths, "-") {
		if len(paths) > 1 {
			return usagef("- cannot be combined with other paths")
		}
		if err := f.stdin(); err != nil {
			return err
		}
	} else {
		if len(paths) == 0 {
			paths = []string{"."}
		}
		for _, path := range paths {
			if err := f.path(path); err != nil {
				return err
			}
		}
	}
	switch {
	case f.broken > 0:
		return exit(shared.ExitUsage)
	case f.check && f.changed > 0:
		return exit(shared.ExitFailed)
	}
	return nil
}

// stdin formats standard input.
func (f *formatter) stdin() error {
	src, err := io.ReadAll(f.cli.stdin)
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	out, ok := f.format("<stdin>", src)
	if !ok {
		return nil
	}
	if !bytes.Equal(src, out) {
		f.changed++
	}
	if f.diff {
		out = diff.Diff("<stdin>", src, "<stdin>", out)
	} else if f.check {
		return nil
	}
	if _, err := f.cli.stdout.Write(out); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// path formats a file, or the files of a folder.
func (f *formatter) path(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(err)
	}
	if !info.IsDir() {
		return f.file(path, info.Mode().Perm())
	}
	for _, pattern := range formatted {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return fmt.Errorf("list folder %s: %w", path, err)
		}
		for _, name := range found {
			info, err := os.Stat(name)
			if err != nil {
				return unreadable(err)
			}
			if info.IsDir() {
				continue
			}
			if err := f.file(name, info.Mode().Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *formatter) file(path string, mode fs.FileMode) error {
	src, err := os.ReadFile(path)
	if err != nil {
		return unreadable(err)
	}
	out, ok := f.format(path, src)
	if !ok || bytes.Equal(src, out) {
		return nil
	}
	f.changed++
	if f.diff {
		_, err = f.cli.stdout.Write(diff.Diff(path, src, path, out))
	} else {
		_, err = fmt.Fprintln(f.cli.stdout, path)
	}
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	if f.check {
		return nil
	}
	return replaceFile(path, out, mode)
}

// format returns a source in canonical form, or prints what is wrong with it.
func (f *formatter) format(name string, src []byte) ([]byte, bool) {
	out, diags := config.Format(src, name)
	if !diags.HasErrors() {
		return out, true
	}
	f.broken++
	parsed := map[string]*hcl.File{name: {Bytes: src}}
	if err := f.cli.writeDiagnostics(f.cli.stderr, diags, parsed); err != nil {
		fmt.Fprintln(f.cli.stderr, err)
	}
	return nil, false
}

// replaceFile writes a file so that at no moment a part of it is there. A link
// stays a link.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("find %s: %w", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // gone after the rename
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Chmod(mode)
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), target)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func unreadable(err error) error {
	return shared.Errorf(shared.ConfigInvalid, "%w", err)
}
