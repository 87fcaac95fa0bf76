package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
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
		time.Sleep(1)
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

// faultyStore counts the updates that changed heads, and can fail.
type faultyStore struct {
	Store
	fail atomic.Bool
	// updates with heads among their changes, and the most heads in one.
	updates, most atomic.Int64
}

var errFaulty = errors.New("faulty")

func (f *faultyStore) Update(ctx context.Context, fn func(Writer) error) error {
	if f.fail.Load() {
		return errFaulty
	}
	var heads int64
	err := f.Store.Update(ctx, func(w Writer) error {
		if err := fn(w); err != nil {
			return err
		}
		heads = 0
		for at := range w.(*overlay).changes {
			if at.table == headTable {
				heads++
			}
		}
		return nil
	})
	if err == nil && heads > 0 {
		f.updates.Add(1)
		f.most.Store(max(f.most.Load(), heads))
	}
	return err
}

// crash leaves the store below as it is: whoever has f can change it no more.
func (f *faultyStore) crash() Store {
	f.fail.Store(true)
	return f.Store
}

func (f *faultyStore) Close() error { return nil }

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

// TestCrash ends a process that has deadlines in memory only.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{4 * time.Second, 10 * time.Minute, time.Hour} {
		t.Run(ttl.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const interval = time.Minute
				opts := Options{Sliding: true, CleanupInterval: interval, boot: noBoot}
				store := &faultyStore{Store: NewMemory()}
				s := newSessions(t, store, opts)
				putTTL(t, s, "used", ttl)
				putTTL(t, s, "unused", ttl)
				putTTL(t, s, "deleted", ttl)
				for range 997 {
					time.Sleep(ttl / 100)
					for _, id := range []string{"used", "deleted"} {
						if _, err := s.Get(t.Context(), id); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := s.Delete(t.Context(), "deleted", nil); err != nil {
					t.Fatal(err)
				}
				last := time.Now()
				after := newSessions(t, &faultyStore{Store: store.crash()}, opts)
				got, err := after.List(t.Context(), shared.ListSessionsRequest{})
				if err != nil || len(got.Sessions) != 1 || got.Sessions[0].ID != "used" {
					t.Fatalf("List after the crash = %+v, %v, want only the used session", got, err)
				}
				lag := min(ttl/4, interval)
				expires := got.Sessions[0].ExpiresAt
				if expires.After(last.Add(ttl)) || expires.Before(last.Add(ttl-lag)) {
					t.Errorf("after the crash it expires %v after its last use, want %v to %v", expires.Sub(last), ttl-lag, ttl)
				}
			})
		})
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dspex.db")
		var events recorder
		opts := Options{Sliding: true, CleanupInterval: time.Minute, OnEvent: events.add, boot: noBoot}
		open := func() *Sessions { return newSessions(t, openTestBolt(t, path), opts) }
		s := open()
		if _, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "long", Data: json.RawMessage(`{"a":1}`), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		putTTL(t, s, "short", time.Minute)
		for _, session := range []string{"", "long"} {
			if _, _, err := s.PutProgram(t.Context(), session, "p", testSpec(t, "q -> a"), nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		before, err := s.Get(t.Context(), "long")
		if err != nil {
			t.Fatal(err)
		}
		program, err := s.GetProgram(t.Context(), "long", "p")
		if err != nil {
			t.Fatal(err)
		}
		stats := s.Stats()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		events.take()
		s = open()
		page, err := s.List(t.Context(), shared.ListSessionsRequest{})
		if err != nil || len(page.Sessions) != 1 {
			t.Fatalf("List = %+v, %v, want one session", page, err)
		}
		// The last use was only in memory, but Close stored it.
		if got, want := page.Sessions[0].ExpiresAt, before.ExpiresAt; got.Sub(want).Abs() > time.Millisecond {
			t.Errorf("ExpiresAt = %v, want %v", got, want)
		}
		stats.Sessions, stats.Bytes = 1, stats.Bytes-2
		if diff := cmp.Diff(stats, s.Stats()); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"session.expired short"}, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		after, err := s.Get(t.Context(), "long")
		if err != nil {
			t.Fatal(err)
		}
		after.ExpiresAt = before.ExpiresAt
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("session (-before +after):\n%s", diff)
		}
		programAfter, err := s.GetProgram(t.Context(), "long", "p")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(program, programAfter); diff != "" {
			t.Errorf("program (-before +after):\n%s", diff)
		}
		if created, err := s.Ensure(t.Context(), "short"); err != nil || !created {
			t.Errorf("Ensure = created %v, %v", created, err)
		}
	})
}

// TestClockSteps steps the wall clock between two processes.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// wall and boot time that pass between the processes, or another boot.
		wall, since time.Duration
		rebooted    bool
		// left of a TTL of an hour; 0 if it has expired.
		left time.Duration
	}{
		"no step":                 {10 * time.Minute, 10 * time.Minute, false, 50 * time.Minute},
		"forward a year":          {365 * 24 * time.Hour, 10 * time.Minute, false, 50 * time.Minute},
		"standing still":          {0, 2 * time.Hour, false, 0},
		"reboot":                  {10 * time.Minute, time.Minute, true, 50 * time.Minute},
		"reboot, long ago":        {2 * time.Hour, time.Minute, true, 0},
		"reboot, clock went back": {-24 * time.Hour, time.Minute, true, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := NewMemory()
				now := bootTime{"boot 1", time.Hour}
				opts := Options{DefaultTTL: time.Hour, boot: func() (bootTime, bool) { return now, true }}
				if test.wall < 0 {
					time.Sleep(-test.wall) // So that the clock can go back.
				}
				s := newSessions(t, &faultyStore{Store: store}, opts)
				mustPut(t, s, "s", "{}")
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				now.since += test.since
				if test.rebooted {
					now = bootTime{"boot 2", test.since}
				}
				if test.wall < 0 {
					rewindStore(t, store, test.wall)
				} else {
					time.Sleep(test.wall)
				}
				s = newSessions(t, &faultyStore{Store: store}, opts)
				page, err := s.List(t.Context(), shared.ListSessionsRequest{})
				if err != nil {
					t.Fatal(err)
				}
				var left time.Duration
				if len(page.Sessions) == 1 {
					left = time.Until(page.Sessions[0].ExpiresAt)
				}
				if left != test.left {
					t.Errorf("%v of the TTL are left, want %v", left, test.left)
				}
			})
		})
	}
}

// rewindStore makes the wall clock look as if it had gone back, by moving the
// deadlines forward.
func rewindStore(t *testing.T, store Store, by time.Duration) {
	t.Helper()
	update(t, store, func(w Writer) error {
		raw, err := w.Get(headTable, "s")
		if err != nil {
			return err
		}
		h, err := decodeHead("s", raw)
		h.deadline -= int64(by)
		w.Put(headTable, "s", h.encode())
		return err
	})
}
