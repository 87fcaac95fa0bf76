package plugin

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

func resultFrame(id uint64, size int) frame {
	return frame{callID: id, result: &workerv1.Result{}, data: bytes.Repeat([]byte{byte(id)}, size)}
}

func TestOutboxInterleavesLargePayloads(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	o.put(&lane{}, resultFrame(1, 10<<20))
	o.put(&lane{}, resultFrame(2, 10<<20))
	o.put(&lane{}, resultFrame(3, 10))
	resp := o.take()
	if len(resp.GetResults()) != 1 || resp.GetResults()[0].GetCallId() != 3 {
		t.Errorf("first batch: got results %v, want the small one", resp.GetResults())
	}
	var ids []uint64
	for _, f := range resp.GetFragments() {
		ids = append(ids, f.GetCallId())
	}
	if diff := cmp.Diff([]uint64{1, 2, 1, 2}, ids); diff != "" {
		t.Errorf("fragments of the first batch (-want +got):\n%s", diff)
	}
}

// A fragment may not share a batch with an earlier frame of its call, for a
// reader sees the fragments first.
func TestOutboxKeepsFragmentsBehindFrames(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	l := &lane{}
	o.put(l, frame{callID: 1, chunk: &workerv1.Chunk{}, data: []byte("1")})
	o.put(l, resultFrame(1, shared.FragmentSize+1))
	first, second := o.take(), o.take()
	if len(first.GetChunks()) != 1 || len(first.GetFragments()) != 0 {
		t.Errorf("first batch: got %d chunks, %d fragments; want 1, 0", len(first.GetChunks()), len(first.GetFragments()))
	}
	if len(second.GetFragments()) != 2 || !second.GetResults()[0].GetFragmented() {
		t.Errorf("second batch: got %d fragments, want 2 and the fragmented result", len(second.GetFragments()))
	}
	if third := o.take(); third != nil {
		t.Errorf("third batch: got %v, want none", third)
	}
}

func TestOutboxDropsTheOldestEvents(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	l := &lane{}
	o.put(l, frame{callID: 1, chunk: &workerv1.Chunk{}, data: []byte("0")})
	for i := range maxEvents + 5 {
		o.put(l, frame{callID: 1, event: &workerv1.Event{}, data: fmt.Append(nil, i)})
	}
	resp := o.take()
	if got := len(resp.GetEvents()); got != maxEvents || len(resp.GetChunks()) != 1 {
		t.Fatalf("got %d events and %d chunks, want %d and 1", got, len(resp.GetChunks()), maxEvents)
	}
	if got := string(resp.GetEvents()[0].GetData()); got != "5" {
		t.Errorf("got oldest event %s, want 5", got)
	}
	o.put(l, frame{callID: 1, event: &workerv1.Event{}, data: []byte("1")})
	if got := len(o.take().GetEvents()); got != 1 {
		t.Errorf("after the batch: got %d events, want 1", got)
	}
}

func TestOutboxTakesNothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	o := newOutbox()
	l := &lane{}
	if !o.put(l, resultFrame(1, 1)) || o.put(l, resultFrame(1, 1)) {
		t.Error("got a second terminal frame into a lane, want one")
	}
	o.beat(&workerv1.Heartbeat{Seq: 1})
	o.beat(&workerv1.Heartbeat{Seq: 2})
	o.ack()
	o.ack()
	o.close()
	if o.put(&lane{}, resultFrame(2, 1)) {
		t.Error("got a frame into a closed outbox")
	}
	if o.done() {
		t.Error("got done while frames wait")
	}
	resp := o.take()
	if resp.GetAcked() != 2 || resp.GetHeartbeat().GetSeq() != 2 || len(resp.GetResults()) != 1 {
		t.Errorf("got %v, want 2 acknowledged, heartbeat 2 and one result", resp)
	}
	if !o.done() {
		t.Error("got not done although all was taken")
	}
}

// Random frames of many calls, put and taken in random order, arrive whole and,
// per call, in order; no message is large.
func TestOutboxDeliversRandomHistories(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 50 {
		o := newOutbox()
		const calls = 8
		lanes := make([]lane, calls)
		sent := make([][]string, calls)
		state := seen{calls: make(map[uint64]*record)}
		acks := uint32(0)
		take := func() bool {
			resp := o.take()
			if resp == nil {
				return false
			}
			size := 0
			for _, f := range resp.GetFragments() {
				size += len(f.GetData())
			}
			for _, f := range resp.GetChunks() {
				size += len(f.GetData())
			}
			for _, f := range resp.GetResults() {
				size += len(f.GetResult())
			}
			if size > batchSize+shared.FragmentSize {
				t.Errorf("seed %d round %d: got a batch of %d bytes", seed, round, size)
			}
			state.add(resp)
			return true
		}
		for open := calls; open > 0; {
			id := rng.IntN(calls)
			if lanes[id].ended {
				continue
			}
			size := rng.IntN(100)
			if rng.IntN(4) == 0 {
				size = rng.IntN(300_000)
			}
			data := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, size)
			f := frame{callID: uint64(id), data: data}
			if rng.IntN(6) == 0 {
				f.result = &workerv1.Result{}
				open--
			} else {
				f.chunk = &workerv1.Chunk{}
			}
			sent[id] = append(sent[id], string(data))
			o.put(&lanes[id], f)
			if rng.IntN(5) == 0 {
				o.ack()
				acks++
			}
			if rng.IntN(5) == 0 {
				take()
			}
		}
		for take() {
		}
		for id, want := range sent {
			r := state.calls[uint64(id)]
			got := append(r.chunks, string(r.result))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d round %d: call %d (-want +got):\n%.2000s", seed, round, id, diff)
			}
		}
		if state.acked != acks || len(state.faults) > 0 {
			t.Fatalf("seed %d round %d: got %d acknowledged, faults %v; want %d, none", seed, round, state.acked, state.faults, acks)
		}
	}
}

func TestIDSet(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		var s idSet
		model := make(map[uint64]bool)
		for range 3000 {
			id := rng.Uint64N(2000)
			if rng.IntN(50) == 0 {
				id = ^uint64(0) - rng.Uint64N(3)
			}
			if got, want := s.has(id), model[id]; got != want {
				t.Fatalf("seed %d: has(%d) is %t, want %t", seed, id, got, want)
			}
			if got, want := s.add(id), !model[id]; got != want {
				t.Fatalf("seed %d: add(%d) is %t, want %t", seed, id, got, want)
			}
			model[id] = true
		}
		for i, sp := range s.spans {
			if sp.lo > sp.hi || i > 0 && s.spans[i-1].hi+1 >= sp.lo {
				t.Fatalf("seed %d: spans %v are not sorted and apart", seed, s.spans)
			}
		}
	}
}

func TestIDSetStaysSmall(t *testing.T) {
	t.Parallel()
	var s idSet
	for id := range uint64(1_000_000) {
		s.add(id)
	}
	if len(s.spans) != 1 {
		t.Errorf("a million IDs in order: got %d spans, want 1", len(s.spans))
	}
	for id := range uint64(100_000) {
		if !s.add(2_000_000 + 3*id) {
			t.Fatalf("add(%d): got a duplicate", 2_000_000+3*id)
		}
	}
	if len(s.spans) > maxSpans {
		t.Errorf("scattered IDs: got %d spans, want at most %d", len(s.spans), maxSpans)
	}
	if s.add(2_000_000 + 3*99_999) {
		t.Error("a recent ID: got it as new")
	}
}
