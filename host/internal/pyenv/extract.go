package pyenv

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
)

// bytecodeName is the file that lists the bytecode of a package's folder.
const bytecodeName = "bytecode.json"

//go:embed compile.py
var compileScript string

// tree is the files of the package.
type tree struct {
	content map[string][]byte
	names   []string // in order
}

// extract writes the embedded package to a folder named by its digest and the
// kind of bytecode, unless it is there unchanged, and returns the folder. Nobody
// writes to it afterwards.
func extract(ctx context.Context, o *Options, base *interpreter) (string, error) {
	pkg, err := readTree(o.files)
	if err != nil {
		return "", failed("read embedded package: %w", err)
	}
	place := filepath.Join(o.Dir, "pkg", pkg.key(base.Tag))
	if pkg.unchanged(place) {
		return place, nil
	}
	held, err := o.lock(ctx, place, "Python package")
	if err != nil {
		return "", err
	}
	defer held.release()
	if pkg.unchanged(place) {
		return place, nil // written by another process meanwhile
	}
	if _, err := os.Lstat(place); err == nil {
		o.Log.Warn("Python package was changed: writing it anew", "path", place)
	}
	made := place + ".tmp"
	err = removeAll(made)
	if err == nil {
		err = pkg.write(made)
	}
	if err == nil {
		err = o.compile(ctx, base, made, place)
	}
	if err == nil {
		err = protect(made)
	}
	if err == nil {
		err = publish(made, place)
	}
	if err != nil {
		_ = removeAll(made)
		return "", fileFailed("write Python package", err)
	}
	return place, nil
}

func readTree(files fs.FS) (*tree, error) {
	t := &tree{content: make(map[string][]byte)}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t.content[name], err = fs.ReadFile(files, name)
		t.names = append(t.names, name)
		return err
	})
	sort.Strings(t.names)
	return t, err
}

func (t *tree) key(tag string) string {
	parts := []string{tag}
	for _, name := range t.names {
		parts = append(parts, name, string(t.content[name]))
	}
	return keyOf(parts...)
}

// unchanged reports whether a folder has exactly the files, and the bytecode that
// was made for them.
func (t *tree) unchanged(place string) bool {
	raw, err := os.ReadFile(filepath.Join(place, bytecodeName))
	if err != nil {
		return false
	}
	var bytecode map[string]string
	if json.Unmarshal(raw, &bytecode) != nil {
		return false
	}
	found := 0
	err = walkFiles(place, func(name string) error {
		if name == bytecodeName {
			return nil
		}
		got, err := os.ReadFile(filepath.Join(place, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		found++
		if want, ok := t.content[name]; ok && bytes.Equal(got, want) {
			return nil
		}
		if want, ok := bytecode[name]; ok && want == digestOf(got) {
			return nil
		}
		return fs.ErrInvalid
	})
	return err == nil && found == len(t.names)+len(bytecode)
}

func (t *tree) write(made string) error {
	for _, name := range t.names {
		file := filepath.Join(made, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, t.content[name], 0o444); err != nil {
			return err
		}
	}
	return nil
}

// compile adds bytecode to the files in made, which will be at place, and the list
// of it. Without bytecode workers start some 20 ms slower: that it cannot be made
// is no failure.
func (o *Options) compile(ctx context.Context, base *interpreter, made, place string) error {
	_, failure := o.command(o.probeEnv(), base.Path, "-I", "-S", "-X", "utf8", "-c", compileScript, made, place).run(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failure != nil {
		o.Log.Warn("Python package has no bytecode", "error", failure)
	}
	bytecode := make(map[string]string)
	err := walkFiles(made, func(name string) error {
		if path.Base(path.Dir(name)) != "__pycache__" {
			return nil
		}
		file := filepath.Join(made, filepath.FromSlash(name))
		if failure != nil {
			return os.Remove(file)
		}
		raw, err := os.ReadFile(file)
		bytecode[name] = digestOf(raw)
		return err
	})
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(bytecode, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(made, bytecodeName), raw, 0o444)
}

// protect makes what is in a folder read-only, and writes it to the disk.
func protect(made string) error {
	return filepath.WalkDir(made, func(file string, d fs.DirEntry, err error) error {
		mode := fs.FileMode(0o444)
		if err == nil && d.IsDir() {
			mode = 0o555
		}
		if err == nil {
			err = os.Chmod(file, mode)
		}
		return errors.Join(err, syncFile(file))
	})
}

// walkFiles calls each with the name of every file below a folder.
func walkFiles(folder string, each func(name string) error) error {
	return filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		return each(filepath.ToSlash(name))
	})
}

func digestOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
