package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

func testWorker(t *testing.T, app *App) *TestWorker {
	t.Helper()
	w, err := ServeTest(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestTestWorkerCollectsWhatACallSends(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Stream("count", func(ctx *Context, _ json.RawMessage, send func(any) error) (any, error) {
		for i := range 100 { // more than the credit: the test worker gives more
			if err := send(strings.Repeat("x", i*1000)); err != nil { // some of them fragmented
				return nil, err
			}
		}
		if err := ctx.Progress("half"); err != nil {
			return nil, err
		}
		return ctx.SessionID() + " " + ctx.Traceparent(), nil
	})
	w := testWorker(t, app)
	seen := 0
	reply, err := w.Do(t.Context(), TestCall{
		Command: "count", SessionID: "s-1", Traceparent: "00-1",
		OnChunk: func(json.RawMessage) { seen++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	var result string
	if err := reply.Decode(&result); err != nil || result != "s-1 00-1" {
		t.Errorf("got %q, %v; want %q", result, err, "s-1 00-1")
	}
	if len(reply.Chunks) != 100 || len(reply.Chunks[99]) != 99_002 || seen != 100 {
		t.Errorf("got %d chunks (%d seen), want 100", len(reply.Chunks), seen)
	}
	if diff := cmp.Diff([]json.RawMessage{json.RawMessage(`"half"`)}, reply.Progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if err := reply.Decode(&seen); err == nil {
		t.Error("got no error in decoding a string into an int")
	}
}

func TestTestWorkerReturnsTheErrorsOfACaller(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("fails", func(*Context, json.RawMessage) (any, error) { return nil, errors.New("no luck") })
	app.Command("waits", func(ctx *Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	w := testWorker(t, app)

	_, err := w.Call(t.Context(), "fails", nil)
	var remote *shared.RemoteError
	if !errors.As(err, &remote) || remote.Type != "errors.errorString" || err.Error() != "no luck" {
		t.Errorf("got %v (remote %v), want the error of the command", err, remote)
	}
	_, err = w.Do(t.Context(), TestCall{Command: "waits", Timeout: time.Millisecond})
	if !errors.Is(err, shared.ErrExecutionTimeout) {
		t.Errorf("after the timeout: got %v, want %s", err, shared.ExecutionTimeout)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = w.Call(ctx, "waits", nil); !errors.Is(err, shared.ErrCanceled) {
		t.Errorf("cancelled: got %v, want %s", err, shared.Canceled)
	}
	if _, err = w.Call(t.Context(), "waits", func() {}); !errors.Is(err, shared.ErrInvalidArgument) {
		t.Errorf("arguments without JSON: got %v, want %s", err, shared.InvalidArgument)
	}
	if _, err = w.Call(t.Context(), "nope", nil); !errors.Is(err, shared.ErrCommandNotFound) {
		t.Errorf("unknown command: got %v, want %s", err, shared.CommandNotFound)
	}
}

func TestTestWorkerCancelInMidStream(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Stream("endless", func(_ *Context, _ json.RawMessage, send func(any) error) (any, error) {
		for {
			if err := send(1); err != nil {
				return nil, err
			}
		}
	})
	w := testWorker(t, app)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reply, err := w.Do(ctx, TestCall{Command: "endless", OnChunk: func(json.RawMessage) { cancel() }})
	if !errors.Is(err, shared.ErrCanceled) || len(reply.Chunks) == 0 {
		t.Errorf("got %v after %d chunks, want %s after some", err, len(reply.Chunks), shared.Canceled)
	}
}

func TestTestWorkerClose(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	app := New("acme")
	app.Command("waits", func(ctx *Context, _ json.RawMessage) (any, error) {
		close(begun)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	w := testWorker(t, app)
	failed := make(chan error, 1)
	go func() {
		_, err := w.Call(context.Background(), "waits", nil)
		failed <- err
	}()
	recvOrFail(t, "start", begun)
	w.Close()
	w.Close()
	if err := recvOrFail(t, "end", failed); !errors.Is(err, shared.ErrWorkerLost) {
		t.Errorf("call under way: got %v, want %s", err, shared.WorkerLost)
	}
	if _, err := w.Call(t.Context(), "ping", nil); !errors.Is(err, shared.ErrWorkerLost) {
		t.Errorf("call after Close: got %v, want %s", err, shared.WorkerLost)
	}
}

func TestTestWorkerEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := ServeTest(ctx, New("acme"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	recvOrFail(t, "end", w.closed)
	w.Close()
}

func TestTestWorkerRunsCallsSideBySide(t *testing.T) {
	t.Parallel()
	const calls = 50
	var arrived sync.WaitGroup
	arrived.Add(calls)
	app := New("acme")
	app.Command("meet", func(*Context, json.RawMessage) (any, error) {
		arrived.Done()
		arrived.Wait()
		return nil, nil
	})
	w := testWorker(t, app)
	var done sync.WaitGroup
	for range calls {
		done.Go(func() {
			if _, err := w.Call(t.Context(), "meet", nil); err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	done.Wait()
}
