package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os/exec"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 10)
	app := New("acme")
	app.Command("heeds", func(ctx *Context, _ json.RawMessage) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	app.Command("cause", func(ctx *Context, _ json.RawMessage) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	app.Command("process", func(ctx *Context, _ json.RawMessage) (any, error) {
		cmd := exec.CommandContext(ctx, "sleep", "100")
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		begun <- struct{}{}
		return nil, cmd.Wait()
	})
	app.Command("late", func(ctx *Context, _ json.RawMessage) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return "done all the same", nil
	})
	app.Command("own", func(ctx *Context, _ json.RawMessage) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, shared.Errorf(shared.LMTimeout, "own reason")
	})
	app.Stream("stalled", func(ctx *Context, _ json.RawMessage, send func(any) error) (any, error) {
		for range shared.ChunkWindow {
			if err := send("x"); err != nil {
				return nil, err
			}
		}
		begun <- struct{}{}
		return nil, send("one too many")
	})
	h := attach(t, app, nil)
	tests := []struct {
		command string
		reason  workerv1.CancelReason
		want    string // reason, or the result
		message string
	}{
		{"heeds", workerv1.CancelReason_CANCEL_REASON_CALLER, "CANCELLED", "call was cancelled: context canceled"},
		{"heeds", workerv1.CancelReason_CANCEL_REASON_UNSPECIFIED, "CANCELLED", "call was cancelled: context canceled"},
		{"heeds", workerv1.CancelReason_CANCEL_REASON_DEADLINE, "EXECUTION_TIMEOUT", "time of the call is over: context canceled"},
		{"cause", workerv1.CancelReason_CANCEL_REASON_CALLER, "CANCELLED", "call was cancelled"},
		{"process", workerv1.CancelReason_CANCEL_REASON_CALLER, "CANCELLED", "call was cancelled: signal: killed"},
		{"late", workerv1.CancelReason_CANCEL_REASON_CALLER, `"done all the same"`, ""},
		{"own", workerv1.CancelReason_CANCEL_REASON_CALLER, "LM_TIMEOUT", "own reason"},
		{"stalled", workerv1.CancelReason_CANCEL_REASON_CALLER, "CANCELLED", "call was cancelled"},
	}
	for i, test := range tests {
		id := uint64(i)
		h.call(&workerv1.Call{Id: id, Command: test.command, Stream: true})
		recvOrFail(t, "start of "+test.command, begun)
		h.cancelCall(id, test.reason)
		got := h.terminal(id)
		if got.failure.GetReason()+string(got.result) != test.want || got.failure.GetMessage() != test.message {
			t.Errorf("%s, %s: got %s%s %q, want %s %q", test.command, test.reason,
				got.failure.GetReason(), got.result, got.failure.GetMessage(), test.want, test.message)
		}
		h.cancelCall(id, test.reason) // of an ended call: ignored
	}
	h.cancelCall(999, 0) // of a call that never was: ignored
	h.call(&workerv1.Call{Id: 1000, Command: "ping"})
	h.terminal(1000)
}

// A cancel in the batch of its call comes after it.
func TestCancelInTheSameBatch(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("wait", func(ctx *Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	h := attach(t, app, nil)
	h.send(&workerv1.AttachRequest{
		Calls:   []*workerv1.Call{{Id: 1, Command: "wait", RemainingMs: uint32(patience.Milliseconds())}},
		Cancels: []*workerv1.Cancel{{CallId: 1, Reason: workerv1.CancelReason_CANCEL_REASON_CALLER}},
	})
	if got := h.terminal(1).failure; got.GetReason() != "CANCELLED" {
		t.Errorf("got %v, want CANCELLED", got)
	}
}

// Calls that are cancelled at any moment end exactly once, and none is left.
func TestCancelsAtRandomEndEachCallOnce(t *testing.T) {
	t.Parallel()
	const calls = 1000
	var running atomic.Int64
	app := New("acme")
	app.Stream("work", func(ctx *Context, _ json.RawMessage, send func(any) error) (any, error) {
		running.Add(1)
		defer running.Add(-1)
		for i := range rand.IntN(100) {
			if err := send(i); err != nil {
				return nil, err
			}
		}
		return "done", nil
	})
	h := attach(t, app, nil)
	for id := range uint64(calls) {
		h.call(&workerv1.Call{Id: id, Command: "work", Stream: true})
		victim := rand.Uint64N(id + 1)
		h.cancelCall(victim, workerv1.CancelReason_CANCEL_REASON_CALLER)
	}
	for id := range uint64(calls) { // those that wait for credit
		h.cancelCall(id, workerv1.CancelReason_CANCEL_REASON_CALLER)
	}
	h.until("end of all calls", func(s *seen) bool { return len(s.order) == calls })
	h.check(func(s *seen) {
		for id, r := range s.calls {
			if r.terminals != 1 {
				t.Errorf("call %d: got %d terminal frames, want 1", id, r.terminals)
			}
		}
	})
	if got := running.Load(); got != 0 {
		t.Errorf("got %d functions still running, want 0", got)
	}
}

func TestEndOfTheStreamCancelsItsCalls(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*attached){
		"host breaks off":      func(h *attached) { h.cancel() },
		"host ends the stream": func(h *attached) { h.stream.CloseSend() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, causes := make(chan struct{}), make(chan error, 1)
			app := New("acme")
			app.Command("wait", func(ctx *Context, _ json.RawMessage) (any, error) {
				close(begun)
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return nil, ctx.Err()
			})
			h := attach(t, app, nil)
			h.call(&workerv1.Call{Id: 1, Command: "wait"})
			recvOrFail(t, "start", begun)
			leave(h)
			if got := recvOrFail(t, "cancel", causes); !errors.Is(got, shared.ErrCanceled) {
				t.Errorf("got cause %v, want %s", got, shared.Canceled)
			}
		})
	}
}

// A host that only stops sending still gets the terminal frames.
func TestHalfClosedStreamGetsTerminalFrames(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("wait", func(ctx *Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "wait"}, &workerv1.Call{Id: 2, Command: "wait"})
	h.stream.CloseSend()
	for id := range uint64(2) {
		if got := h.terminal(id + 1).failure; got.GetReason() != "CANCELLED" {
			t.Errorf("call %d: got %v, want CANCELLED", id+1, got)
		}
	}
	if err := h.end(); err != nil {
		t.Errorf("got %v, want the stream to end well", err)
	}
}

func TestDeadlineIsEnforcedByTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := New("acme")
		app.Command("wait", func(ctx *Context, _ json.RawMessage) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		w := newWorker(app, hclog.NewNullLogger(), 0, nil)
		stream, stop := attachInMemory(t, w, &workerv1.ConfigureRequest{})
		defer stop()
		start := time.Now()
		stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{{Id: 1, Command: "wait", RemainingMs: 1500}}})
		var got *workerv1.Failure
		for got == nil {
			for _, f := range (<-stream.out).GetFailures() {
				got = f
			}
		}
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("got an end after %s, want 1.5s", took)
		}
		if got.GetReason() != "EXECUTION_TIMEOUT" || got.GetMessage() != "time of the call is over: context deadline exceeded" {
			t.Errorf("got %v, want EXECUTION_TIMEOUT", got)
		}
	})
}

// attachInMemory attaches to a worker within a bubble. Stop ends the stream and
// waits for its goroutines.
func attachInMemory(t *testing.T, w *worker, setup *workerv1.ConfigureRequest) (*testStream, func()) {
	t.Helper()
	if _, err := w.Configure(t.Context(), setup); err != nil {
		t.Fatalf("Configure: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream := newTestStream(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Attach(stream) }()
	return stream, func() {
		cancel()
		<-ended
		synctest.Wait()
	}
}
