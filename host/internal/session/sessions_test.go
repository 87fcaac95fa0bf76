package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

func newSessions(t testing.TB, store Store, opts Options) *Sessions {
	t.Helper()
	s, err := New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) add(e shared.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, strings.TrimSuffix(fmt.Sprintf("%s %s/%s", e.Kind, e.Session, e.Program), "/"))
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

func mustPut(t testing.TB, s *Sessions, id, data string) shared.Session {
	t.Helper()
	session, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: id, Data: json.RawMessage(data)})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{OnEvent: events.add})
		before := time.Now().Add(-time.Second)
		data := json.RawMessage(` {"user": 12345678901234567890, "x": "\u00e9"} `)
		put, created, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "user-1", Data: data, TTL: time.Minute})
		if err != nil || !created {
			t.Fatalf("Put = created %v, %v", created, err)
		}
		data[3] = 'X' // The store has a copy.
		put.Data[3] = 'X'
		got, err := s.Get(t.Context(), "user-1")
		if err != nil {
			t.Fatal(err)
		}
		if want := ` {"user": 12345678901234567890, "x": "\u00e9"} `; string(got.Data) != want {
			t.Errorf("Data = %s, want %s", got.Data, want)
		}
		if got.Revision != 1 || got.TTL != time.Minute || len(got.Programs) != 0 || got.ID != "user-1" {
			t.Errorf("Get = %+v", got)
		}
		if got.CreatedAt.Before(before) || !got.UpdatedAt.Equal(got.CreatedAt) {
			t.Errorf("CreatedAt %v, UpdatedAt %v, want now", got.CreatedAt, got.UpdatedAt)
		}
		if d := got.ExpiresAt.Sub(got.CreatedAt); d < 59*time.Second || d > 70*time.Second {
			t.Errorf("ExpiresAt is %v after CreatedAt, want about a minute", d)
		}
		again, created, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "user-1"})
		if err != nil || created || again.Revision != 2 || string(again.Data) != "{}" || again.TTL != time.Hour {
			t.Errorf("second Put = %+v, created %v, %v", again, created, err)
		}
		if !again.CreatedAt.Equal(got.CreatedAt) {
			t.Errorf("CreatedAt = %v after a second Put, want %v", again.CreatedAt, got.CreatedAt)
		}
		if err := s.Delete(t.Context(), "user-1", nil); err != nil {
			t.Error(err)
		}
		_, err = s.Get(t.Context(), "user-1")
		wantError(t, "Get after Delete", err, shared.ErrSessionNotFound)
		wantError(t, "second Delete", s.Delete(t.Context(), "user-1", nil), shared.ErrSessionNotFound)
		if diff := cmp.Diff([]string{"session.created user-1", "session.updated user-1", "session.deleted user-1"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		at := func(n uint64) *uint64 { return &n }
		put := func(revision *uint64) error {
			_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "s", IfRevision: revision})
			return err
		}
		err := put(at(3))
		wantError(t, "Put at 3 of nothing", err, shared.ErrRevisionConflict)
		if want := `session "s" does not exist, so it is not at revision 3`; err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
		if err := put(at(0)); err != nil {
			t.Errorf("Put at 0 of nothing = %v", err)
		}
		err = put(at(0))
		wantError(t, "Put at 0", err, shared.ErrRevisionConflict)
		if want := `session "s" exists, at revision 1`; err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
		if err := put(at(1)); err != nil {
			t.Errorf("Put at 1 = %v", err)
		}
		err = put(at(1))
		wantError(t, "Put at 1 again", err, shared.ErrRevisionConflict)
		if want := `session "s" is at revision 2, not 1`; err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
		_, err = s.Patch(t.Context(), shared.PatchSessionRequest{ID: "s", Patch: json.RawMessage(`{"a":1}`), IfRevision: at(1)})
		wantError(t, "Patch at 1", err, shared.ErrRevisionConflict)
		got, err := s.Patch(t.Context(), shared.PatchSessionRequest{ID: "s", Patch: json.RawMessage(`{"a":1}`), IfRevision: at(2)})
		if err != nil || got.Revision != 3 || string(got.Data) != `{"a":1}` {
			t.Errorf("Patch at 2 = %+v, %v", got, err)
		}
		wantError(t, "Delete at 2", s.Delete(t.Context(), "s", at(2)), shared.ErrRevisionConflict)
		if err := s.Delete(t.Context(), "s", at(3)); err != nil {
			t.Errorf("Delete at 3 = %v", err)
		}
		if err := put(at(0)); err != nil {
			t.Errorf("Put at 0 after Delete = %v", err)
		}
	})
}

func TestPatch(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		patch := func(text string, ttl time.Duration) (shared.Session, error) {
			var raw json.RawMessage
			if text != "" {
				raw = json.RawMessage(text)
			}
			return s.Patch(t.Context(), shared.PatchSessionRequest{ID: "s", Patch: raw, TTL: ttl})
		}
		_, err := patch(`{}`, 0)
		wantError(t, "Patch of nothing", err, shared.ErrSessionNotFound)
		mustPut(t, s, "s", `{"a":{"b":1,"c":2},"n":12345678901234567890}`)
		got, err := patch(`{"a":{"b":null,"d":[1]},"e":{"f":null}}`, 0)
		if err != nil || string(got.Data) != `{"a":{"c":2,"d":[1]},"n":12345678901234567890,"e":{}}` || got.Revision != 2 || got.TTL != time.Hour {
			t.Errorf("Patch = %+v %s, %v", got, got.Data, err)
		}
		got, err = patch("", time.Minute)
		if err != nil || got.Revision != 2 || got.TTL != time.Minute {
			t.Errorf("Patch of the TTL = %+v, %v, want revision 2 and 1m", got, err)
		}
		got, err = patch("", 0)
		if err != nil || got.Revision != 2 || got.TTL != time.Minute {
			t.Errorf("Patch of nothing = %+v, %v, want revision 2 and 1m", got, err)
		}
		_, err = patch(`[1]`, 0)
		wantError(t, "Patch with an array", err, shared.ErrInvalidArgument)
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		mustPut(t, s, "s", `{"n":0}`)
		const writers = 12
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				_, err := s.Update(t.Context(), "s", func(session *shared.Session) error {
					var data struct{ N int }
					if err := json.Unmarshal(session.Data, &data); err != nil {
						return err
					}
					session.Data = fmt.Appendf(nil, `{"n":%d}`, data.N+1)
					session.ID, session.Revision = "other", 99 // Not written.
					return nil
				})
				if err != nil {
					t.Errorf("Update = %v", err)
				}
			})
		}
		wg.Wait()
		got, err := s.Get(t.Context(), "s")
		if want := fmt.Sprintf(`{"n":%d}`, writers); err != nil || string(got.Data) != want || got.Revision != writers+1 {
			t.Errorf("Get = %s at %d, %v, want %s at %d", got.Data, got.Revision, err, want, writers+1)
		}
		_, err = s.Update(t.Context(), "none", func(*shared.Session) error { return nil })
		wantError(t, "Update of nothing", err, shared.ErrSessionNotFound)
	})
}

func TestUpdateEnds(t *testing.T) {
	t.Parallel()
	s := newSessions(t, NewMemory(), Options{})
	mustPut(t, s, "s", "{}")
	tries := 0
	_, err := s.Update(t.Context(), "s", func(*shared.Session) error {
		tries++
		mustPut(t, s, "s", "{}") // Somebody is always faster.
		return nil
	})
	wantError(t, "Update", err, shared.ErrRevisionConflict)
	if tries != maxTries {
		t.Errorf("%d tries, want %d", tries, maxTries)
	}
	// An error of the function is returned as it is, even if it looks like a conflict.
	want := shared.Errorf(shared.RevisionConflict, "mine")
	tries = 0
	_, err = s.Update(t.Context(), "s", func(*shared.Session) error { tries++; return want })
	if err != error(want) || tries != 1 {
		t.Errorf("Update = %v after %d tries, want %v after 1", err, tries, want)
	}
}

func TestEnsureAndTouch(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{OnEvent: events.add, Sliding: true})
		wantError(t, "Touch of nothing", s.Touch(t.Context(), "s"), shared.ErrSessionNotFound)
		var created atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				ok, err := s.Ensure(t.Context(), "s")
				if err != nil {
					t.Error(err)
				}
				if ok {
					created.Add(1)
				}
			})
		}
		wg.Wait()
		if created.Load() != 1 {
			t.Errorf("%d calls of Ensure created the session, want 1", created.Load())
		}
		if err := s.Touch(t.Context(), "s"); err != nil {
			t.Error(err)
		}
		got, err := s.Get(t.Context(), "s")
		if err != nil || got.Revision != 1 || string(got.Data) != "{}" {
			t.Errorf("Get = %+v, %v", got, err)
		}
		if diff := cmp.Diff([]string{"session.created s"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		for i := range 120 {
			mustPut(t, s, fmt.Sprintf("user-%03d", i), `{"secret":1}`)
		}
		mustPut(t, s, "other", "{}")
		if _, _, err := s.PutProgram(t.Context(), "user-000", "qa", testSpec(t, "q -> a"), nil); err != nil {
			t.Fatal(err)
		}
		var ids []string
		after, pages := "", 0
		for {
			page, err := s.List(t.Context(), shared.ListSessionsRequest{Prefix: "user-", Limit: 50, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, session := range page.Sessions {
				if session.Data != nil || session.Revision != 1 || session.ExpiresAt.Before(time.Now()) {
					t.Errorf("listed %+v", session)
				}
				ids = append(ids, session.ID)
			}
			if pages++; !page.More {
				break
			}
			after = ids[len(ids)-1]
		}
		if len(ids) != 120 || pages != 3 || !slices.IsSorted(ids) {
			t.Errorf("%d sessions on %d pages, want 120 on 3, sorted", len(ids), pages)
		}
		page, err := s.List(t.Context(), shared.ListSessionsRequest{})
		if err != nil || len(page.Sessions) != 100 || !page.More || page.Sessions[0].ID != "other" {
			t.Errorf("List = %d sessions, more %v, %v, want 100, true", len(page.Sessions), page.More, err)
		}
		if diff := cmp.Diff([]string{"qa"}, page.Sessions[1].Programs); diff != "" {
			t.Errorf("Programs (-want +got):\n%s", diff)
		}
	})
}

func TestStats(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		spec := testSpec(t, "q -> a")
		mustPut(t, s, "a", `{"a":1}`)
		mustPut(t, s, "b", `{}`)
		base := s.Stats()
		if diff := cmp.Diff(shared.SessionStats{Sessions: 2, Bytes: 9}, base); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
		for _, session := range []string{"a", "a", "c", ""} {
			if _, _, err := s.PutProgram(t.Context(), session, "p", spec, nil); err != nil {
				t.Fatal(err)
			}
		}
		got := s.Stats()
		if got.Sessions != 3 || got.Programs != 2 || got.GlobalPrograms != 1 || got.Bytes < base.Bytes+300 {
			t.Errorf("Stats with programs = %+v", got)
		}
		for _, session := range []string{"a", ""} {
			if err := s.DeleteProgram(t.Context(), session, "p", nil); err != nil {
				t.Error(err)
			}
		}
		if err := s.Delete(t.Context(), "c", nil); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(base, s.Stats()); diff != "" {
			t.Errorf("Stats after deleting (-want +got):\n%s", diff)
		}
		mustPut(t, s, "a", `{}`)
		if got := s.Stats().Bytes; got != 4 {
			t.Errorf("Bytes = %d, want 4", got)
		}
	})
}

func TestClosedSessions(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		mustPut(t, s, "s", "{}")
		for range 2 {
			if err := s.Close(t.Context()); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
		_, err := s.Get(t.Context(), "s")
		wantError(t, "Get after Close", err, shared.ErrUnavailable)
		wantError(t, "Touch after Close", s.Touch(t.Context(), "s"), shared.ErrUnavailable)
		_, _, err = s.Put(t.Context(), shared.PutSessionRequest{ID: "s"})
		wantError(t, "Put after Close", err, shared.ErrUnavailable)
	})
}
