package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// Call is what a Stream runs.
type Call struct {
	Command     string
	Args        []byte
	Session     string
	Traceparent string
	// Attempt counts the tries of the same call, from 1.
	Attempt int
}

// Reply is the answer of a worker. Err is nil or an *shared.Error.
type Reply struct {
	Result json.RawMessage
	Err    *shared.Error
}

// What became of a call's answer.
const (
	// waiting: the caller waits for it.
	waiting = iota
	// answered: the caller has it, or will find it.
	answered
	// abandoned: the caller has left; only settled is told.
	abandoned
)

// inFlight is one call on a stream.
type inFlight struct {
	stream  *Stream
	id      uint64
	settled func(Reply)
	state   atomic.Int32
	// reply is written by the receiver before settle, read after ready.
	reply Reply
	ready chan struct{}

	// parts joins the fragments of a payload; owned by the receiver.
	parts []byte
	// events is nil unless the caller takes chunks.
	events chan shared.StreamEvent
	// nextSeq is the number of the next chunk; owned by the receiver.
	nextSeq uint32
}

func newInFlight(s *Stream, streaming bool, settled func(Reply)) *inFlight {
	f := &inFlight{stream: s, settled: settled, ready: make(chan struct{}, 1)}
	if streaming {
		// Chunks never find it full: their credit is what the caller has taken.
		f.events = make(chan shared.StreamEvent, 2*shared.ChunkWindow)
	}
	return f
}

// finish ends a call that was never on the stream.
func (f *inFlight) finish(r Reply) Reply {
	f.settled(r)
	return r
}

// settle gives the answer to the caller, or, if that one has left, to settled.
// The reply has been set, and the call is no longer pending.
func (f *inFlight) settle() {
	if f.state.CompareAndSwap(waiting, answered) {
		f.ready <- struct{}{}
		return
	}
	f.settled(f.reply)
}

// wait blocks until the call is answered or ctx is done.
func (f *inFlight) wait(ctx context.Context, sink func(shared.StreamEvent) error) Reply {
	taken := 0
	for {
		select {
		case <-f.ready:
			return f.complete(ctx, sink)
		case event := <-f.events:
			if err := sink(event); err != nil {
				return f.leave(workerv1.CancelReason_CANCEL_REASON_CALLER, shared.Errorf(shared.Canceled, "deliver chunk: %w", err))
			}
			if event.Kind == shared.StreamChunk {
				// In halves of the window, so that a credit frame pays for many.
				if taken++; taken == shared.ChunkWindow/2 {
					f.stream.credit(f.id, taken)
					taken = 0
				}
			}
		case <-ctx.Done():
			reason := workerv1.CancelReason_CANCEL_REASON_CALLER
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				reason = workerv1.CancelReason_CANCEL_REASON_DEADLINE
			}
			return f.leave(reason, left(ctx))
		}
	}
}

// complete delivers what came before the answer, then the answer.
func (f *inFlight) complete(ctx context.Context, sink func(shared.StreamEvent) error) Reply {
	for len(f.events) > 0 && ctx.Err() == nil {
		if err := sink(<-f.events); err != nil {
			return f.finish(Reply{Err: shared.Errorf(shared.Canceled, "deliver chunk: %w", err).WithRun(shared.RunYes)})
		}
	}
	return f.finish(f.reply)
}

// leave abandons the call, and asks the worker to stop it.
func (f *inFlight) leave(reason workerv1.CancelReason, err *shared.Error) Reply {
	if !f.state.CompareAndSwap(waiting, abandoned) {
		// The answer came at the same moment: it counts.
		<-f.ready
		return f.finish(f.reply)
	}
	if f.stream.cancel(f, reason) {
		return f.finish(Reply{Err: err.WithRun(shared.RunNo)})
	}
	return Reply{Err: err.WithRun(shared.RunMaybe)}
}

// chunk takes a chunk frame. It runs on the receiver, with the stream's lock.
func (f *inFlight) chunk(c *workerv1.Chunk) error {
	if f.events == nil {
		return fmt.Errorf("worker sent a chunk for call %d, which takes none", c.CallId)
	}
	if c.Seq != f.nextSeq {
		return fmt.Errorf("worker sent chunk %d of call %d in place of %d", c.Seq, c.CallId, f.nextSeq)
	}
	f.nextSeq++
	data := c.Data
	if c.Fragmented {
		data, f.parts = f.parts, nil
	}
	if f.state.Load() == abandoned {
		return nil
	}
	select {
	case f.events <- shared.StreamEvent{Kind: shared.StreamChunk, Data: data}:
		return nil
	default:
		return fmt.Errorf("worker sent chunk %d of call %d without credit", c.Seq, c.CallId)
	}
}

// event takes an event frame. Events are dropped rather than taking the place
// of chunks.
func (f *inFlight) event(e *workerv1.Event) {
	if f.events == nil || e.Kind != "progress" || len(f.events) >= shared.ChunkWindow {
		return
	}
	select {
	case f.events <- shared.StreamEvent{Kind: shared.StreamProgress, Data: e.Data}:
	default:
	}
}

// failure is the error of a call that a worker began and failed.
func failure(r *workerv1.Failure) *shared.Error {
	reason := shared.Reason(r.Reason)
	if !reason.Known() {
		reason = shared.PythonException
	}
	err := &shared.Error{Reason: reason, Message: r.Message, Hint: r.Hint, MayHaveRun: shared.RunYes}
	if r.Type != "" {
		err.Remote = &shared.RemoteError{Type: r.Type, Message: r.Message, Traceback: r.Traceback}
		if reason == shared.PythonException {
			err.Message = err.Remote.Error()
		}
	}
	return err
}

// refusal is the error of a call that a worker did not begin.
func refusal(r *workerv1.Refusal) *shared.Error {
	reason := shared.Reason(r.Reason)
	if !reason.Known() {
		reason = shared.WorkerBusy
	}
	return shared.Errorf(reason, "worker refused the call: %s", r.Message)
}

// lost is the error of a call whose worker is gone.
func lost(cause error, unsent bool) *shared.Error {
	err := shared.Errorf(shared.WorkerLost, "worker lost: %w", cause)
	if unsent {
		return err
	}
	return err.WithRun(shared.RunMaybe).WithHint("the call may have run; repeat it if that does no harm, or mark it idempotent")
}

// left is the error of a caller that left.
func left(ctx context.Context) *shared.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return shared.Errorf(shared.ExecutionTimeout, "call timed out: %w", ctx.Err())
	}
	return shared.Errorf(shared.Canceled, "call cancelled by its caller: %w", ctx.Err())
}

// expired is the error of a call whose time was over before it was sent.
func expired(ctx context.Context) *shared.Error {
	if ctx.Err() == nil {
		return shared.Errorf(shared.DeadlineExceeded, "call expired before it was sent")
	}
	return left(ctx).WithRun(shared.RunNo)
}
