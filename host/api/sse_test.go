package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

// openStream begins a stream; its body is closed when the test ends.
func (x *fixture) openStream(t *testing.T, ctx context.Context, client *http.Client) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", x.url+"/v1/pools/qa/call?stream=1", strings.NewReader(`{"command":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("open stream: %v", err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// readEvent reads up to the empty line that ends an event.
func readEvent(r *bufio.Reader) (string, error) {
	var event strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\n" {
			return event.String(), err
		}
		event.WriteString(line)
	}
}

func TestStreamEvents(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	a := x.do(t, "POST", "/v1/pools/qa/call?stream=1", `{"command":"ping"}`)
	want := `event: chunk
id: 1
data: {"i":0}

event: chunk
id: 2
data: {"i":1}

event: chunk
id: 3
data: {"i":2}

event: progress
id: 4
data: 0.5

event: result
id: 5
data: {"result":{"command":"ping","args":{}},"worker":"qa-1","queue_ms":1.5,"run_ms":20}

`
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := a.header.Get("Content-Type"); a.status != 200 || got != "text/event-stream" {
		t.Errorf("status %d, content type %q, want an event stream", a.status, got)
	}
}

func TestStreamSendsEachEventAtOnce(t *testing.T) {
	t.Parallel()
	f := newFake()
	next := make(chan string)
	f.stream = func(_ context.Context, _ shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		for data := range next {
			if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: json.RawMessage(data)}); err != nil {
				return nil, err
			}
		}
		return &shared.CallResult{Result: json.RawMessage("{\n\"a\":\r\n1}")}, nil
	}
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			next = make(chan string)
			x := start(t, f, Options{})
			client := clientOf(t, proto)
			go func() { next <- "1" }() // the answer begins with the first event
			r := bufio.NewReader(x.openStream(t, t.Context(), client).Body)
			for i, data := range []string{"1", `"two"`, "{}"} {
				if i > 0 {
					next <- data
				}
				if got, err := readEvent(r); err != nil || !strings.HasSuffix(got, "data: "+data+"\n") {
					t.Fatalf("event = %q, %v, want data %s", got, err, data)
				}
			}
			close(next)
			got, err := readEvent(r)
			if want := "event: result\nid: 4\ndata: {\"result\":{\ndata: \"a\":\ndata: 1},\"worker\":\"\",\"queue_ms\":0,\"run_ms\":0}\n"; err != nil || got != want {
				t.Errorf("result = %q, %v, want %q", got, err, want)
			}
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("after the result: %q, %v, want the end", rest, err)
			}
		})
	}
}

func TestStreamEndsWithTheClient(t *testing.T) {
	t.Parallel()
	f := newFake()
	ended := make(chan error, 1)
	f.stream = func(ctx context.Context, _ shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: json.RawMessage("1")}); err != nil {
			t.Errorf("sink: %v", err)
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	x := start(t, f, Options{})
	ctx, leave := context.WithCancel(t.Context())
	r := bufio.NewReader(x.openStream(t, ctx, x.tcp).Body)
	if _, err := readEvent(r); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v, want canceled", err)
	}
}

func TestCallEndsWithTheClient(t *testing.T) {
	t.Parallel()
	f := newFake()
	began, ended := make(chan bool, 1), make(chan error, 1)
	f.call = func(ctx context.Context, _ shared.CallRequest) (*shared.CallResult, error) {
		began <- true
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	x := start(t, f, Options{})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-began
		leave()
	}()
	req, _ := http.NewRequestWithContext(ctx, "POST", x.url+"/v1/pools/qa/call", strings.NewReader(`{"command":"ping"}`))
	if res, err := x.tcp.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("Do = %v, %v, want canceled", res, err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v, want canceled", err)
	}
}

func TestStreamErrors(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.stream = func(_ context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		what, when, _ := strings.Cut(req.Command, "/")
		if when == "late" {
			if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: json.RawMessage("1")}); err != nil {
				return nil, err
			}
		}
		switch what {
		case "panic":
			panic("boom")
		case "full":
			e := shared.Errorf(shared.QueueFull, "full")
			e.RetryAfter = time.Second
			return nil, e
		default:
			return nil, shared.Errorf(shared.PythonException, "raised").WithRun(shared.RunYes)
		}
	}
	x := start(t, f, Options{})
	call := func(command string) answer {
		return x.do(t, "POST", "/v1/pools/qa/call?stream=1", `{"command":"`+command+`"}`)
	}

	// Refused: the client sees a status, and when to come back.
	a := call("full")
	a.fails(t, 429, shared.QueueFull)
	if got := a.header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After = %q, want 1", got)
	}
	x.do(t, "POST", "/v1/pools/qa/call?stream=1", `{`).fails(t, 400, shared.InvalidArgument)

	for _, test := range []struct{ command, before, reason string }{
		{"raise", "event: error\nid: 1\n", "PYTHON_EXCEPTION"},
		{"raise/late", "event: chunk\nid: 1\ndata: 1\n\nevent: error\nid: 2\n", "PYTHON_EXCEPTION"},
		{"full/late", "event: chunk\nid: 1\ndata: 1\n\nevent: error\nid: 2\n", "QUEUE_FULL"},
		{"panic", "event: error\nid: 1\n", "INTERNAL"},
		{"panic/late", "event: chunk\nid: 1\ndata: 1\n\nevent: error\nid: 2\n", "INTERNAL"},
	} {
		a := call(test.command)
		data, found := strings.CutPrefix(a.body, test.before+"data: ")
		if !found || a.status != 200 {
			t.Errorf("%s: status %d, events %q, want 200 and %q", test.command, a.status, a.body, test.before)
			continue
		}
		if e := (answer{500, http.Header{"Content-Type": {"application/json"}}, data}).failure(t); e.Reason != test.reason {
			t.Errorf("%s: reason = %s, want %s", test.command, e.Reason, test.reason)
		}
	}
	if log := x.logs.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "sse_test.go") {
		t.Errorf("log lacks the panic and its stack:\n%s", log)
	}
}

func TestSilentStreamHasHeartbeats(t *testing.T) {
	t.Parallel()
	f := newFake()
	finish := make(chan bool)
	f.stream = func(ctx context.Context, _ shared.CallRequest, _ func(shared.StreamEvent) error) (*shared.CallResult, error) {
		<-finish
		return nil, shared.Errorf(shared.QueueTimeout, "no slot in time")
	}
	x := start(t, f, Options{Heartbeat: time.Millisecond})
	r := bufio.NewReader(x.openStream(t, t.Context(), x.tcp).Body)
	for range 3 {
		if got, err := readEvent(r); err != nil || got != ": ping\n" {
			t.Fatalf("got %q, %v, want a ping", got, err)
		}
	}
	close(finish)
	for {
		got, err := readEvent(r)
		if err != nil {
			t.Fatal(err)
		}
		if got != ": ping\n" {
			if !strings.HasPrefix(got, "event: error\nid: 1\n") || !strings.Contains(got, "QUEUE_TIMEOUT") {
				t.Errorf("got %q, want the error as an event", got)
			}
			return
		}
	}
}

// TestStalledReader checks that a client which stops to read does not hold a call.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.stream = func(ctx context.Context, _ shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		data := json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
		for {
			if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: data}); err != nil {
				return nil, err
			}
		}
	}
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			ended := make(chan error, 1)
			g := newFake()
			g.stream = func(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
				result, err := f.stream(ctx, req, sink)
				ended <- err
				return result, err
			}
			x := start(t, g, Options{WriteTimeout: 50 * time.Millisecond})
			x.openStream(t, t.Context(), clientOf(t, proto)) // and never read
			if err := <-ended; err == nil {
				t.Error("sink = nil, want the write to time out")
			}
		})
	}
}
