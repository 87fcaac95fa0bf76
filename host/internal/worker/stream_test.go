package worker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// wire is the worker's end of a stream, played by the test.
type wire struct {
	sent   chan *workerv1.AttachRequest
	answer chan *workerv1.AttachResponse
	closed chan struct{}
	once   sync.Once
}

func newWire() *wire {
	return &wire{
		sent:   make(chan *workerv1.AttachRequest, 100),
		answer: make(chan *workerv1.AttachResponse),
		closed: make(chan struct{}),
	}
}

func (w *wire) Send(r *workerv1.AttachRequest) error {
	select {
	case <-w.closed:
		return io.EOF
	case w.sent <- r:
		return nil
	}
}

func (w *wire) Recv() (*workerv1.AttachResponse, error) {
	select {
	case r := <-w.answer:
		return r, nil
	case <-w.closed:
		return nil, errors.New("connection reset")
	}
}

func (w *wire) CloseSend() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// call runs a call on a goroutine of its own.
type running struct {
	reply   chan Reply
	settled chan Reply
	cancel  context.CancelFunc
}

func begin(t *testing.T, s *Stream, call Call, sink func(shared.StreamEvent) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{reply: make(chan Reply, 1), settled: make(chan Reply, 2), cancel: cancel}
	go func() { r.reply <- s.Call(ctx, call, sink, func(x Reply) { r.settled <- x }) }()
	return r
}

func result(id uint64, data string) *workerv1.AttachResponse {
	return &workerv1.AttachResponse{Acked: 1, Results: []*workerv1.Result{{CallId: id, Result: []byte(data)}}}
}

func TestCallsGatherWhileABatchIsUnacknowledged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		first := begin(t, s, Call{Command: "a"}, nil)
		batch := <-w.sent
		if got := len(batch.Calls); got != 1 {
			t.Fatalf("first batch has %d calls, want 1 at once", got)
		}
		var rest []*running
		for range 10 {
			rest = append(rest, begin(t, s, Call{Command: "b"}, nil))
		}
		synctest.Wait()
		if got := len(w.sent); got != 0 {
			t.Fatalf("%d batches were sent before the first was acknowledged, want 0", got)
		}
		w.answer <- &workerv1.AttachResponse{Acked: 1} // the call itself goes on
		second := <-w.sent
		if got := len(second.Calls); got != 10 {
			t.Fatalf("second batch has %d calls, want the 10 gathered", got)
		}
		answer := &workerv1.AttachResponse{Acked: 1}
		for _, c := range append(second.Calls, batch.Calls...) {
			answer.Results = append(answer.Results, &workerv1.Result{CallId: c.Id, Result: []byte(c.Command)})
		}
		w.answer <- answer
		if got := string((<-first.reply).Result); got != "a" {
			t.Errorf("first result = %q, want %q", got, "a")
		}
		for _, r := range rest {
			if got := string((<-r.reply).Result); got != "b" {
				t.Errorf("result = %q, want %q", got, "b")
			}
		}
		s.Close()
		<-s.Done()
	})
}

func TestCancelBeforeSendingTakesTheCallBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		first := begin(t, s, Call{Command: "a"}, nil)
		batch := <-w.sent
		second := begin(t, s, Call{Command: "b"}, nil)
		synctest.Wait()
		second.cancel()
		reply := <-second.reply
		if reply.Err == nil || reply.Err.Reason != shared.Canceled || reply.Err.MayHaveRun != shared.RunNo {
			t.Errorf("reply = %+v, want CANCELLED that did not run", reply.Err)
		}
		<-second.settled
		w.answer <- result(batch.Calls[0].Id, "1")
		<-first.reply
		synctest.Wait()
		if len(w.sent) != 0 {
			t.Errorf("the worker was sent %v, want nothing", <-w.sent)
		}
		s.Close()
		<-s.Done()
	})
}

func TestCancelAfterSendingFreesTheSlotOnlyAtTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		r := begin(t, s, Call{Command: "a"}, nil)
		id := (<-w.sent).Calls[0].Id
		w.answer <- &workerv1.AttachResponse{Acked: 1}
		r.cancel()
		if reply := <-r.reply; reply.Err == nil || reply.Err.MayHaveRun != shared.RunMaybe {
			t.Errorf("reply = %+v, want an error that may have run", reply.Err)
		}
		if got := (<-w.sent).Cancels; len(got) != 1 || got[0].CallId != id {
			t.Fatalf("cancels = %v, want one of call %d", got, id)
		}
		synctest.Wait()
		if len(r.settled) != 0 {
			t.Fatal("the slot was freed before the worker answered")
		}
		w.answer <- &workerv1.AttachResponse{Acked: 1, Failures: []*workerv1.Failure{{CallId: id, Reason: "CANCELLED"}}}
		if got := <-r.settled; got.Err == nil || got.Err.Reason != shared.Canceled {
			t.Errorf("settled with %+v, want CANCELLED", got.Err)
		}
		s.Close()
		<-s.Done()
		if len(r.settled) != 0 {
			t.Error("settled twice")
		}
	})
}

func TestDeadlineTravelsAndEndsTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		reply := make(chan Reply, 1)
		go func() { reply <- s.Call(ctx, Call{Command: "slow"}, nil, func(Reply) {}) }()
		if got := (<-w.sent).Calls[0].RemainingMs; got != 1500 {
			t.Errorf("remaining_ms = %d, want 1500", got)
		}
		w.answer <- &workerv1.AttachResponse{Acked: 1}
		if got := (<-reply).Err; got == nil || got.Reason != shared.ExecutionTimeout {
			t.Errorf("error = %v, want EXECUTION_TIMEOUT", got)
		}
		if got := (<-w.sent).Cancels[0].Reason; got != workerv1.CancelReason_CANCEL_REASON_DEADLINE {
			t.Errorf("cancel reason = %v, want deadline", got)
		}
		s.Close()
		<-s.Done()
	})
}

func TestLostStreamAnswersEveryCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		sent := begin(t, s, Call{Command: "a"}, nil)
		<-w.sent
		unsent := begin(t, s, Call{Command: "b"}, nil)
		synctest.Wait()
		_ = w.CloseSend()
		<-s.Done()
		for _, tc := range []struct {
			name string
			r    *running
			want shared.MayHaveRun
		}{{"sent", sent, shared.RunMaybe}, {"unsent", unsent, shared.RunNo}} {
			err := (<-tc.r.reply).Err
			if err == nil || err.Reason != shared.WorkerLost || err.MayHaveRun != tc.want {
				t.Errorf("%s call: error = %+v, want WORKER_LOST with may_have_run %s", tc.name, err, tc.want)
			}
			<-tc.r.settled
		}
		after := s.Call(t.Context(), Call{Command: "c"}, nil, func(Reply) {})
		if after.Err == nil || after.Err.MayHaveRun != shared.RunNo {
			t.Errorf("call on an ended stream: error = %+v, want one that did not run", after.Err)
		}
	})
}

func TestChunksComeInOrderBeforeTheResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		var got []string
		r := begin(t, s, Call{Command: "count"}, func(e shared.StreamEvent) error {
			got = append(got, string(e.Kind)+" "+string(e.Data))
			return nil
		})
		call := (<-w.sent).Calls[0]
		if !call.Stream {
			t.Error("stream = false, want true")
		}
		w.answer <- &workerv1.AttachResponse{
			Acked:   1,
			Chunks:  []*workerv1.Chunk{{CallId: call.Id, Seq: 0, Data: []byte("1")}, {CallId: call.Id, Seq: 1, Data: []byte("2")}},
			Events:  []*workerv1.Event{{CallId: call.Id, Kind: "progress", Data: []byte("0.5")}},
			Results: []*workerv1.Result{{CallId: call.Id, Result: []byte(`"end"`)}},
		}
		if reply := <-r.reply; string(reply.Result) != `"end"` {
			t.Errorf("reply = %+v, want the result", reply)
		}
		if want := "chunk 1, chunk 2, progress 0.5"; strings.Join(got, ", ") != want {
			t.Errorf("events = %v, want %s", got, want)
		}
		s.Close()
		<-s.Done()
	})
}

func TestCreditFollowsTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		gate := make(chan struct{})
		r := begin(t, s, Call{Command: "count"}, func(shared.StreamEvent) error { <-gate; return nil })
		id := (<-w.sent).Calls[0].Id
		batch := &workerv1.AttachResponse{Acked: 1}
		for i := range shared.ChunkWindow {
			batch.Chunks = append(batch.Chunks, &workerv1.Chunk{CallId: id, Seq: uint32(i), Data: []byte("1")})
		}
		w.answer <- batch
		synctest.Wait()
		if len(w.sent) != 0 {
			t.Fatal("credit was given although the reader took nothing")
		}
		for range shared.ChunkWindow / 2 {
			gate <- struct{}{}
		}
		credits := (<-w.sent).Credits
		if len(credits) != 1 || credits[0].Chunks != shared.ChunkWindow/2 {
			t.Errorf("credits = %v, want one of %d", credits, shared.ChunkWindow/2)
		}
		close(gate)
		r.cancel()
		<-r.reply
		s.Close()
		<-s.Done()
	})
}

func TestProtocolViolationsEndTheStream(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		bad  func(id uint64) *workerv1.AttachResponse
	}{
		{"acknowledged too much", func(uint64) *workerv1.AttachResponse { return &workerv1.AttachResponse{Acked: 2} }},
		{"gap in chunks", func(id uint64) *workerv1.AttachResponse {
			return &workerv1.AttachResponse{Chunks: []*workerv1.Chunk{{CallId: id, Seq: 1}}}
		}},
		{"chunks without credit", func(id uint64) *workerv1.AttachResponse {
			r := &workerv1.AttachResponse{}
			for i := range 10 * shared.ChunkWindow {
				r.Chunks = append(r.Chunks, &workerv1.Chunk{CallId: id, Seq: uint32(i)})
			}
			return r
		}},
		{"payload over the limit", func(id uint64) *workerv1.AttachResponse {
			return &workerv1.AttachResponse{Fragments: []*workerv1.Fragment{{CallId: id, Data: make([]byte, 2<<10)}}}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				s := NewStream(w, 1<<10)
				hold := make(chan struct{})
				r := begin(t, s, Call{Command: "a"}, func(shared.StreamEvent) error { <-hold; return nil })
				w.answer <- tc.bad((<-w.sent).Calls[0].Id)
				<-s.Done()
				close(hold)
				if err := (<-r.reply).Err; err == nil || err.Reason != shared.WorkerLost {
					t.Errorf("error = %v, want WORKER_LOST", err)
				}
			})
		})
	}
}

func TestUnknownAndRepeatedAnswersAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		r := begin(t, s, Call{Command: "a"}, nil)
		id := (<-w.sent).Calls[0].Id
		w.answer <- result(99, "stray")
		w.answer <- &workerv1.AttachResponse{Results: []*workerv1.Result{{CallId: id, Result: []byte("1")}, {CallId: id, Result: []byte("2")}}}
		if got := string((<-r.reply).Result); got != "1" {
			t.Errorf("result = %q, want the first", got)
		}
		<-r.settled
		synctest.Wait()
		if len(r.settled) != 0 {
			t.Error("settled twice")
		}
		s.Close()
		<-s.Done()
	})
}

func TestLargePayloadsLeaveRoomForSmallOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 16<<20)
		big := bytes.Repeat([]byte("x"), 5<<20)
		large := begin(t, s, Call{Command: "large", Args: big}, nil)
		first := <-w.sent
		small := begin(t, s, Call{Command: "small", Args: []byte("{}")}, nil)
		synctest.Wait()
		var got []byte
		sawSmall := -1
		for batches := 0; ; batches++ {
			batch := first
			if batches > 0 {
				batch = <-w.sent
			}
			for _, f := range batch.Fragments {
				if len(f.Data) > shared.FragmentSize {
					t.Fatalf("fragment of %d bytes, want at most %d", len(f.Data), shared.FragmentSize)
				}
				got = append(got, f.Data...)
			}
			answer := &workerv1.AttachResponse{Acked: 1}
			done := false
			for _, c := range batch.Calls {
				if c.Command == "small" {
					sawSmall = batches
					answer.Results = append(answer.Results, &workerv1.Result{CallId: c.Id, Result: []byte("1")})
					continue
				}
				done = true
				if !c.Fragmented || len(c.Args) != 0 {
					t.Error("the large call carries its arguments itself")
				}
				// The answer comes in fragments too.
				answer.Fragments = []*workerv1.Fragment{{CallId: c.Id, Data: []byte("ab")}, {CallId: c.Id, Data: []byte("cd")}}
				answer.Results = append(answer.Results, &workerv1.Result{CallId: c.Id, Fragmented: true})
			}
			w.answer <- answer
			if done {
				break
			}
		}
		if !bytes.Equal(got, big) {
			t.Errorf("the worker joined %d bytes, want the %d sent", len(got), len(big))
		}
		if sawSmall != 1 {
			t.Errorf("the small call went out in batch %d, want the one after it was made", sawSmall)
		}
		if got := string((<-large.reply).Result); got != "abcd" {
			t.Errorf("joined result = %q, want %q", got, "abcd")
		}
		<-small.reply
		s.Close()
		<-s.Done()
	})
}

func TestHeartbeatIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s := NewStream(w, 1<<20)
		w.answer <- &workerv1.AttachResponse{Heartbeat: &workerv1.Heartbeat{Seq: 1, InFlight: 3, LagMs: 20, RssBytes: 1 << 20}}
		synctest.Wait()
		beat := s.Beat()
		if beat.InFlight != 3 || beat.Lag != 20*time.Millisecond || beat.RSS != 1<<20 || beat.At.IsZero() {
			t.Errorf("beat = %+v", beat)
		}
		s.Close()
		<-s.Done()
	})
}
