package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// flushGrace bounds how long the end of a stream waits for cancelled calls to
// return and for their terminal frames to be sent.
const flushGrace = time.Second

// Ends of a stream.
var (
	errTakenOver = status.Error(codes.Aborted, "another Attach took the place of this one")
	errStopped   = status.Error(codes.Unavailable, "worker shuts down")
)

type attachStream = grpc.BidiStreamingServer[workerv1.AttachRequest, workerv1.AttachResponse]

// attachment is one Attach stream with the calls on it. Four kinds of goroutine
// work on it: the one of the RPC, which waits for the end; the receiver; the
// sender, the only one that sends; the heart; and one for each call.
type attachment struct {
	setup    *workerv1.ConfigureRequest // immutable
	commands map[string]*command        // immutable
	log      hclog.Logger
	stream   attachStream
	out      *outbox
	running  tally
	all      *tally // the worker's

	// ctx is the parent of the calls' contexts.
	ctx    context.Context
	cancel context.CancelCauseFunc

	ending chan struct{} // closed by end
	ended  chan struct{} // closed when attach returns
	once   sync.Once
	err    error // why it ended; written before ending is closed

	seen    idSet              // owned by the receiver
	uploads map[uint64]*upload // owned by the receiver

	mu       sync.Mutex
	calls    map[uint64]*call // guarded by mu; begun and without a terminal frame
	draining bool             // guarded by mu; refuse new calls
}

// upload is the fragments of arguments that came so far.
type upload struct {
	data []byte
	size uint64 // of all fragments, also those not kept
}

// attach serves the stream until it ends, and returns the status of the RPC.
func (a *attachment) attach() error {
	defer close(a.ended)
	go a.receive()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		a.sendBatches()
	}()
	if ms := a.setup.GetHeartbeatMs(); ms > 0 {
		go a.beat(time.Duration(ms) * time.Millisecond)
	}
	<-a.ending

	// What the receiver still reads begins no more.
	a.drain()
	cause := errDetached
	if errors.Is(a.err, errStopped) {
		cause = errShutdown
	}
	a.cancel(cause)
	if a.stream.Context().Err() == nil && !errors.Is(a.err, errTakenOver) {
		// The host still reads: it gets the terminal frame of every call.
		await(a.running.zero(), flushGrace)
	}
	a.out.close()
	await(sent, flushGrace)
	if errors.Is(a.err, io.EOF) {
		return nil
	}
	return a.err
}

// end ends the stream. Only the first call counts.
func (a *attachment) end(err error) {
	a.once.Do(func() {
		a.err = err
		close(a.ending)
	})
}

// receive dispatches batches until the stream ends.
func (a *attachment) receive() {
	for {
		req, err := a.stream.Recv()
		if err == nil {
			err = a.dispatch(req)
		}
		if err != nil {
			a.end(err)
			return
		}
		a.out.ack()
	}
}

// sendBatches sends what the outbox has gathered, until the outbox is closed.
// While one batch is being sent the next one gathers.
func (a *attachment) sendBatches() {
	for {
		// Calls that were dispatched just now often need only their turn to
		// finish; with it their results share a batch with the acknowledgement.
		runtime.Gosched()
		batch := a.out.take()
		if batch == nil {
			if a.out.done() {
				return
			}
			<-a.out.wake
			continue
		}
		if err := a.stream.Send(batch); err != nil {
			a.out.close()
			a.end(err)
			return
		}
	}
}

// dispatch acts on one batch without waiting for anything.
func (a *attachment) dispatch(req *workerv1.AttachRequest) error {
	for _, f := range req.GetFragments() {
		if err := a.gather(f); err != nil {
			return err
		}
	}
	for _, f := range req.GetCalls() {
		if err := a.accept(f); err != nil {
			return err
		}
	}
	for _, f := range req.GetCancels() {
		delete(a.uploads, f.GetCallId())
		if c := a.find(f.GetCallId()); c != nil {
			c.cancel(causeOf(f.GetReason()))
		}
	}
	for _, f := range req.GetCredits() {
		if c := a.find(f.GetCallId()); c != nil {
			c.grant(f.GetChunks())
		}
	}
	return nil
}

// gather keeps a fragment. Beyond the limit it only counts: the call is refused
// when it comes.
func (a *attachment) gather(f *workerv1.Fragment) error {
	id := f.GetCallId()
	if a.seen.has(id) {
		return protocolError("fragment for call %d, which was made before", id)
	}
	u := a.uploads[id]
	if u == nil {
		u = &upload{}
		a.uploads[id] = u
	}
	u.add(f.GetData(), a.limit())
	return nil
}

// accept begins a call or refuses it.
func (a *attachment) accept(f *workerv1.Call) error {
	id := f.GetId()
	if !a.seen.add(id) {
		return protocolError("call id %d was used before", id)
	}
	u := a.uploads[id]
	if (u != nil) != f.GetFragmented() {
		return protocolError("call %d: fragmented is %t but there are %d bytes of fragments", id, f.GetFragmented(), u.len())
	}
	size := uint64(len(f.GetArgs()))
	if u != nil {
		delete(a.uploads, id)
		u.add(f.GetArgs(), a.limit())
		f.Args, size = u.data, u.size
	}
	if f.GetRemainingMs() == 0 {
		a.refuse(f, shared.DeadlineExceeded, "no time is left for the call")
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	most := a.setup.GetMaxInFlight()
	switch {
	case a.draining:
		a.refuse(f, shared.Draining, "worker takes no new calls")
	case most > 0 && uint32(len(a.calls)) >= most:
		a.refuse(f, shared.WorkerBusy, fmt.Sprintf("worker runs %d calls already", most))
	default:
		c := newCall(a, f, size)
		a.calls[id] = c
		a.running.add()
		a.all.add()
		go a.run(c)
	}
	return nil
}

// refuse ends a call that is not begun.
func (a *attachment) refuse(f *workerv1.Call, reason shared.Reason, message string) {
	a.out.put(&lane{}, frame{
		callID:  f.GetId(),
		refusal: &workerv1.Refusal{Reason: string(reason), Message: message},
	})
}

// run is the goroutine of a call.
func (a *attachment) run(c *call) {
	defer a.all.done()
	defer a.running.done()
	var f frame
	defer func() {
		if f.result == nil && f.failure == nil { // runtime.Goexit
			f.failure = failureOf(errGoexit)
		}
		// The slot is free before the host can know it.
		a.mu.Lock()
		delete(a.calls, c.frame.GetId())
		a.mu.Unlock()
		c.put(f)
	}()
	f = c.run()
}

// drain refuses every call from now on.
func (a *attachment) drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
}

func (a *attachment) find(id uint64) *call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[id]
}

func (a *attachment) inFlight() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// limit is the largest payload in bytes.
func (a *attachment) limit() uint64 {
	if limit := a.setup.GetMaxPayloadBytes(); limit > 0 {
		return limit
	}
	return shared.MaxMessage
}

// add keeps data as long as all of it fits into the limit.
func (u *upload) add(data []byte, limit uint64) {
	u.size += uint64(len(data))
	if u.size > limit {
		u.data = nil
		return
	}
	u.data = append(u.data, data...)
}

func (u *upload) len() uint64 {
	if u == nil {
		return 0
	}
	return u.size
}

func causeOf(reason workerv1.CancelReason) error {
	if reason == workerv1.CancelReason_CANCEL_REASON_DEADLINE {
		return errOvertime
	}
	return errCaller
}

func protocolError(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, "protocol error: "+format, args...)
}

// await waits for done, at most for the grace.
func await(done <-chan struct{}, grace time.Duration) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
