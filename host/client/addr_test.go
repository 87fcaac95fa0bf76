package client

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/dspex/dspex/shared"
)

func TestParseAddr(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ addr, network, target, base string }{
		{"unix:///run/dspex/api.sock", "unix", "/run/dspex/api.sock", "http://localhost"},
		{"unix:/run/dspex/api.sock", "unix", "/run/dspex/api.sock", "http://localhost"},
		{"http://127.0.0.1:4680", "tcp", "127.0.0.1:4680", "http://127.0.0.1:4680"},
		{"http://example/", "tcp", "example:80", "http://example:80"},
		{"http://[::1]:9/", "tcp", "[::1]:9", "http://[::1]:9"},
		{"http://[::1]", "tcp", "[::1]:80", "http://[::1]:80"},
		{"localhost:4680", "tcp", "localhost:4680", "http://localhost:4680"},
		{"[::1]:4680", "tcp", "[::1]:4680", "http://[::1]:4680"},
		{":4680", "tcp", "localhost:4680", "http://localhost:4680"},
	} {
		network, target, base, err := parseAddr(test.addr)
		if err != nil || network != test.network || target != test.target || base != test.base {
			t.Errorf("parseAddr(%q) = %q, %q, %q, %v, want %+v", test.addr, network, target, base, err, test)
		}
	}
	for _, addr := range []string{
		"", "localhost", "unix:", "unix:relative.sock", "unix://relative", "https://x:1", "tcp://x:1",
		"http://", "http://x:1/path", "http://u@x:1", "http://x:1?q", "http://x:1#f", "http://x:port", "a:b:c", "/run/x.sock", "x:",
	} {
		_, err := New(addr)
		if e := shared.AsError(err); !errors.Is(err, shared.ErrInvalidArgument) || e.Hint == "" {
			t.Errorf("New(%q) = %v, want INVALID_ARGUMENT with a hint", addr, err)
		}
	}
}

func TestDefaultAddr(t *testing.T) {
	t.Parallel()
	run, xdg, explicit := t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{run, filepath.Join(xdg, "dspex"), explicit} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(dir, "api.sock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	empty, file := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(file, "api.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		env    map[string]string
		runDir string
		want   string
	}{
		{"address", map[string]string{"DSPEX_ADDR": "h:1", "DSPEX_RUN_DIR": run}, explicit, "h:1"},
		{"explicit", map[string]string{"DSPEX_RUN_DIR": run}, explicit, "unix://" + explicit + "/api.sock"},
		{"run dir", map[string]string{"DSPEX_RUN_DIR": run, "XDG_RUNTIME_DIR": xdg}, "", "unix://" + run + "/api.sock"},
		{"no socket", map[string]string{"DSPEX_RUN_DIR": empty}, "", "127.0.0.1:4680"},
		{"no folder", nil, filepath.Join(empty, "no"), "127.0.0.1:4680"},
		{"no socket but a file", nil, file, "127.0.0.1:4680"},
	} {
		if got := DefaultAddr(func(key string) string { return test.env[key] }, test.runDir); got != test.want {
			t.Errorf("%s: DefaultAddr = %q, want %q", test.name, got, test.want)
		}
	}
	for _, test := range []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{map[string]string{"DSPEX_RUN_DIR": "/d", "XDG_RUNTIME_DIR": "/x"}, 0, "/d"},
		{map[string]string{"XDG_RUNTIME_DIR": "/x"}, 0, "/run/dspex"},
		{map[string]string{"XDG_RUNTIME_DIR": "/x"}, 1000, "/x/dspex"},
		{nil, 1000, filepath.Join(os.TempDir(), "dspex-"+strconv.Itoa(1000))},
	} {
		if got := defaultRunDir(func(key string) string { return test.env[key] }, test.uid); got != test.want {
			t.Errorf("defaultRunDir(%v, %d) = %q, want %q", test.env, test.uid, got, test.want)
		}
	}
}
