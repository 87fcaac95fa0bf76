package client_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

var (
	epoch   = time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	session = shared.Session{
		ID: "s", Data: json.RawMessage(`{"big":12345678901234567890}`), Revision: 3, TTL: time.Hour,
		CreatedAt: epoch, UpdatedAt: epoch, ExpiresAt: epoch.Add(time.Hour), Programs: []string{"p"},
	}
	program = shared.Program{Name: "p", Session: "s", Revision: 2, Hash: "ff", CreatedAt: epoch, UpdatedAt: epoch, Spec: shared.ProgramSpec{
		Module: "Predict", Instructions: "<b>", Config: json.RawMessage(`{"temperature":0.10}`),
		Signature: shared.Signature{Inputs: []shared.Field{{Name: "q", Type: "str"}}, Outputs: []shared.Field{{Name: "a", Type: "str"}}},
	}}
	pool = shared.PoolStatus{
		Name: "qa", Status: "degraded", Reason: "slow", Stats: shared.PoolStats{Workers: 2, Run: shared.Latency{Count: 1, P50: 7}},
		Health: shared.PoolHealth{Level: "warning", Findings: []string{"f"}}, Commands: []shared.Command{{Name: "ping"}},
	}
	worker = shared.WorkerStatus{ID: "qa-1", Pool: "qa", State: "ready", PID: 7, StartedAt: epoch, Versions: map[string]string{"python": "3.11"}}
	stats  = shared.HostStats{Version: "1", Host: "h", Uptime: time.Minute, Pools: map[string]shared.PoolStats{"qa": pool.Stats}}
)

// scripted is a host that answers with fixed values and records what it was asked
// last. If fail is set, all of its methods that can fail do.
type scripted struct {
	fail   error
	asked  any
	ready  bool
	call   func(context.Context, shared.CallRequest) (*shared.CallResult, error)
	stream func(context.Context, shared.CallRequest, func(shared.StreamEvent) error) (*shared.CallResult, error)
}

var _ api.Backend = (*scripted)(nil)

type named struct {
	Session, Name string
	IfRevision    *uint64
}

func (s *scripted) Call(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error) {
	if s.call != nil {
		return s.call(ctx, req)
	}
	s.asked = req
	return &shared.CallResult{Result: json.RawMessage(`{"pong":1.10}`), Worker: "qa-1", QueueTime: 5, RunTime: 7}, s.fail
}

func (s *scripted) CallStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
	if s.stream != nil {
		return s.stream(ctx, req, sink)
	}
	s.asked = req
	for _, e := range events {
		if err := sink(e); err != nil {
			return nil, err
		}
	}
	return &shared.CallResult{Result: json.RawMessage(`3`), Worker: "qa-1"}, s.fail
}

var events = []shared.StreamEvent{
	{Kind: shared.StreamChunk, Data: json.RawMessage(`1`)},
	{Kind: shared.StreamProgress, Data: json.RawMessage(`{"done":0.50}`)},
	{Kind: shared.StreamChunk, Data: json.RawMessage(`2`)},
}

func (s *scripted) RunProgram(_ context.Context, req shared.RunRequest) (*shared.RunResult, error) {
	s.asked = req
	return &shared.RunResult{Outputs: json.RawMessage(`{"a":1}`), Revision: 2, Worker: "qa-1", RunTime: 7}, s.fail
}

func (s *scripted) Pools() []shared.PoolStatus { return []shared.PoolStatus{pool} }

func (s *scripted) PoolStatus(name string) (shared.PoolStatus, error) {
	s.asked = name
	return pool, s.fail
}

func (s *scripted) Workers(name string) ([]shared.WorkerStatus, error) {
	s.asked = name
	return []shared.WorkerStatus{worker}, s.fail
}

func (s *scripted) Stats() shared.HostStats { return stats }

func (s *scripted) Ready() (bool, string) {
	if s.ready {
		return true, ""
	}
	return false, "qa: 0 of 2 workers ready"
}

func (s *scripted) PutSession(_ context.Context, req shared.PutSessionRequest) (shared.Session, bool, error) {
	s.asked = req
	return session, true, s.fail
}

func (s *scripted) GetSession(_ context.Context, id string) (shared.Session, error) {
	s.asked = id
	return session, s.fail
}

func (s *scripted) PatchSession(_ context.Context, req shared.PatchSessionRequest) (shared.Session, error) {
	s.asked = req
	return session, s.fail
}

func (s *scripted) DeleteSession(_ context.Context, id string, ifRevision *uint64) error {
	s.asked = named{id, "", ifRevision}
	return s.fail
}

func (s *scripted) ListSessions(_ context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error) {
	s.asked = req
	return shared.SessionPage{Sessions: []shared.Session{session}, More: true}, s.fail
}

func (s *scripted) PutProgram(_ context.Context, req shared.PutProgramRequest) (shared.Program, bool, error) {
	s.asked = req
	return program, true, s.fail
}

func (s *scripted) GetProgram(_ context.Context, session, name string) (shared.Program, error) {
	s.asked = named{session, name, nil}
	return program, s.fail
}

func (s *scripted) DeleteProgram(_ context.Context, session, name string, ifRevision *uint64) error {
	s.asked = named{session, name, ifRevision}
	return s.fail
}

func (s *scripted) ListPrograms(_ context.Context, session string) ([]shared.Program, error) {
	s.asked = session
	return []shared.Program{program}, s.fail
}

// serve runs a host on a unix socket and a TCP port until the test ends. It
// returns both addresses.
func serve(t *testing.T, backend api.Backend) (unix, tcp string) {
	t.Helper()
	server, err := api.New(backend, api.Options{Listeners: []api.Listener{
		{Name: "unix", Network: "unix", Address: filepath.Join(t.TempDir(), "s")},
		{Name: "tcp", Network: "tcp", Address: "127.0.0.1:0"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server.Addrs()[0].URL(), server.Addrs()[1].Address
}

// dial makes a client that is closed when the test ends.
func dial(t *testing.T, addr string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(addr, opts...)
	if err != nil {
		t.Fatalf("New(%q): %v", addr, err)
	}
	t.Cleanup(c.Close)
	return c
}
