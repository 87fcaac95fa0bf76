package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dspex/dspex/shared"
)

// listen binds one listener; the server is shut down when the test ends.
func listen(t *testing.T, listeners ...Listener) (*Server, error) {
	t.Helper()
	s, err := New(newFake(), Options{Listeners: listeners})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	return s, s.Listen()
}

func TestUnixSocketMode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ mode, want fs.FileMode }{{0, 0o660}, {0o600, 0o600}, {0o666, 0o666}} {
		path := filepath.Join(t.TempDir(), "s")
		s, err := listen(t, Listener{Name: "u", Network: "unix", Address: path, Mode: test.mode})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode(); got != test.want|fs.ModeSocket {
			t.Errorf("mode = %v, want %v", got, test.want|fs.ModeSocket)
		}
		if got, want := s.Addrs()[0].URL(), "unix://"+path; got != want {
			t.Errorf("URL = %q, want %q", got, want)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Shutdown: %v, want no socket", err)
		}
	}
}

// TestUnixSocketIsNeverTooOpen looks at the mode that bind itself gives, before
// chmod: with an umask of 0 it would be 0777.
func TestUnixSocketIsNeverTooOpen(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Fchmod(fd, 0o600); err != nil {
		t.Skipf("this system has no modes for sockets that are not bound: %v", err)
	}
	path := filepath.Join(t.TempDir(), "s")
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got&0o077 != 0 {
		t.Errorf("mode after bind = %v, want nothing for others", got)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as when the process was killed
	_ = dead.Close()
	if _, err := listen(t, Listener{Name: "u", Network: "unix", Address: path}); err != nil {
		t.Fatalf("Listen on a stale socket: %v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("dial the new socket: %v", err)
	}
	_ = conn.Close()
}

func TestWhatIsInTheWayStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link, folder := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	live := filepath.Join(dir, "live")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t, Listener{Name: "first", Network: "unix", Address: live}); err != nil {
		t.Fatal(err)
	}
	tcp, err := listen(t, Listener{Name: "t", Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	taken := tcp.Addrs()[0].Address
	for _, test := range []struct {
		name     string
		listener Listener
		reason   shared.Reason
		text     string
	}{
		{"file", Listener{Network: "unix", Address: file}, shared.ConfigInvalid, "not a socket"},
		{"symlink", Listener{Network: "unix", Address: link}, shared.ConfigInvalid, "not a socket"},
		{"folder", Listener{Network: "unix", Address: folder}, shared.ConfigInvalid, "not a socket"},
		{"live host", Listener{Network: "unix", Address: live}, shared.HostLocked, "another process serves"},
		{"long path", Listener{Network: "unix", Address: "/" + strings.Repeat("x", 107)}, shared.ConfigInvalid, "108 bytes is too long"},
		{"no folder", Listener{Network: "unix", Address: filepath.Join(dir, "no", "s")}, shared.ConfigInvalid, "no such file"},
		{"port in use", Listener{Network: "tcp", Address: taken}, shared.HostLocked, "in use"},
		{"bad address", Listener{Network: "tcp", Address: "nonsense"}, shared.ConfigInvalid, "missing port"},
		{"bad network", Listener{Network: "udp", Address: "x"}, shared.ConfigInvalid, `network "udp"`},
	} {
		test.listener.Name = "mine"
		// The first listener must be given up when the second one fails.
		before := filepath.Join(t.TempDir(), "s")
		s, err := listen(t, Listener{Name: "before", Network: "unix", Address: before}, test.listener)
		e := shared.AsError(err)
		if e == nil || e.Reason != test.reason || !strings.Contains(e.Message, test.text) || !strings.Contains(e.Message, `"mine"`) {
			t.Errorf("%s: Listen = %v, want %s with %q", test.name, err, test.reason, test.text)
		}
		if got := s.Addrs(); len(got) != 0 {
			t.Errorf("%s: Addrs = %v, want none", test.name, got)
		}
		if _, err := os.Lstat(before); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the socket before is still there", test.name)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("file = %q, %v, want it untouched", b, err)
	}
	if target, err := os.Readlink(link); err != nil || target != filepath.Join(dir, "nowhere") {
		t.Errorf("link = %q, %v, want it untouched", target, err)
	}
}

func TestShutdownLeavesTheSocketOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	s, err := listen(t, Listener{Name: "u", Network: "unix", Address: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_ = s.Shutdown(t.Context())
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket: %v, want it there", err)
	}
}
