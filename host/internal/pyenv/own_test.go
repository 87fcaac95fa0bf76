package pyenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// venv is a user's own environment, into which packages are put by hand.
type venv struct {
	*bench
	python string
	site   string
}

func newVenv(t *testing.T, args ...string) *venv {
	t.Helper()
	b := newBench(t)
	dir := filepath.Join(b.dir, "venv")
	if out, err := exec.Command(needPython(t), append([]string{"-m", "venv", "--without-pip", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("venv: %v\n%s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "lib", "python3*", "site-packages"))
	if err != nil || len(found) != 1 {
		t.Fatalf("site-packages: %v, %v", found, err)
	}
	return &venv{bench: b, python: filepath.Join(dir, "bin", "python"), site: found[0]}
}

// put installs a package in a version, replacing another.
func (v *venv) put(pkg, version, module, code string) {
	v.t.Helper()
	old, _ := filepath.Glob(filepath.Join(v.site, pkg+"-*.dist-info"))
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			v.t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(v.site, pkg+"-"+version+".dist-info"), 0o755); err != nil {
		v.t.Fatal(err)
	}
	v.write(module+".py", code)
}

func (v *venv) write(name, text string) {
	v.t.Helper()
	path := filepath.Join(v.site, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		v.t.Fatal(err)
	}
}

// One user's environment, through its life.
func TestOwn(t *testing.T) {
	t.Parallel()
	v := newVenv(t)
	o := v.options("")
	o.Interpreter, o.Modules = v.python, []string{"grpc", "google.protobuf"}
	refused := func(message, hint string) {
		t.Helper()
		_, err := Ensure(t.Context(), o)
		wantError(t, err, message, hint)
	}
	refused("does not have the package grpcio", "-m pip install 'grpcio>=1.76,!=1.78.1'")
	v.put("grpcio", "1.60.0", "grpc", "")
	refused("has grpcio 1.60.0, and dspex needs grpcio>=1.76", "-m pip install")
	v.put("grpcio", "1.78.1", "grpc", "")
	refused("has grpcio 1.78.1", "!=1.78.1")
	v.put("grpcio", "1.85.1", "grpc", "raise RuntimeError('no such symbol')")
	refused("does not have the package protobuf", "protobuf>=6.31.1,<8")
	v.put("protobuf", "8.0.0", "google/protobuf", "")
	refused("has protobuf 8.0.0", "<8")
	v.put("protobuf", "6.31.1", "google/protobuf", "")
	refused("import grpc with "+v.python+": RuntimeError: no such symbol", "by hand")
	v.put("grpcio", "1.85.2", "grpc", "print('to stdout')\n")

	env := v.ensure(o)
	if env.Managed || env.Interpreter != v.python || env.Versions["grpcio"] != "1.85.2" || env.Versions["protobuf"] != "6.31.1" {
		t.Errorf("got %+v", env)
	}
	if !slices.Equal(env.PythonPath, []string{env.PackageDir, v.site}) {
		t.Errorf("PythonPath = %q, want the package and %s", env.PythonPath, v.site)
	}
	v.logged()
	if again := v.ensure(o); again.Key != env.Key {
		t.Errorf("key %s, then %s", env.Key, again.Key)
	}
	if log := v.logged(); strings.Contains(log, "running") {
		t.Errorf("second Ensure ran programs:\n%s", log)
	}
	v.put("grpcio", "1.86.0", "grpc", "")
	changed := v.ensure(o)
	if changed.Key == env.Key || changed.Versions["grpcio"] != "1.86.0" || !strings.Contains(v.logged(), "running") {
		t.Errorf("an upgrade was not noticed: %+v", changed)
	}
}

// .pth files run only where they are let.
func TestOwnPTH(t *testing.T) {
	t.Parallel()
	v := newVenv(t)
	marker := filepath.Join(v.dir, "ran")
	v.write("evil.pth", "import os; open("+"'"+marker+"'"+", 'w').close()\n")
	o := v.options("")
	o.Interpreter, o.Modules = v.python, []string{"json"}
	v.bench.python(v.ensure(o), "")
	if _, err := os.Stat(marker); err == nil {
		t.Error("the .pth file ran")
	}
	o.PTH = true
	v.bench.python(v.ensure(o), "")
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("the .pth file did not run: %v", err)
	}
}

// A virtual environment with the system's packages has both, its own first.
func TestOwnSystemSite(t *testing.T) {
	t.Parallel()
	v := newVenv(t, "--system-site-packages")
	o := v.options("")
	o.Interpreter = v.python
	env := v.ensure(o)
	out, err := exec.Command(v.python, "-c", "import site, os; print('\\n'.join(d for d in site.getsitepackages() if os.path.isdir(d)))").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(out))
	if got := env.PythonPath[1:]; !slices.Equal(got, want) || got[0] != v.site || len(got) < 2 {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOwnRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	python := needPython(t)
	plain := filepath.Join(b.dir, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ interpreter, version, message, hint string }{
		"not there":       {"/nowhere/python", "", "no such file", "python.interpreter"},
		"not on PATH":     {"python-nowhere", "", "no such program on PATH", "python.interpreter"},
		"not executable":  {plain, "", "permission denied", "python.interpreter"},
		"folder":          {b.dir, "", "invalid argument", "python.interpreter"},
		"no Python":       {b.script("hello", "echo hello"), "", `it is no Python: it printed "hello`, "python.interpreter"},
		"fails":           {b.script("fails", "echo broken library >&2; exit 3"), "", "exit status 3: broken library", "python.interpreter"},
		"wrong version":   {python, "<3.5", "and python.version wants <3.5", "change python.version"},
		"ancient version": {b.script("ancient", `[ "$1" = --version ] && { echo Python 2.7.18 >&2; exit; }; exit 2`), ">=3.10", "it is Python 2.7.18, and python.version wants >=3.10", "another interpreter"},
		"another kind": {
			b.script("pypy", `echo '{"version": "3.11.1", "implementation": "PyPy"}'`), "", "it is PyPy", "python.interpreter",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := b.options("")
			o.Interpreter, o.Version = tt.interpreter, tt.version
			_, err := Ensure(t.Context(), o)
			wantError(t, err, tt.message, tt.hint)
		})
	}
}
