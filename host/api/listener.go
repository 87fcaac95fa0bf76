package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/dspex/dspex/shared"
)

const (
	// maxSocketPath is the longest path of a unix socket that Linux takes.
	maxSocketPath = 107
	// defaultSocketMode lets the owner and group of a socket use it.
	defaultSocketMode fs.FileMode = 0o660
	// probeTimeout bounds the look for another host on an existing socket.
	probeTimeout = time.Second
)

// Listener is one address to serve on.
type Listener struct {
	// Name of the listener, for errors and logs.
	Name string
	// Network is "tcp" or "unix".
	Network string
	// Address is host:port, or the path of a socket. Port 0 takes a free one.
	Address string
	// Mode of a unix socket. Defaults to 0660.
	Mode fs.FileMode
}

// URL returns the address in the form that clients take: "unix:///run/x.sock" or
// "http://127.0.0.1:4680".
func (l Listener) URL() string {
	if l.Network == "unix" {
		return "unix://" + l.Address
	}
	return "http://" + l.Address
}

// bind starts to listen. The listener it returns removes its socket on Close.
func (l Listener) bind(ctx context.Context) (net.Listener, error) {
	switch l.Network {
	case "tcp":
		bound, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Address)
		if err != nil {
			return nil, l.bindError(err)
		}
		return bound, nil
	case "unix":
		return l.bindUnix(ctx)
	default:
		return nil, shared.Errorf(shared.ConfigInvalid, "listener %q: network %q is not known", l.Name, l.Network).
			WithHint(`use "tcp" or "unix"`)
	}
}

func (l Listener) bindUnix(ctx context.Context) (net.Listener, error) {
	if len(l.Address) > maxSocketPath {
		return nil, shared.Errorf(shared.ConfigInvalid, "listener %q: path of %d bytes is too long for a unix socket: %s", l.Name, len(l.Address), l.Address).
			WithHint("use a path of at most %d bytes, such as one below /run", maxSocketPath)
	}
	if err := l.clearStale(ctx); err != nil {
		return nil, err
	}
	mode := l.Mode.Perm()
	if mode == 0 {
		mode = defaultSocketMode
	}
	// The mode is set on the descriptor first: bind takes it over less the umask,
	// so at no moment is the socket open to more users than it shall be.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), uint32(mode)) })
	}}
	bound, err := config.Listen(ctx, "unix", l.Address)
	if err != nil {
		return nil, l.bindError(err)
	}
	socket := bound.(*net.UnixListener)
	socket.SetUnlinkOnClose(false)
	info, err := os.Lstat(l.Address)
	if err == nil {
		err = os.Chmod(l.Address, mode)
	}
	if err != nil {
		_ = socket.Close()
		return nil, l.bindError(err)
	}
	return &unixListener{UnixListener: socket, path: l.Address, info: info}, nil
}

// clearStale removes the socket of a host that is dead: one that nobody answers
// on. Anything else at the path stays, and is an error.
func (l Listener) clearStale(ctx context.Context) error {
	info, err := os.Lstat(l.Address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return l.bindError(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return shared.Errorf(shared.ConfigInvalid, "listener %q: %s exists and is not a socket", l.Name, l.Address).
			WithHint("move it away, or give the listener another path")
	}
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "unix", l.Address)
	switch {
	case err == nil:
		_ = conn.Close()
		return shared.Errorf(shared.HostLocked, "listener %q: another process serves %s", l.Name, l.Address).
			WithHint("stop it, or give this host another run_dir")
	case !errors.Is(err, syscall.ECONNREFUSED):
		return l.bindError(err)
	}
	if err := os.Remove(l.Address); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.bindError(err)
	}
	return nil
}

func (l Listener) bindError(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return shared.Errorf(shared.HostLocked, "listener %q: %s is in use: %w", l.Name, l.Address, err).
			WithHint("stop the process that uses it, or give the listener another address")
	}
	return shared.Errorf(shared.ConfigInvalid, "listener %q: listen on %s: %w", l.Name, l.Address, err)
}

// unixListener removes its socket when closed, unless the path has become
// another's meanwhile.
type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
}

// Close stops listening and removes the socket.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			_ = os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}
