package pyenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bin := filepath.Join(b.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	b.script("bin/python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
	b.script("bin/python", `[ "$1" = --version ] && { echo Python 2.7.18 >&2; exit; }; echo unknown option -I >&2; exit 2`)
	tests := map[string]struct {
		change        func(*Options)
		message, hint string
	}{
		"none":     {func(o *Options) { o.Env = []string{"PATH=" + b.wheels} }, "there is none on PATH", "apt install python3"},
		"no PATH":  {func(o *Options) { o.Env = []string{} }, "there is none on PATH", "apt install python3"},
		"too old":  {func(o *Options) { o.Env = []string{"PATH=" + bin} }, "bin/python is 2.7.18", "python.interpreter"},
		"broken":   {func(o *Options) { o.Env = []string{"PATH=" + bin} }, "bin/python3.13 fails: exit status 127: pyenv: python3.13: command not found", ""},
		"none fit": {func(o *Options) { o.Version = ">=4" }, `none on PATH fits ">=4"`, "change python.version"},
		"nonsense": {func(o *Options) { o.Version = "~3" }, `"~" is no comparison`, ">=3.10,<3.15"},
		"letters":  {func(o *Options) { o.Version = ">=x" }, `"x" is no version`, ">=3.10,<3.15"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := b.options("")
			tt.change(&o)
			_, err := Ensure(t.Context(), o)
			wantError(t, err, tt.message, tt.hint)
		})
	}
}

// A Python that does not run, or is too old, is passed over, and what is found is
// found again without a question until something changes.
func TestFindPassesOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := os.Mkdir(filepath.Join(b.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.script("bin/python3.14", "exit 1")
	o := b.options("")
	o.Env = append(b.env, "PATH="+filepath.Join(b.dir, "bin")+":"+os.Getenv("PATH"))
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	for n, want := range []bool{true, false} {
		i, err := find(t.Context(), &o)
		if err != nil {
			t.Fatal(err)
		}
		if i.Version == "" || i.Implementation != "CPython" {
			t.Errorf("found %+v", i)
		}
		if got := strings.Contains(b.logged(), "running"); got != want {
			t.Errorf("call %d ran programs: %v, want %v", n, got, want)
		}
	}
	b.script("bin/python3.14", "exit 1 # changed")
	if _, err := find(t.Context(), &o); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.logged(), "running") {
		t.Error("a change on PATH was not noticed")
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version, constraint string
		want                bool
	}{
		{"3.11.7", "", true},
		{"3.11.7", ">=3.10,<3.15", true},
		{"3.9.18", ">=3.10,<3.15", false},
		{"3.15.0rc1", ">=3.10,<3.15", false},
		{"3.10.0", ">=3.10", true},
		{"3.10.0", "<=3.10", true},
		{"3.10.1", "<=3.10", false},
		{"3.10.0", ">3.10", false},
		{"3.11.7", "==3.11", true},
		{"3.11.7", "==3.11.*", true},
		{"3.11.7", "3.11", true},
		{"3.1.7", "3.11", false},
		{"3.11.7", "!=3.11.7", false},
		{"3.11.8", " >= 3.11 , != 3.11.7 ", true},
	}
	for _, tt := range tests {
		got, err := fits(tt.version, tt.constraint)
		if err != nil || got != tt.want {
			t.Errorf("fits(%q, %q) = %v, %v, want %v", tt.version, tt.constraint, got, err, tt.want)
		}
	}
}

// fits does not fail otherwise than with an error, whatever a configuration says,
// and agrees with itself.
func FuzzFits(f *testing.F) {
	f.Add("3.11.7", ">=3.10,<3.15")
	f.Add("3", "~=,==*")
	f.Fuzz(func(t *testing.T, version, constraint string) {
		_, _ = fits(version, constraint)
		var major, minor uint16
		if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n == 2 {
			at := fmt.Sprintf("%d.%d", major, minor)
			if ok, err := fits(at+".9", ">="+at+",<"+fmt.Sprint(int(major)+1)); err != nil || !ok {
				t.Errorf("%s.9 does not fit: %v", at, err)
			}
		}
	})
}
