package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dspex/dspex/shared"
)

func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	s := newSessions(t, NewMemory(), Options{MaxTTL: 2 * time.Hour})
	for _, id := range []string{
		"", ".", "..", "a/b", "a b", "a\nb", "a\x00b", "é", "a\u202eb", "../../etc", strings.Repeat("x", 257), strings.Repeat("é", 5000), "%2e", "a\\b", "a;b",
	} {
		_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: id})
		wantError(t, fmt.Sprintf("Put %.20q", id), err, shared.ErrInvalidArgument)
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("Put %.20q: an error of %d bytes", id, len(err.Error()))
		}
		_, err = s.Get(t.Context(), id)
		wantError(t, fmt.Sprintf("Get %.20q", id), err, shared.ErrInvalidArgument)
	}
	for _, id := range []string{strings.Repeat("x", 256), "user:1@example.com", "A-b_c.d~e+f=", "..."} {
		mustPut(t, s, id, "{}")
	}
	for _, data := range []string{`[]`, `null`, `{`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`} {
		_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "s", Data: json.RawMessage(data)})
		wantError(t, "Put of "+data, err, shared.ErrInvalidArgument)
	}
	for _, ttl := range []time.Duration{-1, 1, 2*time.Hour + 1} {
		_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "s", TTL: ttl})
		wantError(t, "Put with TTL "+ttl.String(), err, shared.ErrInvalidArgument)
	}
	for _, limit := range []int{-1, 1001} {
		_, err := s.List(t.Context(), shared.ListSessionsRequest{Limit: limit})
		wantError(t, fmt.Sprint("List with limit ", limit), err, shared.ErrInvalidArgument)
	}
	_, err := New(NewMemory(), Options{DefaultTTL: time.Hour, MaxTTL: time.Minute})
	wantError(t, "New", err, &shared.Error{Reason: shared.ConfigInvalid})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{MaxCount: 2, MaxBytes: 100})
		tooLarge, limit := &shared.Error{Reason: shared.SessionTooLarge}, &shared.Error{Reason: shared.SessionLimit}
		big := func(n int) json.RawMessage { return fmt.Appendf(nil, `{"a":%q}`, strings.Repeat("x", n-8)) }
		if _, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "a", Data: big(100)}); err != nil {
			t.Errorf("Put of 100 bytes = %v", err)
		}
		_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "a", Data: big(101)})
		wantError(t, "Put of 101 bytes", err, tooLarge)
		_, err = s.Patch(t.Context(), shared.PatchSessionRequest{ID: "a", Patch: json.RawMessage(`{"b":1}`)})
		wantError(t, "Patch beyond 100 bytes", err, tooLarge)
		mustPut(t, s, "b", "{}")
		_, _, err = s.Put(t.Context(), shared.PutSessionRequest{ID: "c"})
		wantError(t, "third session", err, limit)
		_, err = s.Ensure(t.Context(), "c")
		wantError(t, "Ensure of a third session", err, limit)
		// At the limit sessions that exist can be written and created anew.
		mustPut(t, s, "a", "{}")
		if _, err := s.Ensure(t.Context(), "b"); err != nil {
			t.Errorf("Ensure at the limit = %v", err)
		}
		if err := s.Delete(t.Context(), "a", nil); err != nil {
			t.Error(err)
		}
		mustPut(t, s, "a", "{}")
		if got := s.Stats().Sessions; got != 2 {
			t.Errorf("Sessions = %d, want 2", got)
		}
	})
}

func TestLimitHoldsForConcurrentCreation(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{MaxCount: 10})
		var created atomic.Int32
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: fmt.Sprint("s", i)})
				if err == nil {
					created.Add(1)
				} else {
					wantError(t, "Put", err, &shared.Error{Reason: shared.SessionLimit})
				}
			})
		}
		wg.Wait()
		if got := created.Load(); got != 10 || s.Stats().Sessions != 10 {
			t.Errorf("%d sessions created, %d in Stats, want 10", got, s.Stats().Sessions)
		}
	})
}

func TestConcurrentCompareAndSwapHasOneWinner(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		mustPut(t, s, "s", "{}")
		for revision := uint64(1); revision <= 20; revision++ {
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					_, _, err := s.Put(t.Context(), shared.PutSessionRequest{
						ID: "s", Data: fmt.Appendf(nil, `{"writer":%d}`, i), IfRevision: &revision,
					})
					if err == nil {
						won.Add(1)
					} else {
						wantError(t, "Put", err, shared.ErrRevisionConflict)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Errorf("revision %d: %d winners, want 1", revision, won.Load())
			}
		}
		if got, err := s.Get(t.Context(), "s"); err != nil || got.Revision != 21 {
			t.Errorf("Get = revision %d, %v, want 21", got.Revision, err)
		}
	})
}

// TestConcurrentUse gives the race detector something to look at.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{Sliding: true, CleanupInterval: time.Millisecond, OnEvent: func(shared.Event) {}})
		spec := testSpec(t, "q -> a")
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 60 {
					id := fmt.Sprint("s", (worker+i)%5)
					var err error
					switch i % 8 {
					case 0, 1:
						_, _, err = s.Put(t.Context(), shared.PutSessionRequest{ID: id, TTL: time.Duration(1+i%3) * time.Millisecond})
					case 2:
						_, err = s.Get(t.Context(), id)
					case 3:
						err = s.Delete(t.Context(), id, nil)
					case 4:
						_, _, err = s.PutProgram(t.Context(), id, "p", spec, nil)
					case 5:
						_, err = s.FindProgram(t.Context(), id, "p")
					case 6:
						_, err = s.List(t.Context(), shared.ListSessionsRequest{})
					case 7:
						_, err = s.Ensure(t.Context(), id)
						s.Stats()
					}
					if err != nil && !errors.Is(err, shared.ErrSessionNotFound) && !errors.Is(err, shared.ErrProgramNotFound) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}
