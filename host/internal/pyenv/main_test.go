package pyenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"
)

const (
	// childMode names, in the environment of this test binary, what it does in
	// place of the tests; childDir the folder in which.
	childMode = "DSPEX_TEST_CHILD"
	childDir  = "DSPEX_TEST_DIR"
	// pythonVersions are the ones that the tests run with.
	pythonVersions = ">=3.10,<3.15"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(child(mode))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if sharedDir = os.Getenv("DSPEX_PYTHON_DIR"); sharedDir == "" {
		dir, err := os.MkdirTemp("", "dspex-pyenv")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = removeAll(dir) }()
		sharedDir = dir
	}
	return m.Run()
}

// child makes the environment of the parent's test and prints each step. As
// "suicide" it ends itself, as kill -9 does, when packages are being installed.
func child(mode string) int {
	requirements, err := os.ReadFile(filepath.Join(os.Getenv(childDir), "lock"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	env, err := Ensure(context.Background(), Options{
		Dir: filepath.Join(os.Getenv(childDir), "python"), Version: pythonVersions, Requirements: requirements, Hashes: true, Modules: []string{"tiny"},
		Progress: func(s Step) {
			fmt.Printf("step %s %v\n", s.Phase, s.Elapsed > 0)
			if mode == "suicide" && s.Phase == "install packages" {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("made", env.Interpreter)
	return 0
}

// sharedDir outlives the tests if DSPEX_PYTHON_DIR is set.
var sharedDir string

// aUV is a uv that is on PATH, or is installed once.
var aUV = sync.OnceValues(func() (string, error) {
	o := &Options{Dir: sharedDir, Version: pythonVersions}
	if err := o.complete(); err != nil {
		return "", err
	}
	base, err := find(context.Background(), o)
	if err != nil {
		return "", err
	}
	with, err := o.findInstaller(context.Background(), base)
	if err != nil {
		return "", err
	}
	return with.uv, nil
})

// needPython returns a Python, and skips the test where there is none.
func needPython(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil && os.Getenv("DSPEX_REQUIRE_PYTHON") == "" {
		t.Skip("no python3 on PATH")
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// bench is a folder for environments, wheels to install, and what was told.
type bench struct {
	t      *testing.T
	dir    string
	wheels string
	env    []string

	mu    sync.Mutex
	steps []Step // guarded by mu
	log   strings.Builder
}

// newBench has no network: packages come from its wheels.
func newBench(t *testing.T) *bench {
	t.Helper()
	needPython(t)
	uv, err := aUV()
	if err != nil {
		t.Fatal(err)
	}
	dir := scratch(t)
	b := &bench{t: t, dir: dir, wheels: filepath.Join(dir, "wheels")}
	if err := os.Mkdir(b.wheels, 0o755); err != nil {
		t.Fatal(err)
	}
	// Clipped: tests that run at once append to it.
	b.env = slices.Clip(append(os.Environ(), "DSPEX_UV="+uv, "UV_NO_INDEX=1", "UV_FIND_LINKS="+b.wheels))
	return b
}

// scratch is t.TempDir for folders with read-only parts.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dspex-pyenv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// without returns the bench's environment without some variables.
func (b *bench) without(names ...string) []string {
	return slices.Clip(slices.DeleteFunc(slices.Clone(b.env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(names, name)
	}))
}

// options for an environment with the package of a lock.
func (b *bench) options(lock string) Options {
	return Options{
		Dir: filepath.Join(b.dir, "python"), Version: pythonVersions, Requirements: []byte(lock), Hashes: true, Env: b.env,
		Progress: func(s Step) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.steps = append(b.steps, s)
		},
		Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: b}),
	}
}

// Write takes the log.
func (b *bench) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(line)
}

// logged returns the log since the last time.
func (b *bench) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.log.String()
	b.log.Reset()
	return text
}

// count returns how often a step was over.
func (b *bench) count(phase string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, s := range b.steps {
		if s.Phase == phase && s.Elapsed > 0 {
			n++
		}
	}
	return n
}

func (b *bench) ensure(o Options) *Environment {
	b.t.Helper()
	env, err := Ensure(b.t.Context(), o)
	if err != nil {
		b.t.Fatalf("Ensure: %v", err)
	}
	return env
}

// python runs code in the way of a worker, and returns what it prints.
func (b *bench) python(env *Environment, code string) string {
	b.t.Helper()
	args := append(slices.Clone(env.Args[1:len(env.Args)-1]), "-c", "import os, sys; sys.path[:0] = sys.argv[1].split(os.pathsep)\n"+code,
		strings.Join(env.PythonPath, string(os.PathListSeparator)))
	cmd := exec.Command(env.Args[0], args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("python: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
