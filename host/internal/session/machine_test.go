package session

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/shared"
)

// machine does the same to the model and to Sessions over each engine.
type machine struct {
	t     *testing.T
	model *model
	// real are the Sessions, by engine; reopen opens them again.
	real   map[string]*Sessions
	reopen map[string]func() *Sessions
	specs  []shared.ProgramSpec
}

// answer is what a call gave, for comparison.
type answer struct {
	Reason   shared.Reason
	Revision uint64
	Created  bool
	Data     map[string]int
	Left     time.Duration
	Names    []string
	Owner    string
	Hash     string
}

func TestSessionsAgainstModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbleTest{t}, func(rt *rapid.T) {
			m := newMachine(t, rt)
			defer m.close(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"":               m.checkAll,
				"put":            m.put,
				"patch":          m.patch,
				"update":         m.update,
				"get":            m.get,
				"touch":          m.touch,
				"ensure":         m.ensure,
				"delete":         m.delete,
				"put program":    m.putProgram,
				"find program":   m.findProgram,
				"get program":    m.getProgram,
				"delete program": m.deleteProgram,
				"pass time":      m.passTime,
				"restart":        m.restart,
			})
		})
	})
}

// bubbleTest hides the deadline of a test, which has none in a bubble.
type bubbleTest struct{ *testing.T }

func newMachine(t *testing.T, rt *rapid.T) *machine {
	opts := Options{
		DefaultTTL: time.Minute, MaxTTL: time.Hour, CleanupInterval: 90 * time.Second, MaxCount: 3, MaxPrograms: 2,
		Sliding: rapid.Bool().Draw(rt, "sliding"), boot: noBoot,
	}
	m := &machine{
		t:     t,
		model: &model{opts: opts, sessions: map[string]*modelSession{}, globals: map[string]*modelProgram{}},
		real:  map[string]*Sessions{}, reopen: map[string]func() *Sessions{},
		specs: []shared.ProgramSpec{testSpec(t, "q -> a"), testSpec(t, "q -> b")},
	}
	memory := &faultyStore{Store: NewMemory()}
	path := filepath.Join(t.TempDir(), "dspex.db")
	stores := map[string]func() (Store, error){
		"memory": func() (Store, error) { return memory, nil },
		"bolt":   func() (Store, error) { return OpenBolt(path, BoltOptions{NoSync: true}) },
	}
	for engine, open := range stores {
		m.reopen[engine] = func() *Sessions {
			store, err := open()
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(store, opts)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		m.real[engine] = m.reopen[engine]()
	}
	return m
}

func (m *machine) close(t *rapid.T) {
	for _, s := range m.real {
		if err := s.Close(m.t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// compare runs a call on each engine and compares its answer with the model's.
func (m *machine) compare(t *rapid.T, want answer, call func(s *Sessions) (answer, error)) {
	t.Helper()
	for engine, s := range m.real {
		got, err := call(s)
		if err != nil {
			got = answer{Reason: shared.AsError(err).Reason}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: (-model +got): %v\n%s", engine, err, diff)
		}
	}
}

func drawID(t *rapid.T) string { return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id") }

func drawOwner(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "owner")
}

func drawName(t *rapid.T) string { return rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "name") }

func drawTTL(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Second, 50 * time.Second, time.Hour}).Draw(t, "ttl")
}

func drawData(t *rapid.T) map[string]int {
	return rapid.MapOfN(rapid.SampledFrom([]string{"x", "y", "z"}), rapid.IntRange(0, 9), 0, 3).Draw(t, "data")
}

func drawRevision(t *rapid.T) *uint64 {
	return rapid.Ptr(rapid.Uint64Range(0, 4), true).Draw(t, "if revision")
}

func encodeJSON(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return raw
}

func sessionAnswer(s shared.Session, created bool) answer {
	a := answer{Revision: s.Revision, Created: created, Data: map[string]int{}, Left: time.Until(s.ExpiresAt)}
	if err := json.Unmarshal(s.Data, &a.Data); err != nil {
		panic(err)
	}
	a.Names = append(a.Names, s.Programs...)
	return a
}

func (s *modelSession) answer(created bool) answer {
	return answer{
		Revision: s.revision, Created: created, Data: maps.Clone(s.data), Left: time.Until(s.deadline),
		Names: slices.Sorted(maps.Keys(s.programs)),
	}
}

func conflicts(have uint64, want *uint64) bool { return want != nil && *want != have }

func (m *machine) put(t *rapid.T) {
	req := shared.PutSessionRequest{ID: drawID(t), TTL: drawTTL(t), IfRevision: drawRevision(t)}
	data := drawData(t)
	req.Data = encodeJSON(data)
	s := m.model.session(req.ID)
	want := func() answer {
		revision := uint64(0)
		if s != nil {
			revision = s.revision
		}
		if conflicts(revision, req.IfRevision) {
			return answer{Reason: shared.RevisionConflict}
		}
		created := s == nil
		if created {
			if s = m.model.create(req.ID, 0); s == nil {
				return answer{Reason: shared.SessionLimit}
			}
		}
		if s.ttl = req.TTL; s.ttl == 0 {
			s.ttl = m.model.opts.DefaultTTL
		}
		s.data = data
		s.revision++
		s.use()
		return s.answer(created)
	}()
	m.compare(t, want, func(s *Sessions) (answer, error) {
		got, created, err := s.Put(m.t.Context(), req)
		if err != nil {
			return answer{}, err
		}
		return sessionAnswer(got, created), nil
	})
}

func (m *machine) patch(t *rapid.T) {
	req := shared.PatchSessionRequest{ID: drawID(t), TTL: drawTTL(t), IfRevision: drawRevision(t)}
	changes := map[string]any{}
	for k, v := range drawData(t) {
		if changes[k] = v; v > 5 {
			changes[k] = nil
		}
	}
	req.Patch = encodeJSON(changes)
	s := m.model.session(req.ID)
	want := func() answer {
		switch {
		case s == nil:
			return answer{Reason: shared.SessionNotFound}
		case conflicts(s.revision, req.IfRevision):
			return answer{Reason: shared.RevisionConflict}
		}
		for k, v := range changes {
			if delete(s.data, k); v != nil {
				s.data[k] = v.(int)
			}
		}
		if req.TTL != 0 {
			s.ttl = req.TTL
		}
		s.revision++
		s.use()
		return s.answer(false)
	}()
	m.compare(t, want, func(s *Sessions) (answer, error) {
		got, err := s.Patch(m.t.Context(), req)
		if err != nil {
			return answer{}, err
		}
		return sessionAnswer(got, false), nil
	})
}

func (m *machine) update(t *rapid.T) {
	id, data := drawID(t), drawData(t)
	want := answer{Reason: shared.SessionNotFound}
	if s := m.model.session(id); s != nil {
		s.data = data
		s.revision++
		s.use()
		want = s.answer(false)
	}
	m.compare(t, want, func(s *Sessions) (answer, error) {
		got, err := s.Update(m.t.Context(), id, func(session *shared.Session) error {
			session.Data = encodeJSON(data)
			return nil
		})
		if err != nil {
			return answer{}, err
		}
		return sessionAnswer(got, false), nil
	})
}

func (m *machine) get(t *rapid.T) {
	id := drawID(t)
	want := answer{Reason: shared.SessionNotFound}
	if s := m.model.session(id); s != nil {
		m.slide(s)
		want = s.answer(false)
	}
	m.compare(t, want, func(s *Sessions) (answer, error) {
		got, err := s.Get(m.t.Context(), id)
		if err != nil {
			return answer{}, err
		}
		return sessionAnswer(got, false), nil
	})
}

func (m *machine) slide(s *modelSession) {
	if m.model.opts.Sliding {
		s.use()
	}
}

func (m *machine) touch(t *rapid.T) {
	id := drawID(t)
	want := answer{Reason: shared.SessionNotFound}
	if s := m.model.session(id); s != nil {
		s.use()
		want = answer{}
	}
	m.compare(t, want, func(s *Sessions) (answer, error) { return answer{}, s.Touch(m.t.Context(), id) })
}

func (m *machine) ensure(t *rapid.T) {
	id := drawID(t)
	var want answer
	if s := m.model.session(id); s != nil {
		m.slide(s)
	} else if s := m.model.create(id, m.model.opts.DefaultTTL); s != nil {
		s.revision = 1
		s.use()
		want.Created = true
	} else {
		want.Reason = shared.SessionLimit
	}
	m.compare(t, want, func(s *Sessions) (answer, error) {
		created, err := s.Ensure(m.t.Context(), id)
		return answer{Created: created}, err
	})
}

func (m *machine) delete(t *rapid.T) {
	id, revision := drawID(t), drawRevision(t)
	var want answer
	switch s := m.model.session(id); {
	case s == nil:
		want.Reason = shared.SessionNotFound
	case conflicts(s.revision, revision):
		want.Reason = shared.RevisionConflict
	default:
		delete(m.model.sessions, id)
	}
	m.compare(t, want, func(s *Sessions) (answer, error) { return answer{}, s.Delete(m.t.Context(), id, revision) })
}

func (m *machine) putProgram(t *rapid.T) {
	owner, name, revision := drawOwner(t), drawName(t), drawRevision(t)
	spec := rapid.SampledFrom(m.specs).Draw(t, "spec")
	want := func() answer {
		programs := m.model.programs(owner)
		old := programs[name]
		if old == nil {
			old = &modelProgram{}
		}
		var s *modelSession
		if owner != "" {
			if s = m.model.session(owner); s != nil {
				m.slide(s)
			} else if m.model.count() >= m.model.opts.MaxCount {
				return answer{Reason: shared.SessionLimit}
			}
		}
		switch {
		case conflicts(old.revision, revision):
			return answer{Reason: shared.RevisionConflict}
		case owner != "" && programs[name] == nil && len(programs) >= m.model.opts.MaxPrograms:
			return answer{Reason: shared.ProgramLimit}
		}
		if owner != "" && s == nil {
			s = m.model.create(owner, m.model.opts.DefaultTTL)
			s.revision = 1
			s.use()
			programs = s.programs
		}
		p := &modelProgram{old.revision + 1, program.Hash(spec)}
		programs[name] = p
		return answer{Revision: p.revision, Hash: p.hash, Owner: owner, Created: p.revision == 1}
	}()
	m.compare(t, want, func(s *Sessions) (answer, error) {
		p, created, err := s.PutProgram(m.t.Context(), owner, name, spec, revision)
		return answer{Revision: p.Revision, Hash: p.Hash, Owner: p.Session, Created: created}, err
	})
}

func (m *machine) findProgram(t *rapid.T) {
	owner, name := drawOwner(t), drawName(t)
	want := answer{Reason: shared.ProgramNotFound}
	for _, session := range []string{"", owner} {
		if session != "" && m.model.session(session) != nil {
			m.slide(m.model.session(session))
		}
		if p := m.model.programs(session)[name]; p != nil {
			want = answer{Revision: p.revision, Hash: p.hash, Owner: session}
		}
	}
	m.compare(t, want, func(s *Sessions) (answer, error) {
		p, err := s.FindProgram(m.t.Context(), owner, name)
		return answer{Revision: p.Revision, Hash: p.Hash, Owner: p.Session}, err
	})
}

func (m *machine) getProgram(t *rapid.T) {
	owner, name := drawOwner(t), drawName(t)
	want := answer{Reason: shared.ProgramNotFound}
	if owner != "" {
		if s := m.model.session(owner); s != nil {
			m.slide(s)
		} else {
			want.Reason = shared.SessionNotFound
		}
	}
	if p := m.model.programs(owner)[name]; p != nil {
		want = answer{Revision: p.revision, Hash: p.hash, Owner: owner}
	}
	m.compare(t, want, func(s *Sessions) (answer, error) {
		p, err := s.GetProgram(m.t.Context(), owner, name)
		return answer{Revision: p.Revision, Hash: p.Hash, Owner: p.Session}, err
	})
}

func (m *machine) deleteProgram(t *rapid.T) {
	owner, name, revision := drawOwner(t), drawName(t), drawRevision(t)
	want := func() answer {
		programs := m.model.programs(owner)
		if owner != "" {
			if programs == nil {
				return answer{Reason: shared.SessionNotFound}
			}
			m.slide(m.model.session(owner))
		}
		p := programs[name]
		switch {
		case p == nil && conflicts(0, revision), p != nil && conflicts(p.revision, revision):
			return answer{Reason: shared.RevisionConflict}
		case p == nil:
			return answer{Reason: shared.ProgramNotFound}
		}
		delete(programs, name)
		return answer{}
	}()
	m.compare(t, want, func(s *Sessions) (answer, error) {
		return answer{}, s.DeleteProgram(m.t.Context(), owner, name, revision)
	})
}

func (m *machine) passTime(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 100).Draw(t, "seconds")) * time.Second)
	synctest.Wait()
}

func (m *machine) restart(t *rapid.T) {
	m.close(t)
	time.Sleep(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds down")) * time.Second)
	for engine, open := range m.reopen {
		m.real[engine] = open()
	}
}

// checkAll compares everything that can be seen without a use.
func (m *machine) checkAll(t *rapid.T) {
	var want []string
	programs := 0
	for _, id := range slices.Sorted(maps.Keys(m.model.sessions)) {
		if s := m.model.session(id); s != nil {
			names := slices.Sorted(maps.Keys(s.programs))
			want = append(want, fmt.Sprint(id, s.revision, s.ttl, time.Until(s.deadline), names))
			programs += len(names)
		}
	}
	for engine, s := range m.real {
		page, err := s.List(m.t.Context(), shared.ListSessionsRequest{})
		if err != nil {
			t.Fatalf("%s: List: %v", engine, err)
		}
		var got []string
		for _, session := range page.Sessions {
			got = append(got, fmt.Sprint(session.ID, session.Revision, session.TTL, time.Until(session.ExpiresAt), session.Programs))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s: List (-model +got):\n%s", engine, diff)
		}
		stats := s.Stats()
		if stats.Sessions != len(want) || stats.Programs != programs || stats.GlobalPrograms != len(m.model.globals) {
			t.Fatalf("%s: Stats = %+v, want %d sessions, %d programs, %d global", engine, stats, len(want), programs, len(m.model.globals))
		}
		if len(want)+len(m.model.globals) == 0 && stats.Bytes != 0 {
			t.Fatalf("%s: %d bytes of nothing", engine, stats.Bytes)
		}
		global, err := s.ListPrograms(m.t.Context(), "")
		var names []string
		for _, p := range global {
			names = append(names, p.Name)
		}
		if want := slices.Sorted(maps.Keys(m.model.globals)); err != nil || strings.Join(names, ",") != strings.Join(want, ",") {
			t.Fatalf("%s: global programs %v, %v, want %v", engine, names, err, want)
		}
	}
	if a, b := m.real["memory"].Stats(), m.real["bolt"].Stats(); a.Bytes != b.Bytes {
		t.Fatalf("memory has %d bytes, bolt %d", a.Bytes, b.Bytes)
	}
}
