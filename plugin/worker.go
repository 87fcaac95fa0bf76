package plugin

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

const (
	// SDK is the name by which hosts know workers that are made with this
	// package.
	SDK = "dspex-go"
	// Version is the version of this package.
	Version = "0.1.0"
)

// worker is the service that a host sees. A worker is used by one host at a time.
type worker struct {
	workerv1.UnimplementedWorkerServiceServer

	name     string
	commands map[string]*command // immutable
	log      hclog.Logger
	running  tally // calls of all attachments
	orphan   orphanWatch

	mu       sync.Mutex
	setup    *workerv1.ConfigureRequest // guarded by mu; nil before Configure
	current  *attachment                // guarded by mu; nil if none
	draining bool                       // guarded by mu
	closed   bool                       // guarded by mu
}

var _ workerv1.WorkerServiceServer = (*worker)(nil)

// newWorker makes the worker of an app. After grace without a host it calls
// orphaned, once; a grace of 0 is none.
func newWorker(app *App, log hclog.Logger, grace time.Duration, orphaned func()) *worker {
	w := &worker{name: app.name, commands: app.snapshot(), log: log}
	w.orphan.init(grace, orphaned)
	return w
}

// Describe says what the worker is.
func (w *worker) Describe(context.Context, *workerv1.DescribeRequest) (*workerv1.DescribeResponse, error) {
	return &workerv1.DescribeResponse{
		Sdk:        SDK,
		SdkVersion: Version,
		Versions:   versions(w.name),
		Pid:        int64(os.Getpid()),
		Commands:   describe(w.commands),
	}, nil
}

// Configure takes identity and limits. They hold from the next Attach on.
func (w *worker) Configure(_ context.Context, req *workerv1.ConfigureRequest) (*workerv1.ConfigureResponse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setup = req
	return &workerv1.ConfigureResponse{}, nil
}

// Attach runs calls until the stream ends. It ends the stream that was there
// before.
func (w *worker) Attach(stream grpc.BidiStreamingServer[workerv1.AttachRequest, workerv1.AttachResponse]) error {
	a, err := w.adopt(stream)
	if err != nil {
		return err
	}
	defer w.release(a)
	err = a.attach()
	if err != nil && !errors.Is(err, context.Canceled) && status.Code(err) != codes.Canceled {
		a.log.Warn("attached stream ended", "error", err)
	}
	return err
}

// adopt makes the stream the attached one.
func (w *worker) adopt(stream attachStream) (*attachment, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.setup == nil {
		return nil, status.Error(codes.FailedPrecondition, "attach worker: Configure must come first")
	}
	if w.closed {
		return nil, errStopped
	}
	a := &attachment{
		setup:    w.setup,
		commands: w.commands,
		log:      w.log.With("worker", w.setup.GetWorkerId(), "pool", w.setup.GetPool()),
		stream:   stream,
		out:      newOutbox(),
		all:      &w.running,
		ending:   make(chan struct{}),
		ended:    make(chan struct{}),
		uploads:  make(map[uint64]*upload),
		calls:    make(map[uint64]*call),
	}
	a.draining = w.draining
	// Calls outlive the RPC's goroutine where they do not heed their context,
	// and their causes are ours: the stream's context is not their parent.
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	if w.current != nil {
		w.current.end(errTakenOver)
	}
	w.current = a
	w.orphan.attached()
	return a, nil
}

func (w *worker) release(a *attachment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == a {
		w.current = nil
		w.orphan.detached()
	}
}

// shutdown refuses new calls, lets the running ones finish within the grace or
// until hurry is closed, then cancels them and ends the stream. It returns when
// all have ended, or soon after if one does not heed its context.
func (w *worker) shutdown(grace time.Duration, hurry <-chan struct{}) {
	w.mu.Lock()
	w.draining = true
	a := w.current
	w.mu.Unlock()
	if a != nil {
		a.drain()
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-a.running.zero():
		case <-a.ending:
		case <-hurry:
		case <-timer.C:
		}
	}

	w.mu.Lock()
	w.closed = true
	w.orphan.stop()
	a = w.current
	w.mu.Unlock()
	if a != nil {
		a.end(errStopped)
		<-a.ended
	}
	await(w.running.zero(), flushGrace)
}

// versions names what runs inside the worker.
func versions(app string) map[string]string {
	all := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		all[app] = info.Main.Version
	}
	all["go"] = runtime.Version()
	all["grpc"] = grpc.Version
	return all
}
