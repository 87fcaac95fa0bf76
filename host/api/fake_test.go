package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dspex/dspex/shared"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fake is a host in memory with one pool, "qa". Its functions may be replaced
// before the first request.
type fake struct {
	call     func(context.Context, shared.CallRequest) (*shared.CallResult, error)
	stream   func(context.Context, shared.CallRequest, func(shared.StreamEvent) error) (*shared.CallResult, error)
	run      func(context.Context, shared.RunRequest) (*shared.RunResult, error)
	notReady string

	mu       sync.Mutex
	sessions map[string]shared.Session            // guarded by mu
	programs map[string]map[string]shared.Program // guarded by mu
}

var _ Backend = (*fake)(nil)

func newFake() *fake {
	f := &fake{
		sessions: map[string]shared.Session{},
		programs: map[string]map[string]shared.Program{"": {}},
	}
	f.call = func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		if err := f.known(req); err != nil {
			return nil, err
		}
		result := shared.CallResult{Worker: "qa-1", QueueTime: 1500 * time.Microsecond, RunTime: 20 * time.Millisecond}
		result.Result = json.RawMessage(fmt.Sprintf(`{"command":%q,"args":%s}`, req.Command, rawOr(req.Args, "{}")))
		return &result, nil
	}
	f.stream = func(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		if err := f.known(req); err != nil {
			return nil, err
		}
		for i := range 3 {
			if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: fmt.Appendf(nil, `{"i":%d}`, i)}); err != nil {
				return nil, err
			}
		}
		if err := sink(shared.StreamEvent{Kind: shared.StreamProgress, Data: json.RawMessage(`0.5`)}); err != nil {
			return nil, err
		}
		return f.call(ctx, req)
	}
	f.run = func(_ context.Context, req shared.RunRequest) (*shared.RunResult, error) {
		p, err := f.GetProgram(context.Background(), req.Session, req.Name)
		if err != nil && shared.AsError(err).Reason == shared.InvalidArgument {
			return nil, err
		}
		if err != nil {
			if p, err = f.GetProgram(context.Background(), "", req.Name); err != nil {
				return nil, err
			}
		}
		return &shared.RunResult{Outputs: req.Inputs, Revision: p.Revision, Worker: "qa-1", RunTime: time.Millisecond}, nil
	}
	return f
}

func (f *fake) known(req shared.CallRequest) error {
	if _, err := f.PoolStatus(req.Pool); err != nil {
		return err
	}
	if !slices.Contains([]string{"ping", "echo"}, req.Command) {
		return shared.Errorf(shared.CommandNotFound, "pool %q has no command %q", req.Pool, clip(req.Command))
	}
	if req.Session == "" {
		return nil
	}
	return checkName("session", req.Session)
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9._:@~+=-]{1,256}$`)

// checkName refuses what the session store refuses.
func checkName(what, name string) error {
	if name == "." || name == ".." || !goodName.MatchString(name) {
		return shared.Errorf(shared.InvalidArgument, "%s %q is no name", what, clip(name))
	}
	return nil
}

// checkProgram refuses names of a program in a session or, if that is empty, a
// global one.
func checkProgram(session, name string) error {
	if session != "" {
		if err := checkName("session", session); err != nil {
			return err
		}
	}
	return checkName("program", name)
}

func (f *fake) Call(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error) {
	return f.call(ctx, req)
}

func (f *fake) CallStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
	return f.stream(ctx, req, sink)
}

func (f *fake) RunProgram(ctx context.Context, req shared.RunRequest) (*shared.RunResult, error) {
	return f.run(ctx, req)
}

func (f *fake) Pools() []shared.PoolStatus {
	p, _ := f.PoolStatus("qa")
	return []shared.PoolStatus{p}
}

func (f *fake) PoolStatus(name string) (shared.PoolStatus, error) {
	if name != "qa" {
		return shared.PoolStatus{}, shared.Errorf(shared.PoolNotFound, "there is no pool %q", clip(name)).WithHint("pools: qa")
	}
	p := shared.PoolStatus{
		Name: "qa", Description: "answers", Status: "ready",
		Stats: shared.PoolStats{
			Workers: 2, Ready: 2, Available: 1, Busy: 1, Slots: 4, InFlight: 3, Requests: 10, Errors: 1,
			Run: shared.Latency{Count: 9, P50: 1500 * time.Microsecond, Max: time.Second},
		},
		Health:   shared.PoolHealth{Level: "warning", Findings: []string{"1 of 10 calls failed"}},
		Commands: []shared.Command{{Name: "ping", Doc: "Answers.", ArgsSchema: json.RawMessage(`{"type":"object"}`)}},
	}
	if f.notReady != "" {
		p.Status, p.Reason = "degraded", f.notReady
	}
	return p, nil
}

func (f *fake) Workers(pool string) ([]shared.WorkerStatus, error) {
	if pool != "" {
		if _, err := f.PoolStatus(pool); err != nil {
			return nil, err
		}
	}
	return []shared.WorkerStatus{
		{ID: "qa-1", Pool: "qa", State: "ready", Generation: 2, PID: 42, Slots: 2, StartedAt: epoch, Lag: 250 * time.Microsecond, RSS: 1 << 20, Versions: map[string]string{"python": "3.11"}, Launch: "exec"},
		{ID: "qa-2", Pool: "qa", State: "starting"},
	}, nil
}

func (f *fake) Stats() shared.HostStats {
	return shared.HostStats{Version: "1.2.3", Host: "h", Uptime: time.Minute, Pools: map[string]shared.PoolStats{"qa": f.Pools()[0].Stats}}
}

func (f *fake) Ready() (bool, string) { return f.notReady == "", f.notReady }

func (f *fake) PutSession(_ context.Context, req shared.PutSessionRequest) (shared.Session, bool, error) {
	if err := checkName("session", req.ID); err != nil {
		return shared.Session{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sessions[req.ID]
	if err := compare("session", req.IfRevision, s.Revision); err != nil {
		return shared.Session{}, false, err
	}
	if req.TTL == 0 {
		req.TTL = time.Hour
	}
	if !ok {
		s = shared.Session{ID: req.ID, CreatedAt: epoch}
		f.programs[req.ID] = map[string]shared.Program{}
	}
	s.Data, s.TTL, s.UpdatedAt, s.ExpiresAt = req.Data, req.TTL, epoch, epoch.Add(min(req.TTL, 1000*time.Hour))
	s.Revision++
	f.sessions[req.ID] = s
	return s, !ok, nil
}

func (f *fake) GetSession(_ context.Context, id string) (shared.Session, error) {
	if err := checkName("session", id); err != nil {
		return shared.Session{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.sessions[id]
	if !ok {
		return shared.Session{}, shared.Errorf(shared.SessionNotFound, "there is no session %q", clip(id))
	}
	for name := range f.programs[id] {
		s.Programs = append(s.Programs, name)
	}
	slices.Sort(s.Programs)
	return s, nil
}

func (f *fake) PatchSession(ctx context.Context, req shared.PatchSessionRequest) (shared.Session, error) {
	s, err := f.GetSession(ctx, req.ID)
	if err != nil {
		return s, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := compare("session", req.IfRevision, s.Revision); err != nil {
		return s, err
	}
	if req.Patch != nil {
		s.Data = req.Patch
	}
	if req.TTL != 0 {
		s.TTL = req.TTL
	}
	s.Revision++
	s.Programs = nil
	f.sessions[req.ID] = s
	return s, nil
}

func (f *fake) DeleteSession(ctx context.Context, id string, ifRevision *uint64) error {
	s, err := f.GetSession(ctx, id)
	if err != nil {
		return err
	}
	if err := compare("session", ifRevision, s.Revision); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, id)
	delete(f.programs, id)
	return nil
}

func (f *fake) ListSessions(_ context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := shared.SessionPage{}
	for id, s := range f.sessions {
		if strings.HasPrefix(id, req.Prefix) && id > req.After {
			page.Sessions = append(page.Sessions, s)
		}
	}
	slices.SortFunc(page.Sessions, func(a, b shared.Session) int { return strings.Compare(a.ID, b.ID) })
	if req.Limit == 0 {
		req.Limit = 100
	}
	if len(page.Sessions) > req.Limit {
		page.Sessions, page.More = page.Sessions[:req.Limit], true
	}
	return page, nil
}

func (f *fake) PutProgram(_ context.Context, req shared.PutProgramRequest) (shared.Program, bool, error) {
	if err := checkProgram(req.Session, req.Name); err != nil {
		return shared.Program{}, false, err
	}
	var spec struct {
		Signature    any
		Instructions *string
		Module       *string
		Description  *string
		Pool, LM     *string
		Config       map[string]any
		Demos        []map[string]any
	}
	dec := json.NewDecoder(bytes.NewReader(req.Spec))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&spec); err != nil {
		return shared.Program{}, false, shared.Errorf(shared.InvalidArgument, "read program: %w", err)
	}
	switch signature := spec.Signature.(type) {
	case string:
		if signature == "" {
			return shared.Program{}, false, shared.Errorf(shared.SignatureInvalid, "the signature is empty")
		}
	case map[string]any:
		for _, part := range []string{"inputs", "outputs"} {
			fields, ok := signature[part].([]any)
			if !ok {
				return shared.Program{}, false, shared.Errorf(shared.SignatureInvalid, "the signature has no %s", part)
			}
			for _, field := range fields {
				field, ok := field.(map[string]any)
				_, named := field["name"].(string)
				for _, key := range []string{"type", "desc"} {
					if value, there := field[key]; there {
						_, text := value.(string)
						ok = ok && text
					}
				}
				if !ok || !named {
					return shared.Program{}, false, shared.Errorf(shared.SignatureInvalid, "a field of the signature is wrong")
				}
			}
		}
	default:
		return shared.Program{}, false, shared.Errorf(shared.SignatureInvalid, "the signature is no text")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.programs[req.Session] == nil {
		f.sessions[req.Session] = shared.Session{ID: req.Session, Revision: 1, CreatedAt: epoch, UpdatedAt: epoch, ExpiresAt: epoch}
		f.programs[req.Session] = map[string]shared.Program{}
	}
	p, ok := f.programs[req.Session][req.Name]
	if err := compare("program", req.IfRevision, p.Revision); err != nil {
		return shared.Program{}, false, err
	}
	if !ok {
		p = shared.Program{Name: req.Name, Session: req.Session, CreatedAt: epoch}
	}
	p.UpdatedAt, p.Hash = epoch, "00ff"
	p.Revision++
	p.Spec = shared.ProgramSpec{Module: "Predict", Signature: shared.Signature{
		Inputs:  []shared.Field{{Name: "question", Type: "str"}},
		Outputs: []shared.Field{{Name: "answer", Type: "str"}},
	}}
	if spec.Instructions != nil {
		p.Spec.Instructions = *spec.Instructions
	}
	f.programs[req.Session][req.Name] = p
	return p, !ok, nil
}

func (f *fake) GetProgram(_ context.Context, session, name string) (shared.Program, error) {
	if err := checkProgram(session, name); err != nil {
		return shared.Program{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.programs[session][name]
	if !ok {
		return p, shared.Errorf(shared.ProgramNotFound, "there is no program %q", clip(name))
	}
	return p, nil
}

func (f *fake) DeleteProgram(ctx context.Context, session, name string, ifRevision *uint64) error {
	p, err := f.GetProgram(ctx, session, name)
	if err != nil {
		return err
	}
	if err := compare("program", ifRevision, p.Revision); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.programs[session], name)
	return nil
}

func (f *fake) ListPrograms(_ context.Context, session string) ([]shared.Program, error) {
	if err := checkProgram(session, "x"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.programs[session] == nil {
		return nil, shared.Errorf(shared.SessionNotFound, "there is no session %q", clip(session))
	}
	list := []shared.Program{}
	for _, p := range f.programs[session] {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b shared.Program) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func compare(what string, want *uint64, have uint64) error {
	switch {
	case want == nil || *want == have:
		return nil
	case *want == 0:
		return shared.Errorf(shared.AlreadyExists, "the %s exists", what)
	}
	return shared.Errorf(shared.RevisionConflict, "the %s is at revision %d, not %d", what, have, *want)
}
