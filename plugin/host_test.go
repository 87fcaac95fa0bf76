package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// record is all that a host has seen of one call.
type record struct {
	upload    []byte
	largest   int // of the fragments
	chunks    []string
	events    []string
	result    []byte
	failure   *workerv1.Failure
	refusal   *workerv1.Refusal
	terminals int
}

// seen is all that a host has seen on a stream.
type seen struct {
	calls      map[uint64]*record
	order      []uint64 // of terminal frames
	acked      uint32
	responses  int
	largest    int // results in one response
	heartbeats []*workerv1.Heartbeat
	ended      bool
	err        error
	faults     []string // breaches of the contract
}

// attached is a host's end of an Attach stream: it takes in every frame, checks
// what must always hold, and lets the test wait for what it expects.
type attached struct {
	t      *testing.T
	stream workerv1.WorkerService_AttachClient
	cancel context.CancelFunc

	mu      sync.Mutex
	seen    seen          // guarded by mu
	changed chan struct{} // guarded by mu; closed at each change
}

// serveWorker serves a worker over gRPC in memory and returns a client of it.
func serveWorker(t *testing.T, w *worker) workerv1.WorkerServiceClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(serverOptions(shared.MaxMessage)...)
	workerv1.RegisterWorkerServiceServer(server, w)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:worker",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return listener.DialContext(ctx)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(shared.MaxMessage)),
	)
	if err != nil {
		t.Fatalf("dial worker: %v", err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		<-served
		select {
		case <-w.running.zero():
		case <-time.After(patience):
			t.Error("calls still run after the server has stopped")
		}
	})
	return workerv1.NewWorkerServiceClient(conn)
}

// attach configures a new worker of the app and attaches to it. Setup may be nil.
func attach(t *testing.T, app *App, setup *workerv1.ConfigureRequest) *attached {
	t.Helper()
	client := serveWorker(t, newWorker(app, hclog.NewNullLogger(), 0, nil))
	configure(t, client, setup)
	return attachTo(t, client)
}

func configure(t *testing.T, client workerv1.WorkerServiceClient, setup *workerv1.ConfigureRequest) {
	t.Helper()
	if setup == nil {
		setup = &workerv1.ConfigureRequest{}
	}
	setup.WorkerId, setup.Pool, setup.Generation = "qa-1", "qa", 3
	if _, err := client.Configure(t.Context(), setup); err != nil {
		t.Fatalf("Configure: %v", err)
	}
}

func attachTo(t *testing.T, client workerv1.WorkerServiceClient) *attached {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := client.Attach(ctx)
	if err != nil {
		t.Fatalf("Attach: %v", err)
	}
	h := &attached{t: t, stream: stream, cancel: cancel, changed: make(chan struct{})}
	h.seen.calls = make(map[uint64]*record)
	read := make(chan struct{})
	go func() {
		defer close(read)
		h.read()
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, fault := range h.seen.faults {
			t.Errorf("contract broken: %s", fault)
		}
	})
	return h
}

func (h *attached) read() {
	for {
		resp, err := h.stream.Recv()
		h.mu.Lock()
		if err != nil {
			h.seen.ended = true
			if !errors.Is(err, io.EOF) {
				h.seen.err = err
			}
		} else {
			h.seen.add(resp)
		}
		close(h.changed)
		h.changed = make(chan struct{})
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// add takes in a batch in the order of the contract.
func (s *seen) add(resp *workerv1.AttachResponse) {
	s.responses++
	s.acked += resp.GetAcked()
	s.largest = max(s.largest, len(resp.GetResults()))
	if hb := resp.GetHeartbeat(); hb != nil {
		s.heartbeats = append(s.heartbeats, hb)
	}
	for _, f := range resp.GetFragments() {
		r := s.call(f.GetCallId())
		r.upload = append(r.upload, f.GetData()...)
		r.largest = max(r.largest, len(f.GetData()))
	}
	for _, f := range resp.GetChunks() {
		r := s.call(f.GetCallId())
		if int(f.GetSeq()) != len(r.chunks) {
			s.faults = append(s.faults, fmt.Sprintf("call %d: chunk %d came after %d chunks", f.GetCallId(), f.GetSeq(), len(r.chunks)))
		}
		r.chunks = append(r.chunks, string(r.whole(f.GetData(), f.GetFragmented())))
	}
	for _, f := range resp.GetEvents() {
		r := s.call(f.GetCallId())
		r.events = append(r.events, f.GetKind()+" "+string(f.GetData()))
	}
	for _, f := range resp.GetResults() {
		r := s.end(f.GetCallId())
		r.result = r.whole(f.GetResult(), f.GetFragmented())
	}
	for _, f := range resp.GetFailures() {
		s.end(f.GetCallId()).failure = f
	}
	for _, f := range resp.GetRefusals() {
		s.end(f.GetCallId()).refusal = f
	}
}

func (s *seen) call(id uint64) *record {
	r := s.calls[id]
	if r == nil {
		r = &record{}
		s.calls[id] = r
	}
	if r.terminals > 0 {
		s.faults = append(s.faults, fmt.Sprintf("call %d: a frame follows the terminal one", id))
	}
	return r
}

func (s *seen) end(id uint64) *record {
	r := s.call(id)
	r.terminals++
	s.order = append(s.order, id)
	return r
}

func (r *record) whole(data []byte, fragmented bool) []byte {
	if !fragmented {
		return data
	}
	whole := slices.Concat(r.upload, data)
	r.upload = nil
	return whole
}

func (h *attached) send(req *workerv1.AttachRequest) {
	h.t.Helper()
	if err := h.stream.Send(req); err != nil {
		h.t.Fatalf("send batch: %v", err)
	}
}

// call sends calls, filling in what a test does not care about.
func (h *attached) call(calls ...*workerv1.Call) {
	h.t.Helper()
	for _, c := range calls {
		if c.GetRemainingMs() == 0 {
			c.RemainingMs = uint32(patience.Milliseconds())
		}
		if c.Args == nil && !c.GetFragmented() {
			c.Args = []byte("{}")
		}
	}
	h.send(&workerv1.AttachRequest{Calls: calls})
}

func (h *attached) cancelCall(id uint64, reason workerv1.CancelReason) {
	h.t.Helper()
	h.send(&workerv1.AttachRequest{Cancels: []*workerv1.Cancel{{CallId: id, Reason: reason}}})
}

// until waits until what the host has seen fulfils the condition.
func (h *attached) until(what string, ok func(*seen) bool) {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		good, changed, ended := ok(&h.seen), h.changed, h.seen.ended
		state := fmt.Sprintf("ended %t (%v), %d calls ended, acked %d", ended, h.seen.err, len(h.seen.order), h.seen.acked)
		h.mu.Unlock()
		if good {
			return
		}
		if ended {
			h.t.Fatalf("stream ended before %s: %s", what, state)
		}
		select {
		case <-changed:
		case <-deadline:
			h.t.Fatalf("no %s within %s: %s", what, patience, state)
		}
	}
}

// terminal waits for the end of a call and returns what was seen of it.
func (h *attached) terminal(id uint64) record {
	h.t.Helper()
	var got record
	h.until(fmt.Sprintf("terminal frame of call %d", id), func(s *seen) bool {
		r := s.calls[id]
		if r == nil || r.terminals == 0 {
			return false
		}
		got = *r
		return true
	})
	return got
}

// end waits for the end of the stream and returns its error.
func (h *attached) end() error {
	h.t.Helper()
	var err error
	h.until("end of the stream", func(s *seen) bool {
		err = s.err
		return s.ended
	})
	return err
}

// check reads what was seen.
func (h *attached) check(f func(*seen)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.seen)
}

// recvOrFail waits for a value of a channel.
func recvOrFail[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
		panic("unreachable")
	}
}
