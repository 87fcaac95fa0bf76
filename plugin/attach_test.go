package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("zeta", func(*Context, json.RawMessage) (any, error) { return 1, nil },
		Doc("  Does it.\n"), Idempotent(), Uncancellable(), Schema([]byte(`{ "type": "object" }`), []byte(`{"type":"integer"}`)))
	app.Stream("alpha", func(*Context, json.RawMessage, func(any) error) (any, error) { return 1, nil })
	client := serveWorker(t, newWorker(app, hclog.NewNullLogger(), 0, nil))
	got, err := client.Describe(t.Context(), &workerv1.DescribeRequest{})
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	type desc struct {
		Name, Doc, Args, Result            string
		Streaming, Idempotent, Cancellable bool
	}
	var commands []desc
	for _, c := range got.GetCommands() {
		commands = append(commands, desc{
			c.GetName(), c.GetDoc(), string(c.GetArgsSchema()), string(c.GetResultSchema()),
			c.GetStreaming(), c.GetIdempotent(), c.GetCancellable(),
		})
	}
	want := []desc{
		{Name: "alpha", Streaming: true, Cancellable: true},
		{Name: "ping", Doc: "Answer with the arguments, the worker and its process ID.", Idempotent: true, Cancellable: true},
		{Name: "zeta", Doc: "Does it.", Args: `{"type":"object"}`, Result: `{"type":"integer"}`, Idempotent: true},
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if got.GetSdk() != SDK || got.GetSdkVersion() != Version || got.GetPid() != int64(os.Getpid()) {
		t.Errorf("got sdk %q %q pid %d, want %q %q %d", got.GetSdk(), got.GetSdkVersion(), got.GetPid(), SDK, Version, os.Getpid())
	}
	if v := got.GetVersions()["go"]; v != runtime.Version() {
		t.Errorf("got go %q, want %q", v, runtime.Version())
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	h := attach(t, New("acme"), nil)
	h.call(&workerv1.Call{Id: 7, Command: "ping", Args: []byte(`{"x": [1, "<&>"]}`)})
	want := fmt.Sprintf(`{"pong":true,"args":{"x":[1,"<&>"]},"worker":"qa-1","pid":%d}`, os.Getpid())
	if got := string(h.terminal(7).result); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPingCanBeReplaced(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("ping", func(*Context, json.RawMessage) (any, error) { return "mine", nil })
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "ping"})
	if got := string(h.terminal(1).result); got != `"mine"` {
		t.Errorf("got %s, want %q", got, "mine")
	}
}

func TestContextTellsOfTheCall(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("who", func(ctx *Context, _ json.RawMessage) (any, error) {
		_, timed := ctx.Deadline()
		return []any{
			ctx.SessionID(), ctx.Traceparent(), ctx.Attempt(), ctx.Command(),
			ctx.WorkerID(), ctx.Pool(), ctx.Generation(), timed, ctx.Logger() != nil,
		}, nil
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "who", SessionId: "s-1", Traceparent: "00-ab", Attempt: 2})
	want := `["s-1","00-ab",2,"who","qa-1","qa",3,true,true]`
	if got := string(h.terminal(1).result); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEachBatchIsAcknowledgedBeforeItsCallsEnd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	app := New("acme")
	app.Command("wait", func(*Context, json.RawMessage) (any, error) {
		<-release
		return nil, nil
	})
	h := attach(t, app, nil)
	for id := range uint64(5) {
		h.call(&workerv1.Call{Id: 10 + id, Command: "wait"})
	}
	h.send(&workerv1.AttachRequest{}) // an empty batch counts as well
	h.until("6 acknowledged", func(s *seen) bool { return s.acked == 6 })
	h.check(func(s *seen) {
		if len(s.order) != 0 {
			t.Errorf("got %d ended calls, want 0", len(s.order))
		}
	})
	close(release)
	for id := range uint64(5) {
		if got := string(h.terminal(10 + id).result); got != "null" {
			t.Errorf("got %s, want null", got)
		}
	}
}

func TestPipelinedCallsShareBatches(t *testing.T) {
	t.Parallel()
	const calls, window = 2000, 100
	h := attach(t, New("acme"), nil)
	for id := uint64(0); id < calls; id += window {
		batch := make([]*workerv1.Call, window)
		for i := range batch {
			batch[i] = &workerv1.Call{Id: id + uint64(i), Command: "ping"}
		}
		h.call(batch...)
	}
	h.until("all results", func(s *seen) bool { return len(s.order) == calls })
	h.check(func(s *seen) {
		t.Logf("%d results in %d responses, at most %d in one", calls, s.responses, s.largest)
		if s.responses > calls/2 || s.largest < 2 {
			t.Errorf("got %d responses with at most %d results, want results to share responses", s.responses, s.largest)
		}
	})
}

func TestFragmentsBothWays(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("echo", func(_ *Context, args json.RawMessage) (any, error) { return args, nil })
	h := attach(t, app, nil)

	args := make(map[uint64][]byte)
	for id, size := range map[uint64]int{1: 65_536 - 8, 2: 65_537 - 8, 3: 300_000, 4: 2 << 20, 5: 10} {
		args[id] = fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat(string(rune('a'+id)), size))
	}
	// The fragments of all calls are interleaved at random.
	rest := make(map[uint64][]byte)
	for id, data := range args {
		rest[id] = data
	}
	for len(rest) > 0 {
		for id, data := range rest {
			if len(data) == len(args[id]) && len(data) <= shared.FragmentSize {
				h.call(&workerv1.Call{Id: id, Command: "echo", Args: data})
				delete(rest, id)
				continue
			}
			n := min(len(data), 1+rand.IntN(shared.FragmentSize))
			h.send(&workerv1.AttachRequest{Fragments: []*workerv1.Fragment{{CallId: id, Data: data[:n]}}})
			if rest[id] = data[n:]; n == len(data) {
				h.call(&workerv1.Call{Id: id, Command: "echo", Fragmented: true})
				delete(rest, id)
			}
		}
	}
	for id, want := range args {
		got := h.terminal(id)
		if !bytes.Equal(got.result, want) {
			t.Errorf("call %d: got %d bytes, want the %d bytes that were sent", id, len(got.result), len(want))
		}
		wantLargest := 0
		if len(want) > shared.FragmentSize {
			wantLargest = shared.FragmentSize
		}
		if got.largest != wantLargest {
			t.Errorf("call %d: got fragments up to %d bytes, want %d", id, got.largest, wantLargest)
		}
	}
}

func TestChunksWaitForCredit(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	progress := make(chan int64, 1000)
	app := New("acme")
	Stream(app, "count", func(_ *Context, args struct{ To int }, send func(int) error) (string, error) {
		for i := range args.To {
			if err := send(i); err != nil {
				return "", err
			}
			progress <- sent.Add(1)
		}
		return "done", nil
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "count", Args: []byte(`{"To":200}`), Stream: true})
	chunks := func(n int) func(*seen) bool {
		return func(s *seen) bool { return s.calls[1] != nil && len(s.calls[1].chunks) >= n }
	}
	h.until("64 chunks", chunks(64))
	// Another call goes on meanwhile: a reader that is slow stalls only itself.
	h.call(&workerv1.Call{Id: 2, Command: "ping"})
	h.terminal(2)
	if got := sent.Load(); got != 64 {
		t.Errorf("got %d chunks sent without credit, want 64", got)
	}
	h.send(&workerv1.AttachRequest{Credits: []*workerv1.Credit{{CallId: 1, Chunks: 10}, {CallId: 99, Chunks: 5}}})
	h.until("74 chunks", chunks(74))
	h.call(&workerv1.Call{Id: 3, Command: "ping"})
	h.terminal(3)
	if got := sent.Load(); got != 74 {
		t.Errorf("got %d chunks sent with 10 credits, want 74", got)
	}
	h.send(&workerv1.AttachRequest{Credits: []*workerv1.Credit{{CallId: 1, Chunks: 1000}}})
	got := h.terminal(1)
	if string(got.result) != `"done"` || len(got.chunks) != 200 || got.chunks[199] != "199" {
		t.Errorf("got %s and %d chunks, want \"done\" and 200", got.result, len(got.chunks))
	}
}

func TestSendFromSeveralGoroutines(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 50
	app := New("acme")
	app.Stream("many", func(_ *Context, _ json.RawMessage, send func(any) error) (any, error) {
		var group sync.WaitGroup
		errs := make(chan error, senders)
		for n := range senders {
			group.Go(func() {
				for range each {
					if err := send(n); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		group.Wait()
		close(errs)
		return nil, <-errs
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "many", Stream: true})
	// All senders wait when credits for all of them come at once.
	for got := shared.ChunkWindow; got < senders*each; got += senders {
		h.until("chunks", func(s *seen) bool { return s.calls[1] != nil && len(s.calls[1].chunks) >= got })
		h.send(&workerv1.AttachRequest{Credits: []*workerv1.Credit{{CallId: 1, Chunks: senders}}})
	}
	got := h.terminal(1)
	counts := make(map[string]int)
	for _, chunk := range got.chunks {
		counts[chunk]++
	}
	want := make(map[string]int)
	for n := range senders {
		want[fmt.Sprint(n)] = each
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("chunks per sender (-want +got):\n%s", diff)
	}
}

func TestChunksOnlyForThoseWhoAsk(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Stream("count", func(ctx *Context, _ json.RawMessage, send func(any) error) (any, error) {
		for i := range 100 { // more than the credit
			if err := ctx.Progress(i); err != nil {
				return nil, err
			}
			if err := send(i); err != nil {
				return nil, err
			}
		}
		return "done", nil
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "count"})
	got := h.terminal(1)
	if string(got.result) != `"done"` || len(got.chunks) != 0 || len(got.events) != 0 {
		t.Errorf("got %s, chunks %v, events %v; want only the result", got.result, got.chunks, got.events)
	}
}

func TestLargeChunksKeepTheirOrder(t *testing.T) {
	t.Parallel()
	sizes := []int{5, 200_000, 3, 70_000, 0, 500_000, 1}
	app := New("acme")
	app.Stream("mixed", func(_ *Context, _ json.RawMessage, send func(any) error) (any, error) {
		for _, size := range sizes {
			if err := send(strings.Repeat("c", size)); err != nil {
				return nil, err
			}
		}
		return strings.Repeat("r", 100_000), nil
	})
	h := attach(t, app, nil)
	for id := range uint64(8) {
		h.call(&workerv1.Call{Id: id, Command: "mixed", Stream: true})
	}
	for id := range uint64(8) {
		got := h.terminal(id)
		var lengths []int
		for _, chunk := range got.chunks {
			lengths = append(lengths, len(chunk)-2)
		}
		if diff := cmp.Diff(sizes, lengths); diff != "" {
			t.Errorf("call %d: sizes of chunks (-want +got):\n%s", id, diff)
		}
		if len(got.result) != 100_002 {
			t.Errorf("call %d: got a result of %d bytes, want 100002", id, len(got.result))
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("work", func(ctx *Context, _ json.RawMessage) (any, error) {
		if err := ctx.Progress(map[string]int{"percent": 50}); err != nil {
			return nil, err
		}
		return fmt.Sprint(ctx.Progress(make(chan int)), "; ", ctx.Progress(strings.Repeat("x", 70_000)) != nil), nil
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "work", Stream: true})
	got := h.terminal(1)
	if diff := cmp.Diff([]string{`progress {"percent":50}`}, got.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	want := `"encode progress: json: unsupported type: chan int; true"`
	if string(got.result) != want {
		t.Errorf("got %s, want %s", got.result, want)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	app := New("acme")
	app.Command("wait", func(*Context, json.RawMessage) (any, error) {
		<-release
		return nil, nil
	})
	h := attach(t, app, &workerv1.ConfigureRequest{MaxInFlight: 2})
	h.send(&workerv1.AttachRequest{Calls: []*workerv1.Call{{Id: 1, Command: "ping", Args: []byte("{}")}}})
	if got := h.terminal(1).refusal; got.GetReason() != string(shared.DeadlineExceeded) {
		t.Errorf("no time left: got %v, want %s", got, shared.DeadlineExceeded)
	}
	h.call(&workerv1.Call{Id: 2, Command: "wait"}, &workerv1.Call{Id: 3, Command: "wait"}, &workerv1.Call{Id: 4, Command: "wait"})
	if got := h.terminal(4).refusal; got.GetReason() != string(shared.WorkerBusy) {
		t.Errorf("third of two: got %v, want %s", got, shared.WorkerBusy)
	}
	close(release)
	h.terminal(2)
	h.terminal(3)
	h.call(&workerv1.Call{Id: 5, Command: "ping"})
	if got := h.terminal(5); got.result == nil {
		t.Errorf("after a slot became free: got %v, want a result", got.refusal)
	}
}

// A slot is free as soon as the host can know that its call has ended. The
// stream is in memory, so that the host answers with the next call at once.
func TestSlotIsFreeWhenTheHostSeesTheResult(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorker(New("acme"), hclog.NewNullLogger(), 0, nil)
	if _, err := w.Configure(ctx, &workerv1.ConfigureRequest{MaxInFlight: 1}); err != nil {
		t.Fatal(err)
	}
	stream := newTestStream(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Attach(stream) }()
	defer func() {
		cancel()
		<-ended
	}()
	for id := range uint64(20_000) {
		stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{{Id: id, Command: "ping", RemainingMs: 60_000}}})
		for done := false; !done; {
			resp := <-stream.out
			if len(resp.GetRefusals()) > 0 {
				t.Fatalf("call %d: refused with %s", id, resp.GetRefusals()[0].GetReason())
			}
			done = len(resp.GetResults()) > 0
		}
	}
}

func TestAttachBeforeConfigure(t *testing.T) {
	t.Parallel()
	client := serveWorker(t, newWorker(New("acme"), hclog.NewNullLogger(), 0, nil))
	if got := status.Code(attachTo(t, client).end()); got != codes.FailedPrecondition {
		t.Errorf("got %s, want %s", got, codes.FailedPrecondition)
	}
}

func TestProtocolErrorsEndTheStream(t *testing.T) {
	t.Parallel()
	ping := func(id uint64, fragmented bool) *workerv1.Call {
		return &workerv1.Call{Id: id, Command: "ping", Args: []byte("{}"), RemainingMs: 1000, Fragmented: fragmented}
	}
	fragment := []*workerv1.Fragment{{CallId: 1, Data: []byte("{}")}}
	tests := map[string]struct {
		batches []*workerv1.AttachRequest
		want    string
	}{
		"id twice in a batch": {
			[]*workerv1.AttachRequest{{Calls: []*workerv1.Call{ping(1, false), ping(1, false)}}},
			"protocol error: call id 1 was used before",
		},
		"id of an ended call": {
			[]*workerv1.AttachRequest{{Calls: []*workerv1.Call{ping(1, false)}}, {Calls: []*workerv1.Call{ping(2, false)}}, {Calls: []*workerv1.Call{ping(1, false)}}},
			"protocol error: call id 1 was used before",
		},
		"fragment after the call": {
			[]*workerv1.AttachRequest{{Calls: []*workerv1.Call{ping(1, false)}}, {Fragments: fragment}},
			"protocol error: fragment for call 1, which was made before",
		},
		"fragmented without fragments": {
			[]*workerv1.AttachRequest{{Calls: []*workerv1.Call{ping(1, true)}}},
			"protocol error: call 1: fragmented is true but there are 0 bytes of fragments",
		},
		"fragmented call whose upload was cancelled": {
			[]*workerv1.AttachRequest{{Fragments: fragment, Cancels: []*workerv1.Cancel{{CallId: 1}}}, {Calls: []*workerv1.Call{ping(1, true)}}},
			"protocol error: call 1: fragmented is true but there are 0 bytes of fragments",
		},
		"fragments but not fragmented": {
			[]*workerv1.AttachRequest{{Fragments: fragment, Calls: []*workerv1.Call{ping(1, false)}}},
			"protocol error: call 1: fragmented is false but there are 2 bytes of fragments",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := attach(t, New("acme"), nil)
			for _, batch := range test.batches {
				h.send(batch)
			}
			err := h.end()
			if got := status.Convert(err); got.Code() != codes.InvalidArgument || got.Message() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestSecondAttachEndsTheFirst(t *testing.T) {
	t.Parallel()
	begun, causes := make(chan struct{}), make(chan string, 1)
	app := New("acme")
	app.Command("wait", func(ctx *Context, _ json.RawMessage) (any, error) {
		close(begun)
		<-ctx.Done()
		causes <- ctx.Err().Error()
		return nil, ctx.Err()
	})
	client := serveWorker(t, newWorker(app, hclog.NewNullLogger(), 0, nil))
	configure(t, client, nil)
	first := attachTo(t, client)
	first.call(&workerv1.Call{Id: 1, Command: "wait"})
	recvOrFail(t, "start of the call", begun)

	second := attachTo(t, client)
	second.call(&workerv1.Call{Id: 1, Command: "ping"}) // IDs begin anew on each stream
	if got := second.terminal(1); got.result == nil {
		t.Errorf("on the second stream: got %+v, want a result", got)
	}
	if got := status.Code(first.end()); got != codes.Aborted {
		t.Errorf("end of the first stream: got %s, want %s", got, codes.Aborted)
	}
	if got := recvOrFail(t, "cancel of the call", causes); got != "context canceled" {
		t.Errorf("call on the first stream: got %q, want it cancelled", got)
	}
}
