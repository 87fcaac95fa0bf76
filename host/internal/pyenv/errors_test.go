package pyenv

import (
	"errors"
	"strings"
	"testing"

	"github.com/dspex/dspex/shared"
)

// wantError checks that an error is one for users, with a message and a hint.
func wantError(t *testing.T, err error, message, hint string) {
	t.Helper()
	var e *shared.Error
	if !errors.As(err, &e) {
		t.Errorf("got error %v, want a *shared.Error", err)
		return
	}
	if e.Reason != shared.PythonEnvironment || !strings.Contains(e.Message, message) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got %s: %s\nhint: %s\nwant a message with %q and a hint with %q", e.Reason, e.Message, e.Hint, message, hint)
	}
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	base := &interpreter{Version: "3.14.1", Platform: "linux-x86_64"}
	tests := map[string]struct{ said, message, hint string }{
		"uv hash":       {"error: Failed to download `six==1.17.0`\n  cause: Hash mismatch for `six==1.17.0`\n\n Expected:", "six==1.17.0 does not match", "index"},
		"pip hash":      {"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you\n    six==1.17.0 from file:///six.whl:\n        Expected sha256 00", "six==1.17.0 does not match", "index"},
		"uv no hash":    {"error: In `--require-hashes` mode, all requirements must have a hash, but none were provided for: six==1.17.0", "six==1.17.0 has no hash", "generate-hashes"},
		"uv no wheel":   {"  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can", "docopt==0.6.2 has no wheel", "Python 3.14 on linux-x86_64"},
		"uv abi":        {"Because grpcio==1.85.1 has no wheels with a matching Python ABI tag (e.g., `cp315`) and", "grpcio==1.85.1 has no wheel", "python.version"},
		"uv network":    {"error: Request failed after 3 retries\n  cause: Failed to fetch: https://index.example/simple/six/\n  cause: tcp connect error", "cannot be reached", "proxy"},
		"pip network":   {"WARNING: Retrying after connection broken by 'NewConnectionError(...)'\nERROR: No matching distribution found for six==1.17.0", "cannot be reached", "proxy"},
		"pip not there": {"ERROR: No matching distribution found for six==99", "six==99 is not in the package index", "name and version"},
		"disk full":     {"error: Failed to install: six.whl\n  cause: failed to copy file: No space left on device (os error 28)", "the disk is full", "another disk"},
		"read-only":     {"error: failed to create directory `/x`: Read-only file system (os error 30)", "may not write", "can write"},
		"anything else": {"error: the index melted", "install packages: exit status 2: error: the index melted", "last lines"},
		"a password":    {"error: Failed to fetch: https://me:hunter2@index.example/simple", "https://index.example", "proxy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := diagnose("install packages", &commandError{err: errors.New("exit status 2"), output: lastLines(tt.said)}, base)
			wantError(t, err, tt.message, tt.hint)
		})
	}
}
