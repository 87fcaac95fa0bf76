package session

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

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
