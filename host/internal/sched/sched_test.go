package sched

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type worker = string

func TestLeastBusyPrefersMostFreeSlots(t *testing.T) {
	t.Parallel()
	s := New[worker](Options{Capacity: 10})
	s.Add("small", 1)
	s.Add("large", 3)
	var got []string
	for range 4 {
		var ticket Ticket[worker]
		if out := s.Acquire(&ticket); out != Granted {
			t.Fatalf("Acquire = %v, want Granted", out)
		}
		got = append(got, ticket.Member().Worker)
	}
	// large has 3, then 2, then 1 free; at 1:1 small has been idle for longer.
	if want := []string{"large", "large", "small", "large"}; !slices.Equal(got, want) {
		t.Errorf("workers chosen = %v, want %v", got, want)
	}
}

func TestTie(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		tie  Tie
		want []string
	}{
		{OldestIdle, []string{"a", "b", "a", "b"}},
		{NewestIdle, []string{"b", "b", "b", "b"}},
	} {
		s := New[worker](Options{Capacity: 1, Tie: tc.tie})
		s.Add("a", 1)
		s.Add("b", 1)
		var got []string
		for range 4 {
			var ticket Ticket[worker]
			s.Acquire(&ticket)
			got = append(got, ticket.Member().Worker)
			s.Release(&ticket)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("tie %v: workers chosen = %v, want %v", tc.tie, got, tc.want)
		}
	}
}

func TestDoubleReleasePanics(t *testing.T) {
	t.Parallel()
	s := New[worker](Options{})
	s.Add("a", 1)
	var ticket Ticket[worker]
	s.Acquire(&ticket)
	s.Release(&ticket)
	defer func() {
		if recover() == nil {
			t.Error("second Release did not panic")
		}
	}()
	s.Release(&ticket)
}

// TestModel drives random histories against a naive model and checks after each
// step: no slot over capacity, FIFO, least busy, no ticket lost or granted twice.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(0, 5).Draw(t, "capacity")
		s := New[int](Options{Capacity: capacity})
		var (
			members []*Member[int]
			leases  []*Ticket[int]
			waiting []*Ticket[int]
			nextID  int
		)
		// expectGrant takes a ticket off the model's queue: it must be the oldest.
		expectGrant := func(ticket *Ticket[int]) {
			if len(waiting) == 0 || waiting[0] != ticket {
				t.Fatalf("granted out of order")
			}
			waiting = waiting[1:]
			leases = append(leases, ticket)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				nextID++
				m, granted := s.Add(nextID, rapid.IntRange(1, 3).Draw(t, "slots"))
				members = append(members, m)
				for _, ticket := range granted {
					expectGrant(ticket)
				}
			},
			"acquire": func(t *rapid.T) {
				best := 0
				for _, m := range members {
					best = max(best, m.free())
				}
				ticket := &Ticket[int]{}
				switch out := s.Acquire(ticket); {
				case best > 0 && len(waiting) == 0:
					if out != Granted {
						t.Fatalf("Acquire = %v with %d free slots, want Granted", out, best)
					}
					if got := ticket.Member().free() + 1; got != best {
						t.Fatalf("granted a worker with %d free slots, want %d", got, best)
					}
					leases = append(leases, ticket)
				case len(waiting) < capacity:
					if out != Queued {
						t.Fatalf("Acquire = %v, want Queued", out)
					}
					waiting = append(waiting, ticket)
				default:
					if out != Full {
						t.Fatalf("Acquire = %v, want Full", out)
					}
				}
			},
			"release": func(t *rapid.T) {
				if len(leases) == 0 {
					t.Skip("no lease")
				}
				i := rapid.IntRange(0, len(leases)-1).Draw(t, "lease")
				ticket := leases[i]
				leases = slices.Delete(leases, i, i+1)
				if next := s.Release(ticket); next != nil {
					expectGrant(next)
				}
			},
			"cancel": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nobody waits")
				}
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "ticket")
				if !s.Cancel(waiting[i]) {
					t.Fatal("Cancel of a waiting ticket = false")
				}
				waiting = slices.Delete(waiting, i, i+1)
			},
			"drain": func(t *rapid.T) {
				if len(members) == 0 {
					t.Skip("no member")
				}
				s.Drain(members[rapid.IntRange(0, len(members)-1).Draw(t, "member")])
			},
			"remove": func(t *rapid.T) {
				if len(members) == 0 {
					t.Skip("no member")
				}
				i := rapid.IntRange(0, len(members)-1).Draw(t, "member")
				s.Remove(members[i])
				members = slices.Delete(members, i, i+1)
			},
			"flush": func(t *rapid.T) {
				got := s.Flush()
				if !slices.Equal(got, waiting) {
					t.Fatalf("Flush returned %d tickets, want the %d waiting in order", len(got), len(waiting))
				}
				waiting = nil
			},
			"": func(t *rapid.T) {
				held := map[*Member[int]]int{}
				for _, ticket := range leases {
					held[ticket.Member()]++
				}
				free := 0
				for _, m := range members {
					if m.inFlight != held[m] || m.inFlight > m.slots {
						t.Fatalf("member %d has %d in flight of %d slots, leases say %d", m.Worker, m.inFlight, m.slots, held[m])
					}
					free += m.free()
				}
				if free > 0 && len(waiting) > 0 {
					t.Fatalf("%d tickets wait beside %d free slots", len(waiting), free)
				}
				if got := s.Counts().Queued; got != len(waiting) {
					t.Fatalf("Counts().Queued = %d, want %d", got, len(waiting))
				}
			},
		})
	})
}

func BenchmarkAcquireRelease(b *testing.B) {
	s := New[int](Options{Capacity: 1000})
	for i := range 8 {
		s.Add(i, 32)
	}
	b.ReportAllocs()
	var ticket Ticket[int]
	for b.Loop() {
		s.Acquire(&ticket)
		s.Release(&ticket)
	}
}
