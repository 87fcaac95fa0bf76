package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// batchBytes is how much payload one message of the stream carries, so that a
// large payload does not hold up the small ones.
const batchBytes = 256 << 10

// Attachment is the wire side of a Stream: the gRPC client stream.
type Attachment interface {
	Send(*workerv1.AttachRequest) error
	Recv() (*workerv1.AttachResponse, error)
	CloseSend() error
}

// Beat is the last heartbeat of a worker process.
type Beat struct {
	// At is when it arrived; zero if none has.
	At       time.Time
	InFlight int
	Lag      time.Duration
	RSS      uint64
}

// Stream multiplexes calls on one Attachment. Frames are gathered while a batch
// is unacknowledged and go out together; an idle stream sends at once.
//
// Two goroutines run until the attachment ends: the sender, which alone calls
// Send, and the receiver, which alone calls Recv. A caller waits on its own
// goroutine.
type Stream struct {
	wire       Attachment
	maxPayload int

	mu      sync.Mutex
	nextID  uint64                 // guarded by mu
	pending map[uint64]*inFlight   // guarded by mu
	out     workerv1.AttachRequest // guarded by mu; gathered, not sent
	large   []*upload              // guarded by mu; payloads that go in fragments
	unacked int                    // guarded by mu; batches sent and not acknowledged
	beat    Beat                   // guarded by mu
	err     error                  // guarded by mu; why the stream ended

	kick chan struct{} // capacity 1: the sender has something to look at
	done chan struct{} // closed when the stream has ended and all calls are settled
}

// upload is a call whose arguments go out in fragments.
type upload struct {
	call *workerv1.Call
	rest []byte
}

// NewStream runs calls on the attachment until it ends.
func NewStream(wire Attachment, maxPayload int) *Stream {
	s := &Stream{
		wire:       wire,
		maxPayload: maxPayload,
		pending:    make(map[uint64]*inFlight),
		kick:       make(chan struct{}, 1),
		done:       make(chan struct{}),
	}
	go s.send()
	go s.receive()
	return s
}

// Done is closed when the stream has ended and every call on it has its answer.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Err says why the stream ended; nil before.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Beat returns the last heartbeat.
func (s *Stream) Beat() Beat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beat
}

// Close ends the sending half: the worker cancels what still runs and ends the
// stream.
func (s *Stream) Close() { s.end(errors.New("stream closed by the host")) }

// submit gives a call to the sender. It fails if the stream has ended: then the
// call surely did not run.
func (s *Stream) submit(f *inFlight, call *workerv1.Call) error {
	s.mu.Lock()
	if s.err != nil {
		err := s.err
		s.mu.Unlock()
		return err
	}
	s.nextID++
	call.Id, f.id = s.nextID, s.nextID
	s.pending[f.id] = f
	if len(call.Args) > shared.FragmentSize {
		u := &upload{call: call, rest: call.Args}
		call.Args, call.Fragmented = nil, true
		s.large = append(s.large, u)
	} else {
		s.out.Calls = append(s.out.Calls, call)
	}
	s.mu.Unlock()
	s.wake()
	return nil
}

// cancel asks the worker to stop a call. A call that has not been sent yet is
// taken back; cancel then reports true, and the call surely did not run.
func (s *Stream) cancel(f *inFlight, reason workerv1.CancelReason) (unsent bool) {
	s.mu.Lock()
	if s.pending[f.id] != f {
		s.mu.Unlock()
		return false
	}
	for i, call := range s.out.Calls {
		if call.Id == f.id {
			s.out.Calls = append(s.out.Calls[:i], s.out.Calls[i+1:]...)
			delete(s.pending, f.id)
			s.mu.Unlock()
			return true
		}
	}
	for i, u := range s.large {
		if u.call.Id == f.id {
			s.large = append(s.large[:i], s.large[i+1:]...)
			delete(s.pending, f.id)
			// The worker drops the fragments that it may hold.
			s.out.Cancels = append(s.out.Cancels, &workerv1.Cancel{CallId: f.id, Reason: reason})
			s.mu.Unlock()
			s.wake()
			return true
		}
	}
	s.out.Cancels = append(s.out.Cancels, &workerv1.Cancel{CallId: f.id, Reason: reason})
	s.mu.Unlock()
	s.wake()
	return false
}

// credit allows a call to send n chunks more.
func (s *Stream) credit(id uint64, n int) {
	s.mu.Lock()
	s.out.Credits = append(s.out.Credits, &workerv1.Credit{CallId: id, Chunks: uint32(n)})
	s.mu.Unlock()
	s.wake()
}

func (s *Stream) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// send is the sender goroutine.
func (s *Stream) send() {
	for {
		select {
		case <-s.kick:
		case <-s.done:
			return
		}
		batch := s.take()
		if batch == nil {
			continue
		}
		if err := s.wire.Send(batch); err != nil {
			// Send says io.EOF when the stream was ended by the other side; the
			// receiver learns the reason.
			if !errors.Is(err, io.EOF) {
				s.end(err)
			}
			return
		}
	}
}

// take returns what shall be sent now, or nil.
func (s *Stream) take() *workerv1.AttachRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unacked > 0 || s.err != nil {
		return nil
	}
	batch := &workerv1.AttachRequest{Cancels: s.out.Cancels, Credits: s.out.Credits}
	s.out.Cancels, s.out.Credits = nil, nil
	// Small calls first, as far as a message goes; then a piece of each large one.
	size, n := 0, 0
	for ; n < len(s.out.Calls) && size < batchBytes; n++ {
		size += len(s.out.Calls[n].Args)
	}
	batch.Calls, s.out.Calls = s.out.Calls[:n:n], s.out.Calls[n:]
	if len(s.out.Calls) == 0 {
		s.out.Calls = nil
	}
	for turn := len(s.large); turn > 0 && size < 2*batchBytes; turn-- {
		u := s.large[0]
		s.large = s.large[1:]
		piece := u.rest[:min(len(u.rest), shared.FragmentSize)]
		u.rest = u.rest[len(piece):]
		size += len(piece)
		batch.Fragments = append(batch.Fragments, &workerv1.Fragment{CallId: u.call.Id, Data: piece})
		if len(u.rest) > 0 {
			s.large = append(s.large, u)
		} else {
			batch.Calls = append(batch.Calls, u.call)
		}
	}
	if len(batch.Fragments)+len(batch.Calls)+len(batch.Cancels)+len(batch.Credits) == 0 {
		return nil
	}
	s.unacked++
	return batch
}

// receive is the receiver goroutine.
func (s *Stream) receive() {
	for {
		batch, err := s.wire.Recv()
		if err == nil {
			err = s.dispatch(batch)
		}
		if err != nil {
			s.end(err)
			s.settleAll()
			close(s.done)
			return
		}
	}
}

// dispatch hands the frames of a batch to their calls. An error means that the
// worker broke the protocol.
func (s *Stream) dispatch(batch *workerv1.AttachResponse) error {
	s.mu.Lock()
	s.unacked -= int(batch.Acked)
	if s.unacked < 0 {
		s.mu.Unlock()
		return fmt.Errorf("worker acknowledged %d batches too many", -s.unacked)
	}
	if h := batch.Heartbeat; h != nil {
		s.beat = Beat{
			At:       time.Now(),
			InFlight: int(h.InFlight),
			Lag:      time.Duration(h.LagMs) * time.Millisecond,
			RSS:      h.RssBytes,
		}
	}
	for _, frag := range batch.Fragments {
		f := s.pending[frag.CallId]
		if f == nil {
			continue // of a call that was taken back or has ended
		}
		if len(f.parts)+len(frag.Data) > s.maxPayload {
			s.mu.Unlock()
			return fmt.Errorf("worker sent more than %d bytes for one payload", s.maxPayload)
		}
		f.parts = append(f.parts, frag.Data...)
	}
	for _, c := range batch.Chunks {
		if f := s.pending[c.CallId]; f != nil {
			if err := f.chunk(c); err != nil {
				s.mu.Unlock()
				return err
			}
		}
	}
	for _, e := range batch.Events {
		if f := s.pending[e.CallId]; f != nil {
			f.event(e)
		}
	}
	// settled is usually one batch long; it is settled outside the lock, since
	// that wakes callers and frees slots.
	settled := make([]*inFlight, 0, len(batch.Results)+len(batch.Failures)+len(batch.Refusals))
	for _, r := range batch.Results {
		if f := s.endedLocked(r.CallId); f != nil {
			f.reply = Reply{Result: r.Result}
			if r.Fragmented {
				f.reply.Result = f.parts
			}
			settled = append(settled, f)
		}
	}
	for _, r := range batch.Failures {
		if f := s.endedLocked(r.CallId); f != nil {
			f.reply = Reply{Err: failure(r)}
			settled = append(settled, f)
		}
	}
	for _, r := range batch.Refusals {
		if f := s.endedLocked(r.CallId); f != nil {
			f.reply = Reply{Err: refusal(r)}
			settled = append(settled, f)
		}
	}
	more := s.unacked == 0 && (len(s.out.Calls)+len(s.large)+len(s.out.Cancels)+len(s.out.Credits) > 0)
	s.mu.Unlock()
	for _, f := range settled {
		f.settle()
	}
	if more {
		s.wake()
	}
	return nil
}

func (s *Stream) endedLocked(id uint64) *inFlight {
	f := s.pending[id]
	delete(s.pending, id)
	return f
}

// end records why the stream ended and makes it end. The receiver settles.
func (s *Stream) end(err error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if first {
		_ = s.wire.CloseSend()
	}
}

// settleAll answers every call that is left: the worker is lost.
func (s *Stream) settleAll() {
	s.mu.Lock()
	unsent := make(map[uint64]bool)
	for _, call := range s.out.Calls {
		unsent[call.Id] = true
	}
	left := make([]*inFlight, 0, len(s.pending))
	for id, f := range s.pending {
		f.reply = Reply{Err: lost(s.err, unsent[id])}
		left = append(left, f)
	}
	clear(s.pending)
	s.out = workerv1.AttachRequest{}
	s.large = nil
	s.mu.Unlock()
	for _, f := range left {
		f.settle()
	}
}

// Call runs one call and returns its answer. Chunks and progress go to sink, on
// the caller's goroutine, in order; a nil sink drops them.
//
// When ctx ends first, the worker is asked to stop the call and Call returns at
// once with ctx's error as cause. Settled is called exactly once, when the slot
// is really free: before Call returns, or later on another goroutine if Call
// left early. It must not block.
func (s *Stream) Call(ctx context.Context, call Call, sink func(shared.StreamEvent) error, settled func(Reply)) Reply {
	f := newInFlight(s, sink != nil, settled)
	frame := &workerv1.Call{
		Command:     call.Command,
		Args:        call.Args,
		SessionId:   call.Session,
		Stream:      sink != nil,
		Traceparent: call.Traceparent,
		Attempt:     uint32(call.Attempt),
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if left <= 0 {
			return f.finish(Reply{Err: expired(ctx)})
		}
		// Rounded up: a call with time left is never refused as expired.
		frame.RemainingMs = uint32(min(int64((left+time.Millisecond-1)/time.Millisecond), 1<<31))
	} else {
		frame.RemainingMs = 1 << 31
	}
	if err := s.submit(f, frame); err != nil {
		return f.finish(Reply{Err: lost(err, true)})
	}
	return f.wait(ctx, sink)
}
