package session

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

// eachStoreInBubble runs a test over every engine, in false time.
func eachStoreInBubble(t *testing.T, test func(t *testing.T, store Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, open(t)) })
		})
	}
}

// noBoot makes a store go by the wall clock, which in a bubble is false.
func noBoot() (bootTime, bool) { return bootTime{}, false }

func putTTL(t testing.TB, s *Sessions, id string, ttl time.Duration) {
	t.Helper()
	if _, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: id, TTL: ttl}); err != nil {
		t.Fatal(err)
	}
}

func heads(t testing.TB, store Store) (ids []string) {
	t.Helper()
	err := store.View(func(r Reader) error {
		return r.Scan(headTable, "", "", func(e Entry) bool { ids = append(ids, e.Key); return true })
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestExpiredSessionIsGoneForEveryMethod(t *testing.T) {
	t.Parallel()
	eachStoreInBubble(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{CleanupInterval: 24 * time.Hour, OnEvent: events.add, boot: noBoot})
		putTTL(t, s, "s", time.Minute)
		if _, _, err := s.PutProgram(t.Context(), "s", "p", testSpec(t, "q -> a"), nil); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, "s", `{"old":true}`)
		putTTL(t, s, "s", time.Minute)
		events.take()
		time.Sleep(time.Minute - 1)
		if _, err := s.Get(t.Context(), "s"); err != nil {
			t.Errorf("Get just before the end = %v", err)
		}
		time.Sleep(time.Nanosecond)
		ctx := t.Context()
		_, err := s.Get(ctx, "s")
		wantError(t, "Get", err, shared.ErrSessionNotFound)
		wantError(t, "Touch", s.Touch(ctx, "s"), shared.ErrSessionNotFound)
		_, err = s.Patch(ctx, shared.PatchSessionRequest{ID: "s", Patch: json.RawMessage(`{}`)})
		wantError(t, "Patch", err, shared.ErrSessionNotFound)
		_, err = s.Update(ctx, "s", func(*shared.Session) error { return nil })
		wantError(t, "Update", err, shared.ErrSessionNotFound)
		wantError(t, "Delete", s.Delete(ctx, "s", nil), shared.ErrSessionNotFound)
		_, err = s.GetProgram(ctx, "s", "p")
		wantError(t, "GetProgram", err, shared.ErrSessionNotFound)
		_, err = s.FindProgram(ctx, "s", "p")
		wantError(t, "FindProgram", err, shared.ErrProgramNotFound)
		_, err = s.ListPrograms(ctx, "s")
		wantError(t, "ListPrograms", err, shared.ErrSessionNotFound)
		wantError(t, "DeleteProgram", s.DeleteProgram(ctx, "s", "p", nil), shared.ErrSessionNotFound)
		revision := uint64(3)
		_, _, err = s.Put(ctx, shared.PutSessionRequest{ID: "s", IfRevision: &revision})
		wantError(t, "Put at the old revision", err, shared.ErrRevisionConflict)
		if page, err := s.List(ctx, shared.ListSessionsRequest{}); err != nil || len(page.Sessions) != 0 {
			t.Errorf("List = %+v, %v, want nothing", page, err)
		}
		if got := s.Stats(); got != (shared.SessionStats{}) {
			t.Errorf("Stats = %+v, want nothing", got)
		}
		if got := events.take(); got != nil {
			t.Errorf("events = %v, want none before the cleanup", got)
		}
		// The records are still there, but the next session of the ID is a new one.
		if diff := cmp.Diff([]string{"s"}, heads(t, store)); diff != "" {
			t.Errorf("stored sessions (-want +got):\n%s", diff)
		}
		got, created, err := s.Put(ctx, shared.PutSessionRequest{ID: "s", TTL: time.Hour})
		if err != nil || !created || got.Revision != 1 || len(got.Programs) != 0 || string(got.Data) != "{}" {
			t.Errorf("Put = %+v, created %v, %v, want a new session", got, created, err)
		}
		_, err = s.GetProgram(ctx, "s", "p")
		wantError(t, "GetProgram of the new session", err, shared.ErrProgramNotFound)
		if diff := cmp.Diff([]string{"session.expired s", "session.created s"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if got, want := s.Stats(), (shared.SessionStats{Sessions: 1, Bytes: 2, Expired: 1}); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
	})
}

func TestPutProgramOnExpiredSession(t *testing.T) {
	t.Parallel()
	eachStoreInBubble(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{DefaultTTL: time.Minute, CleanupInterval: time.Hour, MaxPrograms: 1, boot: noBoot})
		for range 2 { // Neither the old program nor its revision counts the second time.
			p, created, err := s.PutProgram(t.Context(), "s", "p", testSpec(t, "q -> a"), nil)
			if err != nil || !created || p.Revision != 1 {
				t.Errorf("PutProgram = revision %d, created %v, %v, want 1, true", p.Revision, created, err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestSliding(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		use func(ctx context.Context, s *Sessions) error
		// slides says whether the use restarts the lifetime, with Sliding and without.
		slides, slidesAlways bool
	}{
		"get":    {func(ctx context.Context, s *Sessions) error { _, err := s.Get(ctx, "s"); return err }, true, false},
		"ensure": {func(ctx context.Context, s *Sessions) error { _, err := s.Ensure(ctx, "s"); return err }, true, false},
		"find": {func(ctx context.Context, s *Sessions) error {
			_, err := s.FindProgram(ctx, "s", "p")
			return err
		}, true, false},
		"put program": {func(ctx context.Context, s *Sessions) error {
			_, err := s.UpdateProgram(ctx, "s", "p", func(*shared.ProgramSpec) error { return nil })
			return err
		}, true, false},
		"touch": {func(ctx context.Context, s *Sessions) error { return s.Touch(ctx, "s") }, true, true},
		"patch": {func(ctx context.Context, s *Sessions) error {
			_, err := s.Patch(ctx, shared.PatchSessionRequest{ID: "s", Patch: json.RawMessage(`{"a":1}`)})
			return err
		}, true, true},
		"update": {func(ctx context.Context, s *Sessions) error {
			_, err := s.Update(ctx, "s", func(*shared.Session) error { return nil })
			return err
		}, true, true},
		"list": {func(ctx context.Context, s *Sessions) error {
			_, err := s.List(ctx, shared.ListSessionsRequest{})
			return err
		}, false, false},
	} {
		for _, sliding := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s sliding %v", name, sliding), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSessions(t, NewMemory(), Options{Sliding: sliding, boot: noBoot})
					putTTL(t, s, "s", time.Minute)
					if _, _, err := s.PutProgram(t.Context(), "s", "p", testSpec(t, "q -> a"), nil); err != nil {
						t.Fatal(err)
					}
					time.Sleep(40 * time.Second)
					if err := test.use(t.Context(), s); err != nil {
						t.Fatal(err)
					}
					time.Sleep(40 * time.Second)
					want := test.slides && sliding || test.slidesAlways
					if _, err := s.Get(t.Context(), "s"); (err == nil) != want {
						t.Errorf("after 80s of a TTL of 60s, used after 40s, Get = %v, want alive %v", err, want)
					}
				})
			})
		}
	}
}

func TestShorterTTL(t *testing.T) {
	t.Parallel()
	eachStoreInBubble(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{Sliding: true, CleanupInterval: time.Second, OnEvent: events.add, boot: noBoot})
		putTTL(t, s, "s", time.Hour)
		putTTL(t, s, "s", time.Minute)
		events.take()
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"session.expired s"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	eachStoreInBubble(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{CleanupInterval: time.Minute, OnEvent: events.add, boot: noBoot})
		putTTL(t, s, "a", 30*time.Second)
		putTTL(t, s, "b", 90*time.Second)
		putTTL(t, s, "c", 40*time.Second)
		if _, _, err := s.PutProgram(t.Context(), "a", "p", testSpec(t, "q -> a"), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		putTTL(t, s, "c", time.Hour) // Expired, and created anew before the cleanup.
		events.take()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"session.expired a"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"b", "c"}, heads(t, store)); diff != "" {
			t.Errorf("stored sessions (-want +got):\n%s", diff)
		}
		for table, want := range map[Table]int{dataTable: 2, programTable: 0} {
			n := 0
			err := store.View(func(r Reader) error { return r.Scan(table, "", "", func(Entry) bool { n++; return true }) })
			if err != nil || n != want {
				t.Errorf("%d records in %s, %v, want %d", n, table, err, want)
			}
		}
		if got, want := s.Stats(), (shared.SessionStats{Sessions: 2, Expired: 2, Bytes: 4}); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
		if _, err := s.Get(t.Context(), "c"); err != nil {
			t.Errorf("Get of the session created anew = %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"session.expired b"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if n := len(s.index.entries); n != 1 {
			t.Errorf("%d entries in memory, want 1", n)
		}
	})
}

func TestExpiredSessionsTakeNoPlace(t *testing.T) {
	t.Parallel()
	eachStoreInBubble(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{MaxCount: 2, CleanupInterval: 24 * time.Hour, boot: noBoot})
		putTTL(t, s, "a", time.Minute)
		putTTL(t, s, "b", time.Minute)
		_, err := s.Ensure(t.Context(), "c")
		wantError(t, "Ensure", err, &shared.Error{Reason: shared.SessionLimit})
		time.Sleep(time.Minute)
		for _, id := range []string{"c", "a"} {
			if _, err := s.Ensure(t.Context(), id); err != nil {
				t.Errorf("Ensure of %s after the others expired = %v", id, err)
			}
		}
		_, err = s.Ensure(t.Context(), "b")
		wantError(t, "Ensure", err, &shared.Error{Reason: shared.SessionLimit})
	})
}

func TestCleanupInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{Store: NewMemory()}
		s := newSessions(t, store, Options{CleanupInterval: time.Minute, boot: noBoot})
		for i := range 2500 {
			putTTL(t, s, fmt.Sprint("s", i), time.Second)
		}
		store.updates.Store(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if updates, most := store.updates.Load(), store.most.Load(); updates != 3 || most != 1000 {
			t.Errorf("the cleanup made %d updates of at most %d sessions, want 3 of at most 1000", updates, most)
		}
		if got := s.Stats().Expired; got != 2500 {
			t.Errorf("Expired = %d, want 2500", got)
		}
	})
}

func TestCleanupTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var events recorder
		store := &faultyStore{Store: NewMemory()}
		s := newSessions(t, store, Options{CleanupInterval: time.Minute, OnEvent: events.add, boot: noBoot})
		putTTL(t, s, "s", time.Second)
		events.take()
		store.fail.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := events.take(); got != nil || len(heads(t, store)) != 1 {
			t.Errorf("after a failed cleanup events = %v, heads %v", got, heads(t, store))
		}
		_, err := s.Get(t.Context(), "s")
		wantError(t, "Get", err, shared.ErrSessionNotFound)
		store.fail.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := events.take(); len(got) != 1 || len(heads(t, store)) != 0 {
			t.Errorf("after the next cleanup events = %v, heads %v", got, heads(t, store))
		}
	})
}

func TestSlidingCostsFewWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &faultyStore{Store: NewMemory()}
		s := newSessions(t, store, Options{Sliding: true, CleanupInterval: time.Minute, boot: noBoot})
		putTTL(t, s, "s", time.Hour)
		for range 36_000 {
			time.Sleep(100 * time.Millisecond)
			if err := s.Touch(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
		}
		if got := store.updates.Load(); got < 55 || got > 70 {
			t.Errorf("an hour of use made %d updates, want about one a minute", got)
		}
	})
}
