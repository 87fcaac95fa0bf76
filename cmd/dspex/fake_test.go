package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/shared"
)

// spare keeps times that are shown to the minute the same while a test runs.
const spare = 50 * time.Second

// fakeHost is a host in memory whose figures never change. Its only pool that
// answers is "qa".
type fakeHost struct {
	now time.Time

	mu       sync.Mutex
	sessions map[string]shared.Session // guarded by mu
	programs map[string]shared.Program // guarded by mu; by session, a slash and name
}

var _ api.Backend = (*fakeHost)(nil)

func newFakeHost() *fakeHost {
	return &fakeHost{now: time.Now(), sessions: map[string]shared.Session{}, programs: map[string]shared.Program{}}
}

func (f *fakeHost) Call(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error) {
	return f.CallStream(ctx, req, nil)
}

// CallStream runs commands that are named for what they do.
func (f *fakeHost) CallStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
	if _, err := f.PoolStatus(req.Pool); err != nil {
		return nil, err
	}
	result := &shared.CallResult{Worker: "qa-1", QueueTime: 1500 * time.Microsecond, RunTime: 20 * time.Millisecond}
	switch req.Command {
	case "echo":
		result.Result = req.Args
		if len(req.Args) == 0 {
			result.Result = json.RawMessage(`{}`)
		}
	case "request":
		result.Result = fmt.Appendf(nil, `{"session":%q,"session_data":%t,"timeout":%q,"idempotent":%t}`, req.Session, req.SessionData, req.Timeout, req.Idempotent)
	case "count":
		for i := range 3 {
			if err := sink(shared.StreamEvent{Kind: shared.StreamProgress, Data: fmt.Appendf(nil, `{"at":%d}`, i)}); err != nil {
				return nil, err
			}
			if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: fmt.Appendf(nil, `"chunk %d"`, i)}); err != nil {
				return nil, err
			}
		}
		result.Result = json.RawMessage(`{"chunks":3}`)
	case "wait":
		if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: json.RawMessage(`"waiting"`)}); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, shared.Errorf(shared.Canceled, "cancelled").WithRun(shared.RunMaybe)
	case "raise":
		e := shared.Errorf(shared.PythonException, "ValueError: no luck").WithRun(shared.RunYes)
		e.Remote = &shared.RemoteError{Type: "ValueError", Message: "no luck", Traceback: "Traceback (most recent call last):\n  File \"acme.py\", line 1\nValueError: no luck\n"}
		return nil, e
	default:
		if reason := shared.Reason(strings.ToUpper(req.Command)); reason.Known() {
			e := shared.Errorf(reason, "it is %s", req.Command).WithHint("do something")
			if e.Retryable() {
				e.RetryAfter = 1500 * time.Millisecond
			}
			return nil, e
		}
		return nil, shared.Errorf(shared.CommandNotFound, "pool %q has no command %q", req.Pool, req.Command).WithHint(`did you mean "echo"?`)
	}
	return result, nil
}

func (f *fakeHost) RunProgram(_ context.Context, req shared.RunRequest) (*shared.RunResult, error) {
	p, err := f.GetProgram(context.Background(), req.Session, req.Name)
	if err != nil {
		if p, err = f.GetProgram(context.Background(), "", req.Name); err != nil {
			return nil, err
		}
	}
	return &shared.RunResult{Outputs: req.Inputs, Revision: p.Revision, Worker: "qa-2", RunTime: 310 * time.Millisecond}, nil
}

func (f *fakeHost) Pools() []shared.PoolStatus {
	return []shared.PoolStatus{
		{
			Name: "extract-pdf", Status: "degraded", Reason: "1 of 2 workers ready, min_ready is 2",
			Stats:  shared.PoolStats{Workers: 2, Ready: 1, Busy: 1, Slots: 1, InFlight: 1, Queued: 3, Requests: 40, Errors: 5, QueueTimeouts: 2, Run: shared.Latency{Count: 40, P50: 4100 * time.Millisecond, P95: 9800 * time.Millisecond}},
			Health: shared.PoolHealth{Level: "warning", Findings: []string{"no available worker", "2 queue timeouts in the last minute"}},
		},
		{
			Name: "qa", Description: "answers questions", Status: "ready",
			Stats: shared.PoolStats{
				Workers: 8, Ready: 8, Available: 3, Busy: 5, Slots: 256, InFlight: 161, Requests: 12345, Errors: 49, Rejected: 4, Restarts: 1,
				Run:       shared.Latency{Count: 12345, P50: 310 * time.Millisecond, P95: 1900 * time.Millisecond, P99: 2 * time.Second, Max: 61 * time.Second},
				QueueWait: shared.Latency{Count: 12345, P50: 12 * time.Microsecond, P95: 2300 * time.Microsecond, P99: 3 * time.Millisecond, Max: 4 * time.Millisecond},
			},
			Health: shared.PoolHealth{Level: "healthy"},
			Commands: []shared.Command{
				{Name: "count", Doc: "Count.\n\nSlowly.", Streaming: true},
				{Name: "echo", Doc: "Return the arguments.", ArgsSchema: json.RawMessage(`{"type":"object"}`), Idempotent: true},
			},
		},
	}
}

func (f *fakeHost) PoolStatus(name string) (shared.PoolStatus, error) {
	for _, p := range f.Pools() {
		if p.Name == name {
			return p, nil
		}
	}
	return shared.PoolStatus{}, shared.Errorf(shared.PoolNotFound, "no pool %q", name).WithHint(`did you mean "qa"?`)
}

func (f *fakeHost) Workers(pool string) ([]shared.WorkerStatus, error) {
	if pool != "" {
		if _, err := f.PoolStatus(pool); err != nil {
			return nil, err
		}
	}
	all := []shared.WorkerStatus{
		{ID: "extract-pdf-1", Pool: "extract-pdf", State: "starting", Restarts: 4, LastExit: "exit status 1\nModuleNotFoundError: acme"},
		{
			ID: "qa-1", Pool: "qa", State: "ready", Generation: 2, PID: 48112, Slots: 32, InFlight: 1, Calls: 1204, Errors: 2, Restarts: 1,
			StartedAt: f.now.Add(-3*time.Hour - 12*time.Minute - 5*time.Second), StartTime: 1234 * time.Millisecond,
			RSS: 214 << 20, Lag: 250 * time.Microsecond, Versions: map[string]string{"python": "3.11.7", "dspy": "3.4.1"}, Launch: "exec",
		},
		{ID: "qa-12", Pool: "qa", State: "draining", Generation: 1, PID: 48113, Slots: 32, StartedAt: f.now.Add(-52*time.Hour - time.Second), StartTime: 900 * time.Millisecond, RSS: 5 << 20},
	}
	return slices.DeleteFunc(all, func(w shared.WorkerStatus) bool { return pool != "" && w.Pool != pool }), nil
}

func (f *fakeHost) Stats() shared.HostStats {
	s := shared.HostStats{Version: "1.2.3", Host: "box", Uptime: 51*time.Hour + time.Second, Pools: map[string]shared.PoolStats{}}
	for _, p := range f.Pools() {
		s.Pools[p.Name] = p.Stats
	}
	s.Sessions = shared.SessionStats{Sessions: 1234, Programs: 5, GlobalPrograms: 1, Expired: 7, Bytes: 3 << 20}
	return s
}

func (f *fakeHost) Ready() (bool, string) { return false, `pool "extract-pdf": degraded` }

func (f *fakeHost) PutSession(_ context.Context, req shared.PutSessionRequest) (shared.Session, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, found := f.sessions[req.ID]
	if err := atRevision("session", req.ID, s.Revision, req.IfRevision); err != nil {
		return shared.Session{}, false, err
	}
	if !found {
		s = shared.Session{ID: req.ID, CreatedAt: f.now.Add(-5*time.Hour - time.Second)}
	}
	if s.Data = req.Data; s.Data == nil {
		s.Data = json.RawMessage(`{}`)
	}
	if s.TTL = req.TTL; s.TTL == 0 {
		s.TTL = time.Hour
	}
	s.Revision++
	s.UpdatedAt, s.ExpiresAt = f.now.Add(-90*time.Minute-time.Second), f.now.Add(s.TTL+spare)
	f.sessions[req.ID] = s
	return s, !found, nil
}

func (f *fakeHost) GetSession(_ context.Context, id string) (shared.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sessions[id]
	if !ok {
		return s, shared.Errorf(shared.SessionNotFound, "no session %q", id)
	}
	for key := range f.programs {
		if session, name, _ := strings.Cut(key, "/"); session == id {
			s.Programs = append(s.Programs, name)
		}
	}
	slices.Sort(s.Programs)
	return s, nil
}

// PatchSession keeps only the patch, so that tests see it.
func (f *fakeHost) PatchSession(ctx context.Context, req shared.PatchSessionRequest) (shared.Session, error) {
	s, err := f.GetSession(ctx, req.ID)
	if err != nil {
		return s, err
	}
	if req.Patch == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		s.ExpiresAt = f.now.Add(req.TTL + spare)
		f.sessions[req.ID] = s
		return s, nil
	}
	s, _, err = f.PutSession(ctx, shared.PutSessionRequest{ID: req.ID, Data: req.Patch, TTL: req.TTL, IfRevision: req.IfRevision})
	return s, err
}

func (f *fakeHost) DeleteSession(_ context.Context, id string, ifRevision *uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sessions[id]
	if !ok {
		return shared.Errorf(shared.SessionNotFound, "no session %q", id)
	}
	delete(f.sessions, id)
	return atRevision("session", id, s.Revision, ifRevision)
}

func (f *fakeHost) ListSessions(_ context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page shared.SessionPage
	for id, s := range f.sessions {
		if strings.HasPrefix(id, req.Prefix) && id > req.After {
			s.Data = nil
			page.Sessions = append(page.Sessions, s)
		}
	}
	slices.SortFunc(page.Sessions, func(a, b shared.Session) int { return strings.Compare(a.ID, b.ID) })
	if req.Limit > 0 && len(page.Sessions) > req.Limit {
		page.Sessions, page.More = page.Sessions[:req.Limit], true
	}
	return page, nil
}

func (f *fakeHost) PutProgram(_ context.Context, req shared.PutProgramRequest) (shared.Program, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := req.Session + "/" + req.Name
	p, found := f.programs[key]
	if err := atRevision("program", req.Name, p.Revision, req.IfRevision); err != nil {
		return shared.Program{}, false, err
	}
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(req.Spec, &spec); err != nil {
		return shared.Program{}, false, shared.Errorf(shared.InvalidArgument, "spec: %w", err)
	}
	if spec["signature"] == nil {
		return shared.Program{}, false, shared.Errorf(shared.SignatureInvalid, "the program has no signature")
	}
	p.Name, p.Session, p.Revision, p.Hash = req.Name, req.Session, p.Revision+1, "c0ffee"
	if !found {
		p.CreatedAt = f.now.Add(-5*time.Hour - time.Second)
	}
	p.UpdatedAt = f.now.Add(-90*time.Minute - time.Second)
	p.Spec = shared.ProgramSpec{
		Module: "Predict",
		Signature: shared.Signature{
			Inputs:  []shared.Field{{Name: "question", Type: "str"}},
			Outputs: []shared.Field{{Name: "answer", Type: "str"}, {Name: "facts", Type: "list[str]"}},
		},
		// What came, so that tests see it.
		Description: string(req.Spec), Config: spec["config"],
	}
	f.programs[key] = p
	return p, !found, nil
}

func (f *fakeHost) GetProgram(_ context.Context, session, name string) (shared.Program, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.programs[session+"/"+name]
	if !ok {
		return p, shared.Errorf(shared.ProgramNotFound, "no program %q", name)
	}
	return p, nil
}

func (f *fakeHost) DeleteProgram(ctx context.Context, session, name string, ifRevision *uint64) error {
	p, err := f.GetProgram(ctx, session, name)
	if err != nil {
		return err
	}
	if err := atRevision("program", name, p.Revision, ifRevision); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.programs, session+"/"+name)
	return nil
}

func (f *fakeHost) ListPrograms(_ context.Context, session string) ([]shared.Program, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []shared.Program
	for _, p := range f.programs {
		if p.Session == session {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b shared.Program) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func atRevision(what, name string, is uint64, want *uint64) error {
	if want != nil && *want != is {
		return shared.Errorf(shared.RevisionConflict, "%s %q is at revision %d, not %d", what, name, is, *want)
	}
	return nil
}
