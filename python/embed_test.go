package python

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every source file of the package is embedded, those that begin with an
// underscore too, and nothing else is.
func TestPackageIsComplete(t *testing.T) {
	t.Parallel()
	want := map[string]bool{"dspex/py.typed": true}
	err := filepath.WalkDir("dspex", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".py") {
			want[filepath.ToSlash(path)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dspex/__init__.py", "dspex/__main__.py", "dspex/_boot.py", "dspex/_proto/__init__.py", "dspex/_proto/worker_pb2.py"} {
		if !want[name] {
			t.Errorf("the package has no %s", name)
		}
	}
	err = fs.WalkDir(Package(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !want[path] {
			t.Errorf("%s is embedded, and is no part of the package", path)
		}
		delete(want, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range want {
		t.Errorf("%s is not embedded: add a pattern for its folder", path)
	}
}

// The locks pin each package with hashes, name no host, and fit the files that
// they were made from.
func TestLocks(t *testing.T) {
	t.Parallel()
	embedded, err := os.ReadFile("requirements.lock")
	if err != nil || !bytes.Equal(embedded, Lock()) {
		t.Errorf("Lock is not requirements.lock: %v", err)
	}
	locks, err := filepath.Glob("requirements*.lock")
	if err != nil || len(locks) == 0 {
		t.Fatalf("no locks: %v", err)
	}
	pinned := regexp.MustCompile(`^([a-z0-9][a-z0-9-]*)==(\S+)`)
	versions := make(map[string]map[string]string)
	for _, path := range locks {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		versions[path] = make(map[string]string)
		for _, entry := range strings.Split(strings.ReplaceAll(string(raw), "\\\n", " "), "\n") {
			switch m := pinned.FindStringSubmatch(entry); {
			case strings.TrimSpace(entry) == "":
			case m == nil:
				t.Errorf("%s: %q pins nothing", path, entry)
			case !strings.Contains(entry, "--hash=sha256:"):
				t.Errorf("%s: %s has no hash", path, m[0])
			default:
				versions[path][m[1]] += m[2] + " "
			}
		}
		if strings.Contains(string(raw), "://") {
			t.Errorf("%s names a host", path)
		}
		source, err := os.ReadFile(strings.TrimSuffix(path, ".lock") + ".in")
		if err != nil {
			t.Error(err)
		}
		for _, line := range strings.Split(string(source), "\n") {
			name := regexp.MustCompile(`^[a-z][a-z0-9-]*`).FindString(line)
			if _, locked := versions[path][name]; name != "" && !locked {
				t.Errorf("%s does not lock %s", path, name)
			}
		}
	}
	run := versions["requirements.lock"]
	if run["grpcio"] == "" || run["grpcio"] == "1.78.1 " || run["dspy"] != "3.4.1 " {
		t.Errorf("requirements.lock has grpcio %q and dspy %q", run["grpcio"], run["dspy"])
	}
	for name, version := range versions["requirements-dev.lock"] {
		if with, both := run[name]; both && with != version {
			t.Errorf("%s: requirements-dev.lock has %s, requirements.lock %s; they are installed together", name, version, with)
		}
	}
}
