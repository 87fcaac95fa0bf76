package plugin

import (
	"slices"
	"sync"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

const (
	// batchSize is the payload in bytes after which no further frame joins a
	// batch. A message that carries one stays below 512 KiB, so that a large
	// payload never makes the frames of other calls wait for long.
	batchSize = 256 << 10
	// frameOverhead stands for what a frame costs beside its payload.
	frameOverhead = 32
	// maxEvents is the number of events of a call that wait to be sent. Beyond
	// it the oldest is dropped.
	maxEvents = 32
)

// outbox gathers the frames that go to the host until the sender takes them, as
// one batch, for the next message. Frames of one call keep their order; calls
// take turns.
type outbox struct {
	// wake has an item when there may be something to take.
	wake chan struct{}

	mu        sync.Mutex
	acked     uint32              // guarded by mu
	heartbeat *workerv1.Heartbeat // guarded by mu; nil or the newest one
	ring      []*lane             // guarded by mu; lanes with frames, in turn
	spare     []*lane             // guarded by mu; the ring of before, for reuse
	batch     uint64              // guarded by mu; counts the batches
	closed    bool                // guarded by mu
}

// lane is the frames of one call that wait, in order. Its fields are guarded by
// the mutex of the outbox.
type lane struct {
	frames []frame
	events int  // of these frames
	queued bool // in the ring
	ended  bool // its terminal frame was put
	seq    uint32
	sealed uint64 // the batch that a whole frame of the lane went into
}

// frame is one message of a call: exactly one of the pointers is set. Data is
// its payload as long as it waits; sent is how much of it went out as fragments.
type frame struct {
	chunk   *workerv1.Chunk
	event   *workerv1.Event
	result  *workerv1.Result
	failure *workerv1.Failure
	refusal *workerv1.Refusal
	callID  uint64
	data    []byte
	sent    int
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1)}
}

// ack counts one request as dispatched.
func (o *outbox) ack() {
	o.mu.Lock()
	o.acked++
	o.mu.Unlock()
	o.signal()
}

// beat puts a heartbeat in place of one that still waits.
func (o *outbox) beat(h *workerv1.Heartbeat) {
	o.mu.Lock()
	o.heartbeat = h
	o.mu.Unlock()
	o.signal()
}

// put appends a frame to a lane. It reports false where nothing may follow: the
// lane has had its terminal frame, or the outbox is closed.
func (o *outbox) put(l *lane, f frame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || l.ended {
		return false
	}
	switch {
	case f.chunk != nil:
		f.chunk.Seq = l.seq
		l.seq++
	case f.event != nil:
		if l.events == maxEvents {
			oldest := slices.IndexFunc(l.frames, func(f frame) bool { return f.event != nil })
			l.frames = slices.Delete(l.frames, oldest, oldest+1)
			l.events--
		}
		l.events++
	default:
		l.ended = true
	}
	l.frames = append(l.frames, f)
	if !l.queued {
		l.queued = true
		o.ring = append(o.ring, l)
	}
	o.signal()
	return true
}

// take returns the next batch, nil if nothing waits.
func (o *outbox) take() *workerv1.AttachResponse {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.acked == 0 && o.heartbeat == nil && len(o.ring) == 0 {
		return nil
	}
	o.batch++
	resp := &workerv1.AttachResponse{Acked: o.acked, Heartbeat: o.heartbeat}
	o.acked, o.heartbeat = 0, nil

	ring, next := o.ring, o.spare[:0]
	size := 0
	for i := 0; i < len(ring); i++ {
		l := ring[i]
		if size >= batchSize {
			next = append(next, ring[i:]...)
			break
		}
		n := l.move(resp, o.batch)
		size += n
		switch {
		case len(l.frames) == 0:
			l.queued = false
		case n == 0: // nothing more of this lane may join this batch
			next = append(next, l)
		default:
			ring = append(ring, l)
		}
	}
	clear(ring)
	o.ring, o.spare = next, ring
	return resp
}

// close makes every later put fail. What waits can still be taken.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.signal()
}

// done reports whether the outbox is closed and empty.
func (o *outbox) done() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed && o.acked == 0 && o.heartbeat == nil && len(o.ring) == 0
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// move puts the first frame of the lane, or a fragment of it, into the batch and
// returns the bytes that it added. It adds none, and returns 0, if the frame has
// to wait for another batch: a reader looks at the fragments of a batch before
// its other frames, so a fragment may not follow a frame of its own call.
func (l *lane) move(resp *workerv1.AttachResponse, batch uint64) int {
	f := &l.frames[0]
	if len(f.data) <= shared.FragmentSize {
		n := frameOverhead + len(f.data)
		l.finish(resp, batch, false)
		return n
	}
	if l.sealed == batch {
		return 0
	}
	piece := f.data[f.sent:min(f.sent+shared.FragmentSize, len(f.data))]
	resp.Fragments = append(resp.Fragments, &workerv1.Fragment{CallId: f.callID, Data: piece})
	f.sent += len(piece)
	if f.sent == len(f.data) {
		l.finish(resp, batch, true)
	}
	return frameOverhead + len(piece)
}

// finish puts the first frame itself into the batch and removes it.
func (l *lane) finish(resp *workerv1.AttachResponse, batch uint64, fragmented bool) {
	f := l.frames[0]
	data := f.data
	if fragmented {
		data = nil
	}
	switch {
	case f.chunk != nil:
		f.chunk.CallId, f.chunk.Data, f.chunk.Fragmented = f.callID, data, fragmented
		resp.Chunks = append(resp.Chunks, f.chunk)
	case f.event != nil:
		f.event.CallId, f.event.Data = f.callID, data
		resp.Events = append(resp.Events, f.event)
		l.events--
	case f.result != nil:
		f.result.CallId, f.result.Result, f.result.Fragmented = f.callID, data, fragmented
		resp.Results = append(resp.Results, f.result)
	case f.failure != nil:
		f.failure.CallId = f.callID
		resp.Failures = append(resp.Failures, f.failure)
	case f.refusal != nil:
		f.refusal.CallId = f.callID
		resp.Refusals = append(resp.Refusals, f.refusal)
	}
	l.sealed = batch
	l.frames[0] = frame{}
	l.frames = l.frames[1:]
	if len(l.frames) == 0 {
		l.frames = nil
	}
}
