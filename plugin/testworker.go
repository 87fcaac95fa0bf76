package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// testTimeout is the time of a test call that sets none.
const testTimeout = 30 * time.Second

// TestWorker runs an app without a host and without a process of its own, for
// the unit tests of its commands. Calls go the way they go in a real worker:
// arguments are checked, results are encoded, panics and cancels are handled.
// Its methods may be called from several goroutines.
type TestWorker struct {
	worker *worker
	stream *testStream
	closed chan struct{} // closed when the worker has ended

	mu     sync.Mutex
	lastID uint64               // guarded by mu
	calls  map[uint64]*testCall // guarded by mu
}

// TestCall is one call of a test.
type TestCall struct {
	// Command is the name of the command.
	Command string
	// Args is what encoding/json makes an object of. Nil is {}.
	Args any
	// SessionID of the call. Defaults to none.
	SessionID string
	// Timeout of the call. Defaults to 30 s.
	Timeout time.Duration
	// Traceparent is the W3C trace context of the call. Defaults to none.
	Traceparent string
	// OnChunk, if set, is called with each chunk as it comes; the next one waits
	// until it returns. It must not make calls itself.
	OnChunk func(chunk json.RawMessage)
}

// TestReply is what a call of a test came to.
type TestReply struct {
	// Result is the JSON that a caller would get; nil if the call failed.
	Result json.RawMessage
	// Chunks and Progress are what the call sent before, also if it failed.
	Chunks   []json.RawMessage
	Progress []json.RawMessage
}

// testCall is a TestCall under way. Its reply is owned by the reader until done
// is closed.
type testCall struct {
	TestCall

	reply  TestReply
	upload []byte
	err    error
	done   chan struct{}
}

// ServeTest starts the app as a worker for tests. The worker ends with ctx or by
// Close. The only error is that of [App.Err].
func ServeTest(ctx context.Context, app *App) (*TestWorker, error) {
	if err := app.Err(); err != nil {
		return nil, fmt.Errorf("serve app for test: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &TestWorker{
		worker: newWorker(app, hclog.NewNullLogger(), 0, nil),
		stream: newTestStream(ctx),
		closed: make(chan struct{}),
		calls:  make(map[uint64]*testCall),
	}
	t.worker.setup = &workerv1.ConfigureRequest{WorkerId: "test-1", Pool: "test", Generation: 1}
	attached := make(chan struct{})
	go func() {
		defer close(attached)
		// The error is the end of the stream, which each call learns by itself.
		_ = t.worker.Attach(t.stream)
		cancel()
	}()
	go func() {
		defer close(t.closed)
		t.read(ctx)
		<-attached
	}()
	return t, nil
}

// Call runs a command and waits for its result; args is as in [TestCall]. See
// [TestWorker.Do].
func (t *TestWorker) Call(ctx context.Context, command string, args any) (*TestReply, error) {
	return t.Do(ctx, TestCall{Command: command, Args: args})
}

// Do runs a call. The end of ctx cancels the call; Do then still waits for the
// command to return, so that a command that does not heed its context shows. A
// failure is a *shared.Error, as it is for a caller of a host, and the reply is
// never nil.
func (t *TestWorker) Do(ctx context.Context, call TestCall) (*TestReply, error) {
	args := []byte("{}")
	if call.Args != nil {
		var err error
		if args, err = json.Marshal(call.Args); err != nil {
			return &TestReply{}, shared.Errorf(shared.InvalidArgument, "encode arguments of command %q: %w", call.Command, err)
		}
	}
	timeout := call.Timeout
	if timeout <= 0 {
		timeout = testTimeout
	}
	c := &testCall{TestCall: call, done: make(chan struct{})}
	t.mu.Lock()
	t.lastID++
	id := t.lastID
	t.calls[id] = c
	t.mu.Unlock()
	t.stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{{
		Id:          id,
		Command:     call.Command,
		Args:        args,
		SessionId:   call.SessionID,
		RemainingMs: uint32(min(max(1, timeout.Milliseconds()), math.MaxUint32)),
		Stream:      true,
		Traceparent: call.Traceparent,
		Attempt:     1,
	}}})
	select {
	case <-ctx.Done():
		t.stream.write(&workerv1.AttachRequest{Cancels: []*workerv1.Cancel{{
			CallId: id,
			Reason: workerv1.CancelReason_CANCEL_REASON_CALLER,
		}}})
	case <-c.done:
	case <-t.closed:
	}
	select {
	case <-c.done:
		return &c.reply, c.err
	case <-t.closed:
		return &TestReply{}, shared.Errorf(shared.WorkerLost, "call command %q: test worker is closed", call.Command)
	}
}

// Close cancels every call and waits until the worker has ended. It may be called
// more than once.
func (t *TestWorker) Close() {
	t.worker.shutdown(0, nil)
	<-t.closed
}

// Decode decodes the result into the value that target points to.
func (r *TestReply) Decode(target any) error {
	if err := json.Unmarshal(r.Result, target); err != nil {
		return fmt.Errorf("decode result: %w", err)
	}
	return nil
}

// read hands the frames of the worker to the calls until ctx is done.
func (t *TestWorker) read(ctx context.Context) {
	for {
		select {
		case resp := <-t.stream.out:
			t.deliver(resp)
		case <-ctx.Done():
			return
		}
	}
}

func (t *TestWorker) deliver(resp *workerv1.AttachResponse) {
	for _, f := range resp.GetFragments() {
		c := t.find(f.GetCallId())
		c.upload = append(c.upload, f.GetData()...)
	}
	for _, f := range resp.GetChunks() {
		c := t.find(f.GetCallId())
		data := c.whole(f.GetData(), f.GetFragmented())
		c.reply.Chunks = append(c.reply.Chunks, data)
		if c.OnChunk != nil {
			c.OnChunk(data)
		}
		t.stream.write(&workerv1.AttachRequest{Credits: []*workerv1.Credit{{CallId: f.GetCallId(), Chunks: 1}}})
	}
	for _, f := range resp.GetEvents() {
		c := t.find(f.GetCallId())
		c.reply.Progress = append(c.reply.Progress, f.GetData())
	}
	for _, f := range resp.GetResults() {
		c := t.find(f.GetCallId())
		c.reply.Result = c.whole(f.GetResult(), f.GetFragmented())
		t.finish(f.GetCallId(), nil)
	}
	for _, f := range resp.GetFailures() {
		t.finish(f.GetCallId(), errorOf(f))
	}
	for _, f := range resp.GetRefusals() {
		t.finish(f.GetCallId(), shared.Errorf(shared.Reason(f.GetReason()), "%s", f.GetMessage()))
	}
}

func (t *TestWorker) find(id uint64) *testCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[id]
}

func (t *TestWorker) finish(id uint64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.calls[id]
	delete(t.calls, id)
	c.err = err
	close(c.done)
}

// whole returns the payload of a frame.
func (c *testCall) whole(data []byte, fragmented bool) json.RawMessage {
	if fragmented {
		data = append(c.upload, data...)
		c.upload = nil
	}
	return data
}

// errorOf makes the error of a failure that a caller of a host gets.
func errorOf(f *workerv1.Failure) error {
	e := &shared.Error{
		Reason:     shared.Reason(f.GetReason()),
		Message:    f.GetMessage(),
		Hint:       f.GetHint(),
		MayHaveRun: shared.RunYes,
	}
	if f.GetType() != "" {
		e.Remote = &shared.RemoteError{Type: f.GetType(), Message: f.GetMessage(), Traceback: f.GetTraceback()}
	}
	return e
}

// testStream is an Attach stream within the process.
type testStream struct {
	grpc.ServerStream // nil: the worker uses nothing of it but the context

	ctx context.Context
	in  chan *workerv1.AttachRequest
	out chan *workerv1.AttachResponse
}

var _ attachStream = (*testStream)(nil)

func newTestStream(ctx context.Context) *testStream {
	return &testStream{
		ctx: ctx,
		in:  make(chan *workerv1.AttachRequest),
		out: make(chan *workerv1.AttachResponse),
	}
}

// Context ends with the stream.
func (s *testStream) Context() context.Context { return s.ctx }

// Recv returns the next batch for the worker.
func (s *testStream) Recv() (*workerv1.AttachRequest, error) {
	select {
	case req := <-s.in:
		return req, nil
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// Send hands a batch of the worker to its reader.
func (s *testStream) Send(resp *workerv1.AttachResponse) error {
	select {
	case s.out <- resp:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// write sends a batch to the worker. It does nothing once the stream has ended.
func (s *testStream) write(req *workerv1.AttachRequest) {
	select {
	case s.in <- req:
	case <-s.ctx.Done():
	}
}
