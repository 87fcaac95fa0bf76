package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestPythonFaults: what is wrong with Python is said, with what to do.
func TestPythonFaults(t *testing.T) {
	t.Parallel()
	needPython(t)
	for _, tc := range []struct {
		name, python, want string
	}{
		{"missing interpreter", `interpreter = "/does/not/exist/python3"`, "/does/not/exist/python3"},
		{"wrong version", `version = ">=3.99"`, "3.99"},
		{"missing requirements", `requirements = "none.lock"`, "none.lock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			path := filepath.Join(dir, "pools.hcl")
			if err := os.WriteFile(path, []byte("pool \"qa\" {\n  python {\n    "+tc.python+"\n  }\n}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := start(t, dir, nil, "serve", "-c", path)
			<-s.done
			if code := s.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(s.log.String(), tc.want) {
				t.Errorf("exit %d, output %q; want a failure that names %q", code, s.log, tc.want)
			}
		})
	}
}

func TestPackageThatDoesNotInstall(t *testing.T) {
	t.Parallel()
	needPython(t)
	dir := shortDir(t)
	lock := filepath.Join(dir, "requirements.lock")
	// The hash is of nothing: the package must be refused.
	body := "six==1.16.0 \\\n    --hash=sha256:" + strings.Repeat("0", 64) + "\n"
	if err := os.WriteFile(lock, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pools.hcl")
	if err := os.WriteFile(path, []byte("pool \"qa\" {\n  python {\n    requirements = \"requirements.lock\"\n  }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, nil, "serve", "-c", path)
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code == 0 || !strings.Contains(s.log.String(), "six") {
		t.Errorf("exit %d, output %q; want a failure that names six", code, s.log)
	}
}

func TestModuleThatDoesNotImport(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := serve(t, `pool "qa" {
  module = "acme.nowhere"
  size   = 2
}`)
	s.until("the pool says that it cannot start", func() bool {
		status, body := s.get("/v1/pools/qa")
		return status == http.StatusOK && strings.Contains(body, "degraded")
	})
	e := s.fails(503, "NOT_READY", http.MethodPost, "/v1/pools/qa/call", `{"command":"ping"}`)
	if message, _ := e["message"].(string); !strings.Contains(message, "acme") || !strings.Contains(message, "ModuleNotFoundError") {
		t.Errorf("message = %q, want the module and the exception", message)
	}
	if status, body := s.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "qa") {
		t.Errorf("/readyz: %d %s, want 503 with the pool", status, body)
	}
	if status, _ := s.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d, want 200: the host itself is well", status)
	}
}

func TestBadConfigurationIsADiagnostic(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "bad.hcl")
	if err := os.WriteFile(path, []byte(`pool "qa" {
  queue_timeout = 5000
  sizee         = 3
  autoscale {
    min = 1
  }
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"validate", path}, {"serve", "-c", path}} {
		stdout, stderr, code := runCLI(t, nil, args...)
		if code != 2 {
			t.Errorf("dspex %v: exit %d, want 2", args, code)
		}
		text := stdout + stderr
		for _, want := range []string{"bad.hcl line 2", `"5000ms"`, "sizee", `"size"`, "autoscale"} {
			if !strings.Contains(text, want) {
				t.Errorf("dspex %v does not say %q:\n%s", args, want, text)
			}
		}
	}
}

func TestUnreachableHost(t *testing.T) {
	t.Parallel()
	_, stderr, code := runCLI(t, []string{"DSPEX_ADDR=127.0.0.1:1"}, "pool", "ls")
	if code != 3 || !strings.Contains(stderr, "dspex serve") {
		t.Errorf("exit %d, %q; want 3 with a hint how to start it", code, stderr)
	}
}
