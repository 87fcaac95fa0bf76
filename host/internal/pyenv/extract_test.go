package pyenv

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// extraction is a package's folder that was just written.
func extraction(t *testing.T) (*bench, *Options, *interpreter, string) {
	t.Helper()
	b := newBench(t)
	o := b.options("")
	o.files = fstest.MapFS{
		"dspex/__init__.py":      {Data: []byte("version = 1\n")},
		"dspex/_boot.py":         {Data: []byte("print('boot')\n")},
		"dspex/_sub/__init__.py": {Data: []byte("")},
		"dspex/py.typed":         {},
	}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	base, err := find(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	place, err := extract(t.Context(), &o, base)
	if err != nil {
		t.Fatal(err)
	}
	return b, &o, base, place
}

// The folder is read-only, and has bytecode that Python takes without a look at
// the source.
func TestExtract(t *testing.T) {
	t.Parallel()
	b, _, base, place := extraction(t)
	err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o222 != 0 {
			t.Errorf("%s has mode %v, want read-only", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	bytecode := filepath.Join(place, "dspex", "__pycache__", "__init__."+base.Tag+".pyc")
	raw, err := os.ReadFile(bytecode)
	if err != nil {
		t.Fatal(err)
	}
	if flags := raw[4:8]; !bytes.Equal(flags, []byte{1, 0, 0, 0}) {
		t.Errorf("bytecode has flags %v, want 1: a hash that is not checked", flags)
	}
	env := &Environment{Args: []string{base.Path, "-I", "-S", filepath.Join(place, bootFile)}, PythonPath: []string{place}}
	got := b.python(env, "import dspex; print(dspex.__cached__, dspex.__file__)")
	if want := bytecode + " " + filepath.Join(place, "dspex", "__init__.py"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExtractRepairs(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(place string, cache string) error{
		"changed file": func(place, _ string) error {
			return os.WriteFile(filepath.Join(place, "dspex", "__init__.py"), []byte("version = 2\n"), 0o444)
		},
		"missing file": func(place, _ string) error { return os.Remove(filepath.Join(place, "dspex", "_boot.py")) },
		"added file":   func(place, _ string) error { return os.WriteFile(filepath.Join(place, "dspex", "grpc.py"), nil, 0o444) },
		"changed bytecode": func(_, cache string) error {
			raw, err := os.ReadFile(cache)
			if err != nil {
				return err
			}
			raw[len(raw)-1] ^= 1
			return os.WriteFile(cache, raw, 0o444)
		},
		"added bytecode": func(_, cache string) error {
			return os.WriteFile(strings.Replace(cache, "__init__", "errors", 1), nil, 0o444)
		},
		"missing list":    func(place, _ string) error { return os.Remove(filepath.Join(place, bytecodeName)) },
		"truncated list":  func(place, _ string) error { return os.Truncate(filepath.Join(place, bytecodeName), 5) },
		"missing folder":  func(place, _ string) error { return removeAll(filepath.Join(place, "dspex", "_sub")) },
		"an empty folder": func(place, _ string) error { return removeAll(filepath.Join(place, "dspex")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, o, base, place := extraction(t)
			unprotect(t, place)
			if err := damage(place, filepath.Join(place, "dspex", "__pycache__", "__init__."+base.Tag+".pyc")); err != nil {
				t.Fatal(err)
			}
			tree, err := readTree(o.files)
			if err != nil {
				t.Fatal(err)
			}
			if tree.unchanged(place) {
				t.Fatal("the damage is not seen")
			}
			again, err := extract(t.Context(), o, base)
			if err != nil {
				t.Fatal(err)
			}
			if again != place || !tree.unchanged(place) {
				t.Errorf("%s is still damaged", place)
			}
			if log := b.logged(); !strings.Contains(log, "was changed") {
				t.Errorf("the log does not tell:\n%s", log)
			}
			if left, _ := filepath.Glob(place + ".tmp*"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// While a damaged folder is replaced, who uses it finds all files at any time.
func TestExtractReplacesAtOnce(t *testing.T) {
	t.Parallel()
	_, o, base, place := extraction(t)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := os.ReadFile(filepath.Join(place, "dspex", "_boot.py")); err != nil {
				t.Errorf("read while the folder is replaced: %v", err)
				return
			}
		}
	})
	for range 10 {
		unprotect(t, place)
		if err := os.WriteFile(filepath.Join(place, "dspex", "added.py"), nil, 0o444); err != nil {
			t.Fatal(err)
		}
		if _, err := extract(t.Context(), o, base); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

func TestDirInTheWay(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	o := b.options("")
	o.Dir = filepath.Join(b.script("file", ""), "python")
	_, err := Ensure(t.Context(), o)
	wantError(t, err, "make folder for Python environments", "DSPEX_PYTHON_DIR")
}

// unprotect makes what is in a folder writable again.
func unprotect(t *testing.T, place string) {
	t.Helper()
	err := filepath.WalkDir(place, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chmod(path, 0o755)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
