package pyenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The lock that comes with dspex makes an environment in which DSPy and the
// worker can be imported, and the second start runs no program.
func TestShippedLock(t *testing.T) {
	t.Parallel()
	needPython(t)
	b := &bench{t: t, dir: sharedDir}
	o := b.options("")
	o.Dir, o.Requirements, o.Hashes, o.Env = sharedDir, nil, false, nil
	o.Modules = []string{"grpc", "google.protobuf", "dspy"}
	first := b.ensure(o)
	if !first.Managed || first.Versions["dspy"] != "3.4.1" || first.Versions["grpcio"] == "" || first.Versions["python"] != first.PythonVersion {
		t.Errorf("got managed=%v versions=%v", first.Managed, first.Versions)
	}
	if got := b.python(first, "import dspex, dspy, sys; print(dspex.__file__)"); !strings.HasPrefix(got, first.PackageDir) {
		t.Errorf("dspex is imported from %s, want from %s", got, first.PackageDir)
	}
	if _, err := os.Stat(first.Boot); err != nil {
		t.Error(err)
	}
	b.logged()
	second := b.ensure(o)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("second Ensure differs (-first +second):\n%s", diff)
	}
	if log := b.logged(); strings.Contains(log, "running") {
		t.Errorf("second Ensure ran programs:\n%s", log)
	}
}

func TestManaged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lock := b.wheel("tiny", "1.2", "value = 42")
	o := b.options(lock)
	o.Modules, o.Path = []string{"tiny"}, []string{"/pool"}
	env := b.ensure(o)
	want := &Environment{
		Interpreter: filepath.Join(o.Dir, "env", env.Key, "bin", "python"), PackageDir: env.PackageDir,
		Boot: filepath.Join(env.PackageDir, "dspex", "_boot.py"), Key: env.Key, PythonVersion: env.PythonVersion, Managed: true,
		Versions: map[string]string{"tiny": "1.2", "python": env.PythonVersion},
		PythonPath: []string{
			env.PackageDir, "/pool",
			filepath.Join(o.Dir, "env", env.Key, "lib", "python"+minor(env.PythonVersion), "site-packages"),
		},
	}
	want.Args = []string{want.Interpreter, "-I", "-S", "-X", "utf8", want.Boot}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("Ensure (-want +got):\n%s", diff)
	}
	if got := b.python(env, "import tiny; print(tiny.value)"); got != "42" {
		t.Errorf("tiny.value = %s, want 42", got)
	}
	for _, phase := range []string{"make environment", "install packages", "check imports"} {
		if got := b.count(phase); got != 1 {
			t.Errorf("step %q was over %d times, want 1", phase, got)
		}
	}
	for _, s := range b.steps {
		if s.Phase == "install packages" && s.Detail != "1 package" {
			t.Errorf("install packages: detail %q, want 1 package", s.Detail)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "env", "*.t*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	t.Run("moved", func(t *testing.T) {
		b.logged()
		from, to := o.Dir, o.Dir+"-moved"
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := os.Rename(to, from); err != nil {
				t.Fatal(err)
			}
		}()
		moved := o
		moved.Dir = to
		env := b.ensure(moved)
		if log := b.logged(); strings.Contains(log, "running") {
			t.Errorf("ran programs:\n%s", log)
		}
		if got := b.python(env, "import tiny; print(tiny.__file__)"); !strings.HasPrefix(got, to) {
			t.Errorf("tiny is imported from %s, want from %s", got, to)
		}
	})
	t.Run("another module", func(t *testing.T) {
		more := o
		more.Modules = []string{"tiny", "json"}
		b.ensure(more)
		if got := b.count("check imports"); got != 2 {
			t.Errorf("imports were checked %d times, want 2", got)
		}
		b.logged()
		b.ensure(more)
		if log := b.logged(); strings.Contains(log, "running") {
			t.Errorf("the check is not remembered; ran programs:\n%s", log)
		}
	})
	t.Run("changed", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(env.PythonPath[2], "planted.pth"), []byte("import os\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		b.ensure(o)
		if got := b.count("install packages"); got != 2 {
			t.Errorf("packages were installed %d times, want again", got)
		}
		if _, err := os.Stat(filepath.Join(env.PythonPath[2], "planted.pth")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("planted.pth is still there: %v", err)
		}
	})
	t.Run("pth", func(t *testing.T) {
		with := o
		with.PTH = true
		env := b.ensure(with)
		if diff := cmp.Diff([]string{env.Interpreter, "-I", "-X", "utf8", env.Boot}, env.Args); diff != "" {
			t.Errorf("Args (-want +got):\n%s", diff)
		}
		if got := b.python(env, "import tiny, site; print(tiny.value, 'site' in sys.modules)"); got != "42 True" {
			t.Errorf("got %s", got)
		}
	})
}

func TestManagedRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := b.wheel("tiny", "1.2", "value = 42")
	b.wheel("broken", "1.0", "import nothing_of_the_kind")
	name, _, _ := strings.Cut(good, " ")
	tests := map[string]struct {
		lock          string
		change        func(*Options)
		message, hint string
	}{
		"wrong hash": {
			lock:    name + " --hash=sha256:" + strings.Repeat("0", 64),
			message: "tiny==1.2 does not match its hash", hint: "was not installed",
		},
		"no hash":           {lock: name, message: "tiny==1.2 has no hash", hint: "python.hashes = false"},
		"not there":         {lock: strings.Replace(good, "1.2", "9.9", 1), message: "tiny==9.9 is not in the package index", hint: "UV_DEFAULT_INDEX"},
		"no lock":           {lock: "<html>", message: "the lock cannot be read", hint: "requirements.txt"},
		"module is missing": {lock: good, change: func(o *Options) { o.Modules = []string{"tiny", "nope"} }, message: "import nope", hint: "by hand"},
		"package is missing": {
			lock: good, change: func(o *Options) { o.Modules = []string{"grpc"} },
			message: "the requirements must have grpcio>=1.76,!=1.78.1: the lock does not have it", hint: "make the lock anew",
		},
		"offline": {
			lock: good,
			change: func(o *Options) {
				o.Offline = true
				o.Env = append(b.without("UV_NO_INDEX", "UV_FIND_LINKS"), "UV_CACHE_DIR="+filepath.Join(b.dir, "empty"))
			},
			message: "tiny is not in the cache, and downloads are off", hint: "UV_FIND_LINKS",
		},
		"no network": {
			lock: good,
			change: func(o *Options) {
				o.Env = append(b.without("UV_NO_INDEX", "UV_FIND_LINKS"), "UV_CACHE_DIR="+filepath.Join(b.dir, "empty"),
					"UV_DEFAULT_INDEX=http://name:secret@127.0.0.1:9/simple", "UV_HTTP_RETRIES=0")
			},
			message: "the package index cannot be reached", hint: "HTTPS_PROXY",
		},
		"no uv there": {
			lock: good, change: func(o *Options) { o.Env = append(b.env, "DSPEX_UV=/nowhere/uv") },
			message: "use uv of DSPEX_UV=/nowhere/uv", hint: "unset it",
		},
		"unsuitable uv": {
			lock: good, change: func(o *Options) { o.Env = append(b.env, "DSPEX_UV="+b.script("old-uv", "echo uv 0.4.1")) },
			message: "it is uv 0.4.1, and dspex needs 0.5", hint: "unset it",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := b.options(tt.lock)
			o.Modules = []string{"tiny"}
			if tt.change != nil {
				tt.change(&o)
			}
			_, err := Ensure(t.Context(), o)
			wantError(t, err, tt.message, tt.hint)
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		if left, _ := filepath.Glob(filepath.Join(b.dir, "python", "env", "*")); len(left) > 0 {
			for _, path := range left {
				if !strings.HasSuffix(path, ".lock") {
					t.Errorf("left behind: %s", path)
				}
			}
		}
	})
}

// Hashes off installs what has none.
func TestManagedWithoutHashes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	name, _, _ := strings.Cut(b.wheel("tiny", "1.2", ""), " ")
	o := b.options(name)
	o.Hashes = false
	if got := b.ensure(o).Versions["tiny"]; got != "1.2" {
		t.Errorf("tiny %q, want 1.2", got)
	}
}

func TestManagedOnceForAll(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	o := b.options(b.wheel("tiny", "1.2", ""))
	o.Modules = []string{"tiny"}
	if err := os.WriteFile(filepath.Join(b.dir, "lock"), o.Requirements, 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var said [2]bytes.Buffer
	for n := range said {
		cmd := b.child("make")
		cmd.Stdout, cmd.Stderr = &said[n], &said[n]
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Errorf("process: %v\n%s", err, &said[n])
			}
		})
	}
	keys := make([]string, 3)
	for n := range keys {
		wg.Go(func() {
			env, err := Ensure(t.Context(), o)
			if err != nil {
				t.Errorf("Ensure: %v", err)
				return
			}
			keys[n] = env.Key
		})
	}
	wg.Wait()
	made := b.count("install packages")
	for n := range said {
		made += strings.Count(said[n].String(), "step install packages true")
		if !strings.Contains(said[n].String(), "made ") {
			t.Errorf("process made nothing:\n%s", &said[n])
		}
	}
	if made != 1 || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Errorf("packages were installed %d times, want once; keys %q", made, keys)
	}
}

func TestManagedAfterCancel(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"make environment", "install packages", "check imports"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			o := b.options(b.wheel("tiny", "1.2", "value = 42"))
			o.Modules = []string{"tiny"}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			canceled := o
			canceled.Progress = func(s Step) {
				if s.Phase == phase {
					cancel()
				}
			}
			_, err := Ensure(ctx, canceled)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("Ensure = %v, want canceled", err)
			}
			wantError(t, err, "make Python environment", "")
			env := b.ensure(o)
			if got := b.python(env, "import tiny; print(tiny.value)"); got != "42" {
				t.Errorf("tiny.value = %s, want 42", got)
			}
		})
	}
}

// A process that is killed half-way leaves nothing that is used, nor a lock.
func TestManagedAfterKill(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	o := b.options(b.wheel("tiny", "1.2", "value = 42"))
	o.Modules = []string{"tiny"}
	if err := os.WriteFile(filepath.Join(b.dir, "lock"), o.Requirements, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := b.child("suicide").CombinedOutput()
	if failure := (*exec.ExitError)(nil); !errors.As(err, &failure) || failure.Exited() {
		t.Fatalf("process: %v, want killed\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "env", "*.tmp")); len(left) != 1 {
		t.Fatalf("the process left %v, want a half-made environment", left)
	}
	env := b.ensure(o)
	if got := b.python(env, "import tiny; print(tiny.value)"); got != "42" {
		t.Errorf("tiny.value = %s, want 42", got)
	}
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "env", "*.tmp*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// child runs this test binary in place of a host.
func (b *bench) child(mode string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(b.env, childMode+"="+mode, childDir+"="+b.dir)
	return cmd
}

// script makes a program of a line of shell.
func (b *bench) script(name, line string) string {
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\n%s\n", line), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return path
}
