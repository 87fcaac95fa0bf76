package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp holds the help of every command to its golden file.
func TestHelp(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		name := strings.Join(append([]string{"dspex"}, path...), "-") + ".golden"
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			got, stderr, code := dspex(t, nil, "", append(append([]string{}, path...), "--help")...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit %d, %q", code, stderr)
			}
			golden(t, filepath.Join("testdata", "help", name), got)
		})
		for _, sub := range cmd.Commands() {
			walk(sub, append(append([]string{}, path...), sub.Name()))
		}
	}
	root := newRoot(newCLI(nil, nil, nil, nil))
	root.InitDefaultCompletionCmd()
	walk(root, nil)
	files, err := os.ReadDir(filepath.Join("testdata", "help"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f.Name()] {
			t.Errorf("testdata/help/%s is of a command that is not there", f.Name())
		}
	}
}

// TestHelpIsComplete: each command of ours says what it does, at length, and shows
// how.
func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s: no short or no long description", cmd.CommandPath())
		}
		if cmd.Runnable() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: its examples do not show it:\n%s", cmd.CommandPath(), cmd.Example)
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if len([]rune(line)) > 88 {
				t.Errorf("%s: a line of %d characters: %s", cmd.CommandPath(), len([]rune(line)), line)
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(newCLI(nil, nil, nil, nil)))
}
