package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// operation is one method of the client: what it should ask the host, and what it
// should return.
type operation struct {
	name  string
	do    func(context.Context, *client.Client) (any, error)
	asked any
	want  any
}

// pair holds two results.
type pair struct {
	Value any
	Bool  bool
}

var (
	seven   = uint64(7)
	callReq = shared.CallRequest{
		Pool: "qa", Command: "ping", Args: json.RawMessage(`{"n":1.10}`), Session: "s", SessionData: true, Timeout: time.Second,
		Idempotent: true, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	runReq   = shared.RunRequest{Session: "s", Name: "p", Inputs: json.RawMessage(`{"q":"x"}`), Pool: "qa", Timeout: time.Second}
	putReq   = shared.PutSessionRequest{ID: "s", Data: json.RawMessage(`{"a":1}`), TTL: time.Minute, IfRevision: &seven}
	patchReq = shared.PatchSessionRequest{ID: "s", Patch: json.RawMessage(`{"a":null}`), TTL: time.Minute, IfRevision: &seven}
	listReq  = shared.ListSessionsRequest{Prefix: "s", Limit: 5, After: "r"}
	specReq  = shared.PutProgramRequest{Session: "s", Name: "p", Spec: json.RawMessage(`{"signature":"q -> a"}`), IfRevision: &seven}
)

var operations = []operation{
	{
		"Call", func(ctx context.Context, c *client.Client) (any, error) { return c.Call(ctx, callReq) },
		callReq, &shared.CallResult{Result: json.RawMessage(`{"pong":1.10}`), Worker: "qa-1", QueueTime: 5, RunTime: 7},
	},
	{"CallStream", func(ctx context.Context, c *client.Client) (any, error) {
		return c.CallStream(ctx, callReq, func(shared.StreamEvent) error { return nil })
	}, callReq, &shared.CallResult{Result: json.RawMessage(`3`), Worker: "qa-1"}},
	{
		"RunProgram", func(ctx context.Context, c *client.Client) (any, error) { return c.RunProgram(ctx, runReq) },
		runReq, &shared.RunResult{Outputs: json.RawMessage(`{"a":1}`), Revision: 2, Worker: "qa-1", RunTime: 7},
	},
	{"PoolStatus", func(ctx context.Context, c *client.Client) (any, error) { return c.PoolStatus(ctx, "qa") }, "qa", pool},
	{"Workers", func(ctx context.Context, c *client.Client) (any, error) { return c.Workers(ctx, "qa") }, "qa", []shared.WorkerStatus{worker}},
	{"PutSession", func(ctx context.Context, c *client.Client) (any, error) {
		s, created, err := c.PutSession(ctx, putReq)
		return pair{s, created}, err
	}, putReq, pair{session, true}},
	{"GetSession", func(ctx context.Context, c *client.Client) (any, error) { return c.GetSession(ctx, "s") }, "s", session},
	{"PatchSession", func(ctx context.Context, c *client.Client) (any, error) { return c.PatchSession(ctx, patchReq) }, patchReq, session},
	{
		"DeleteSession", func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.DeleteSession(ctx, "s", &seven)
		},
		named{"s", "", &seven},
		nil,
	},
	{
		"DeleteSession at any revision", func(ctx context.Context, c *client.Client) (any, error) { return nil, c.DeleteSession(ctx, "s", nil) },
		named{"s", "", nil},
		nil,
	},
	{
		"ListSessions", func(ctx context.Context, c *client.Client) (any, error) { return c.ListSessions(ctx, listReq) },
		listReq,
		shared.SessionPage{Sessions: []shared.Session{session}, More: true},
	},
	{"PutProgram", func(ctx context.Context, c *client.Client) (any, error) {
		p, created, err := c.PutProgram(ctx, specReq)
		return pair{p, created}, err
	}, specReq, pair{program, true}},
	{"GetProgram", func(ctx context.Context, c *client.Client) (any, error) { return c.GetProgram(ctx, "s", "p") }, named{"s", "p", nil}, program},
	{
		"DeleteProgram", func(ctx context.Context, c *client.Client) (any, error) {
			return nil, c.DeleteProgram(ctx, "s", "p", &seven)
		},
		named{"s", "p", &seven},
		nil,
	},
	{"ListPrograms", func(ctx context.Context, c *client.Client) (any, error) { return c.ListPrograms(ctx, "s") }, "s", []shared.Program{program}},
}

func TestMethodsMirrorTheBackend(t *testing.T) {
	t.Parallel()
	host := &scripted{}
	unix, tcp := serve(t, host)
	for _, addr := range []string{unix, tcp, "http://" + tcp} {
		c := dial(t, addr)
		if got := c.Addr(); got != addr {
			t.Errorf("Addr = %q, want %q", got, addr)
		}
		for _, op := range operations {
			got, err := op.do(t.Context(), c)
			if err != nil {
				t.Errorf("%s: %v", op.name, err)
			}
			if diff := cmp.Diff(op.asked, host.asked); diff != "" {
				t.Errorf("%s asked the host (-want +got):\n%s", op.name, diff)
			}
			if diff := cmp.Diff(op.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", op.name, diff)
			}
		}
		if got, err := c.Pools(t.Context()); err != nil || cmp.Diff([]shared.PoolStatus{pool}, got) != "" {
			t.Errorf("Pools = %v, %v, want %v", got, err, pool)
		}
		if got, err := c.Stats(t.Context()); err != nil || cmp.Diff(stats, got) != "" {
			t.Errorf("Stats = %v, %v, want %v", got, err, stats)
		}
		for _, ready := range []bool{true, false} {
			host.ready = ready
			wantReady, wantReason := host.Ready()
			got, reason, err := c.Ready(t.Context())
			if err != nil || got != wantReady || reason != wantReason {
				t.Errorf("Ready = %v, %q, %v, want %v, %q", got, reason, err, wantReady, wantReason)
			}
		}
	}
}

func TestEveryReasonComesBack(t *testing.T) {
	t.Parallel()
	host := &scripted{}
	unix, _ := serve(t, host)
	c := dial(t, unix)
	for _, reason := range shared.Reasons() {
		want := &shared.Error{
			Reason: reason, Message: "it broke <é>\nhere", Hint: "mend it", MayHaveRun: shared.RunMaybe, RetryAfter: 1234 * time.Millisecond,
			Remote: &shared.RemoteError{Type: "ValueError", Message: "bad", Traceback: strings.Repeat("line\n", 3000)},
		}
		host.fail = want
		for _, op := range operations {
			_, err := op.do(t.Context(), c)
			if diff := cmp.Diff(error(want), err); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", reason, op.name, diff)
			}
			if !errors.Is(err, &shared.Error{Reason: reason}) {
				t.Errorf("%s of %s: errors.Is does not know it", reason, op.name)
			}
			if remote := new(shared.RemoteError); !errors.As(err, &remote) || remote.Type != "ValueError" {
				t.Errorf("%s of %s: errors.As finds no exception", reason, op.name)
			}
		}
	}
	host.fail = shared.ErrQueueTimeout // a sentinel has no message
	if _, err := c.GetSession(t.Context(), "s"); cmp.Diff(error(shared.ErrQueueTimeout), err) != "" {
		t.Errorf("sentinel came back as %#v", err)
	}
}

func TestStreamedEvents(t *testing.T) {
	t.Parallel()
	host := &scripted{}
	unix, _ := serve(t, host)
	c := dial(t, unix)
	var got []shared.StreamEvent
	if _, err := c.CallStream(t.Context(), callReq, func(e shared.StreamEvent) error {
		got = append(got, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Errorf("CallStream (-want +got):\n%s", diff)
	}

	got = nil
	var result shared.CallResult
	for e, err := range c.Pool("qa").Stream(t.Context(), "count", map[string]int{"to": 2}, client.StoreResult(&result)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(events, got); diff != "" {
		t.Errorf("Stream (-want +got):\n%s", diff)
	}
	if string(result.Result) != "3" {
		t.Errorf("stored result = %s, want 3", result.Result)
	}
	want := shared.CallRequest{Pool: "qa", Command: "count", Args: json.RawMessage(`{"to":2}`)}
	if diff := cmp.Diff(want, host.asked); diff != "" {
		t.Errorf("Stream asked (-want +got):\n%s", diff)
	}

	host.fail = shared.Errorf(shared.WorkerLost, "gone").WithRun(shared.RunMaybe)
	n, last := 0, error(nil)
	for _, err := range c.Pool("qa").Stream(t.Context(), "count", nil) {
		n++
		last = err
	}
	if n != len(events)+1 || !errors.Is(last, shared.ErrWorkerLost) {
		t.Errorf("a stream that fails has %d pairs and ends with %v, want %d and WORKER_LOST", n, last, len(events)+1)
	}
	for _, err := range c.Pool("qa").Stream(t.Context(), "count", make(chan int)) {
		if !errors.Is(err, shared.ErrInvalidArgument) {
			t.Errorf("Stream with bad args yields %v, want INVALID_ARGUMENT", err)
		}
	}
}

// TestLeavingAStreamCancelsTheCall leaves in each way that there is.
func TestLeavingAStreamCancelsTheCall(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	host := &scripted{stream: func(ctx context.Context, _ shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		if err := sink(events[0]); err != nil {
			t.Errorf("sink: %v", err)
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}}
	unix, tcp := serve(t, host)
	for _, addr := range []string{unix, tcp} {
		c := dial(t, addr)
		for range c.Pool("qa").Stream(t.Context(), "count", nil) {
			break
		}
		<-ended

		mine := errors.New("mine")
		if _, err := c.CallStream(t.Context(), callReq, func(shared.StreamEvent) error { return mine }); err != mine {
			t.Errorf("CallStream = %v, want the error of sink", err)
		}
		<-ended

		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.CallStream(ctx, callReq, func(shared.StreamEvent) error {
			cancel()
			return nil
		})
		if e := shared.AsError(err); !errors.Is(err, shared.ErrCanceled) || !errors.Is(err, context.Canceled) || e.MayHaveRun != shared.RunMaybe {
			t.Errorf("CallStream = %v, want CANCELLED, maybe", err)
		}
		<-ended
	}
}

func TestContextBoundsTheCall(t *testing.T) {
	t.Parallel()
	host := &scripted{call: func(ctx context.Context, _ shared.CallRequest) (*shared.CallResult, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the deadline did not reach the host")
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	unix, _ := serve(t, host)
	c := dial(t, unix)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := c.Pool("qa").Call(ctx, "ping", nil)
	if e := shared.AsError(err); !errors.Is(err, shared.ErrExecutionTimeout) || e.MayHaveRun != shared.RunMaybe || e.Retryable() {
		t.Errorf("Call = %v, want EXECUTION_TIMEOUT, maybe", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = c.GetSession(late, "s")
	if e := shared.AsError(err); e.Reason != shared.DeadlineExceeded || e.MayHaveRun != shared.RunNo || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("GetSession = %v, want DEADLINE_EXCEEDED, no", err)
	}
}

func TestHostThatIsNotThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	for _, addr := range []string{closed, "unix://" + filepath.Join(t.TempDir(), "no.sock")} {
		c := dial(t, addr)
		check := func(what string, err error) {
			t.Helper()
			e := shared.AsError(err)
			if !errors.Is(err, shared.ErrUnavailable) || e.MayHaveRun != shared.RunNo ||
				!strings.Contains(e.Message, addr) || !strings.Contains(e.Hint, "dspex serve") {
				t.Errorf("%s of %s = %v (%+v), want UNAVAILABLE, no, and how to start it", what, addr, err, e)
			}
		}
		for _, op := range operations {
			_, err := op.do(t.Context(), c)
			check(op.name, err)
		}
		_, _, err := c.Ready(t.Context())
		check("Ready", err)
	}
}

// TestHostThatDies cuts the connection when the request was received.
func TestHostThatDies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(server.Close)
	c := dial(t, server.URL)
	for _, op := range operations {
		_, err := op.do(t.Context(), c)
		want := shared.RunMaybe
		if strings.HasPrefix(op.name, "Get") || strings.HasPrefix(op.name, "List") || op.name == "PoolStatus" || op.name == "Workers" {
			want = shared.RunNo
		}
		if e := shared.AsError(err); !errors.Is(err, shared.ErrUnavailable) || e.MayHaveRun != want || e.Hint == "" {
			t.Errorf("%s = %v (%+v), want UNAVAILABLE, %s", op.name, err, e, want)
		}
	}
}

func TestServerThatIsNoHost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 404, 500, 503} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<html>hello"))
		}))
		t.Cleanup(server.Close)
		c := dial(t, server.URL)
		_, err := c.Pool("qa").Call(t.Context(), "ping", nil)
		e := shared.AsError(err)
		if e == nil || e.Message == "" || e.Reason == shared.Internal {
			t.Errorf("Call with status %d = %v (%+v)", status, err, e)
		}
		if status == 404 && e.Reason != shared.Unsupported {
			t.Errorf("Call with status 404 = %s, want UNSUPPORTED", e.Reason)
		}
		if _, _, err := c.Ready(t.Context()); shared.AsError(err).Reason != shared.Unsupported {
			t.Errorf("Ready with status %d = %v, want UNSUPPORTED", status, err)
		}
	}
}

func TestMaxMessage(t *testing.T) {
	t.Parallel()
	host := &scripted{call: func(context.Context, shared.CallRequest) (*shared.CallResult, error) {
		return &shared.CallResult{Result: json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)}, nil
	}}
	unix, _ := serve(t, host)
	_, err := dial(t, unix, client.MaxMessage(500)).Pool("qa").Call(t.Context(), "ping", nil)
	if e := shared.AsError(err); e == nil || e.Reason != shared.ResultTooLarge || e.MayHaveRun != shared.RunYes {
		t.Errorf("Call = %v (%+v), want RESULT_TOO_LARGE, yes", err, e)
	}
	if _, err := dial(t, unix).Pool("qa").Call(t.Context(), "ping", nil); err != nil {
		t.Errorf("Call without a limit: %v", err)
	}
}

func TestPoolCalls(t *testing.T) {
	t.Parallel()
	host := &scripted{}
	unix, _ := serve(t, host)
	p := dial(t, unix).Pool("qa")
	if p.Name() != "qa" {
		t.Errorf("Name = %q, want qa", p.Name())
	}
	var stored shared.CallResult
	got, err := p.Call(t.Context(), "ping", json.RawMessage(`{ "n": 1.10 }`), client.Session("s"), client.SessionData(),
		client.Timeout(time.Second), client.Idempotent(), client.Traceparent(callReq.Traceparent), client.StoreResult(&stored))
	if err != nil || cmp.Diff(*got, stored) != "" {
		t.Errorf("Call = %v, %v, stored %v", got, err, stored)
	}
	want := callReq
	want.Args = json.RawMessage(`{ "n": 1.10 }`)
	if diff := cmp.Diff(want, host.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	value, err := client.CallAs[struct{ Pong float64 }](t.Context(), p, "ping", struct{ X int }{1})
	if err != nil || value.Pong != 1.1 {
		t.Errorf("CallAs = %v, %v, want 1.1", value, err)
	}
	if _, err := client.CallAs[int](t.Context(), p, "ping", nil); shared.AsError(err).Reason != shared.ResultInvalid {
		t.Errorf("CallAs of another type = %v, want RESULT_INVALID", err)
	}
	if _, err := client.CallAs[int](t.Context(), p, "ping", make(chan int)); !errors.Is(err, shared.ErrInvalidArgument) {
		t.Errorf("CallAs with bad args = %v, want INVALID_ARGUMENT", err)
	}
	host.fail = shared.ErrQueueFull
	if _, err := client.CallAs[int](t.Context(), p, "ping", nil); !errors.Is(err, shared.ErrQueueFull) {
		t.Errorf("CallAs = %v, want QUEUE_FULL", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	host := &scripted{call: func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		return &shared.CallResult{Result: req.Args}, nil
	}}
	_, tcp := serve(t, host)
	c := dial(t, tcp)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for k := range 20 {
				want := map[string]int{"n": 100*i + k}
				got, err := client.CallAs[map[string]int](t.Context(), c.Pool("qa"), "echo", want)
				if err != nil || cmp.Diff(want, got) != "" {
					t.Errorf("CallAs = %v, %v, want %v", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestWrapTransport(t *testing.T) {
	t.Parallel()
	host := &scripted{}
	unix, _ := serve(t, host)
	seen := 0
	c := dial(t, unix, client.WrapTransport(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			seen++
			return next.RoundTrip(r)
		})
	}))
	if _, err := c.Call(t.Context(), callReq); err != nil || seen != 1 {
		t.Errorf("Call = %v after %d requests, want 1", err, seen)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// CloseIdleConnections is that of the default transport of tests: nothing here
// keeps the inner one, whose connections end with the server.
func (f roundTripper) CloseIdleConnections() {}
