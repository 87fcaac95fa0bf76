package proc

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// errRefused is a fork server's word that it cannot fork: asking again is of no
// use.
var errRefused = errors.New("fork server refused")

// Forker starts processes by forking a fork server, which has done the slow part
// of their start. It starts the server when the first process is wanted, and
// another one when that has died; workers that were forked go on without it.
// Where a fork is not possible it starts the program itself, and logs why.
type Forker struct {
	spec    Spec
	timeout time.Duration
	log     hclog.Logger

	mu      sync.Mutex
	server  *forkServer // guarded by mu; nil before the first and after Close
	refused error       // guarded by mu; why no fork is tried any more
	closed  bool        // guarded by mu
}

var _ Launcher = (*Forker)(nil)

// NewForker returns a launcher whose fork server is spec. The timeout bounds the
// server's start. Close ends the server.
func NewForker(spec Spec, timeout time.Duration, log hclog.Logger) *Forker {
	return &Forker{spec: spec, timeout: timeout, log: log}
}

// Close ends the fork server. What it has forked goes on.
func (f *Forker) Close() {
	f.mu.Lock()
	f.closed = true
	server := f.server
	f.server = nil
	f.mu.Unlock()
	if server != nil {
		server.close()
	}
}

func (f *Forker) launch(ctx context.Context, spec Spec, stdout, stderr *os.File) (child, string, error) {
	// The second try is for a server that died since it was last used.
	for range 2 {
		server, err := f.running(ctx)
		if err != nil {
			break // logged where it happened
		}
		c, err := server.fork(ctx, spec.Env, stdout, stderr)
		if err == nil {
			return c, "fork", nil
		}
		f.failed(server, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	return Exec{}.launch(ctx, spec, stdout, stderr)
}

// running returns a fork server that is ready, starting one if need be.
func (f *Forker) running(ctx context.Context) (*forkServer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, errors.New("fork server closed")
	case f.refused != nil:
		return nil, f.refused
	case f.server != nil && f.server.alive():
		return f.server, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	started := time.Now()
	server, err := startForkServer(ctx, f.spec)
	if err != nil {
		if errors.Is(err, errRefused) {
			f.refused = err
		}
		f.log.Warn("no fork server, workers are started as programs of their own", "error", err)
		return nil, err
	}
	f.log.Info("fork server ready", "pid", server.process.PID(), "elapsed", time.Since(started).Round(time.Millisecond))
	f.server = server
	return server, nil
}

func (f *Forker) failed(server *forkServer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, errRefused) && f.refused == nil {
		f.refused = err
	}
	f.log.Warn("fork failed", "error", err)
	if f.server == server {
		f.server = nil
		go server.close()
	}
}
