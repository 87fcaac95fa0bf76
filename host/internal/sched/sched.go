// Package sched chooses the worker for a call: least busy over slots, with a
// bounded FIFO queue. It is pure: no goroutine, clock or I/O. A Scheduler is not
// safe for concurrent use; its owner, a pool, guards it with one mutex.
//
// A call is a [Ticket]. It is granted a slot at once, or queued, or refused; a
// queued ticket is granted by whatever frees a slot. A granted ticket is a
// lease: it is released exactly once.
package sched

// Tie says which of equally free workers is chosen.
type Tie int

const (
	// OldestIdle spreads calls: the worker whose last change is longest ago.
	OldestIdle Tie = iota
	// NewestIdle keeps calls together: the worker that changed last.
	NewestIdle
)

// Outcome is the answer to Acquire.
type Outcome int

const (
	// Granted: the ticket holds a slot.
	Granted Outcome = iota
	// Queued: the ticket waits.
	Queued
	// Full: the queue has no place; the ticket is as before.
	Full
)

// Options of a Scheduler.
type Options struct {
	// Capacity is the number of tickets that may wait.
	Capacity int
	Tie      Tie
}

// Scheduler gives slots of workers to tickets. W is the owner's own type of a
// worker process.
type Scheduler[W any] struct {
	opts    Options
	members []*Member[W]
	queue   ring[W]
	// clock counts changes, so that ties need no time.
	clock uint64
}

// Member is a worker process that takes calls.
type Member[W any] struct {
	Worker   W
	slots    int
	inFlight int
	draining bool
	removed  bool
	changed  uint64
}

// Counts sums up a scheduler at one moment.
type Counts struct {
	// Members that take calls; of these Available with a free slot.
	Members, Available int
	// Slots of these members, and tickets InFlight on any member.
	Slots, InFlight int
	// Queued tickets.
	Queued int
}

// New returns an empty scheduler.
func New[W any](opts Options) *Scheduler[W] {
	return &Scheduler[W]{opts: opts}
}

// Add makes a worker take calls, and returns the queued tickets that it was
// granted to.
func (s *Scheduler[W]) Add(worker W, slots int) (*Member[W], []*Ticket[W]) {
	m := &Member[W]{Worker: worker, slots: slots, changed: s.tick()}
	s.members = append(s.members, m)
	var granted []*Ticket[W]
	for m.free() > 0 {
		t := s.queue.pop()
		if t == nil {
			break
		}
		s.grant(t, m)
		granted = append(granted, t)
	}
	return m, granted
}

// Drain stops a worker from being given more tickets. Its leases go on.
func (s *Scheduler[W]) Drain(m *Member[W]) { m.draining = true }

// Remove takes a worker out. Its leases remain to be released.
func (s *Scheduler[W]) Remove(m *Member[W]) {
	if m.removed {
		return
	}
	m.removed = true
	for i, other := range s.members {
		if other == m {
			s.members = append(s.members[:i], s.members[i+1:]...)
			return
		}
	}
}

// Acquire asks for a slot for a ticket that holds none.
func (s *Scheduler[W]) Acquire(t *Ticket[W]) Outcome {
	t.must(idle, "acquire")
	// A free slot goes to a new ticket only if nobody waits.
	if s.queue.len == 0 {
		if m := s.leastBusy(); m != nil {
			s.grant(t, m)
			return Granted
		}
	}
	if s.queue.len >= s.opts.Capacity {
		return Full
	}
	t.state = queued
	s.queue.push(t)
	return Queued
}

// Cancel takes a ticket out of the queue. It reports false if the ticket has
// been granted meanwhile: then it must be released.
func (s *Scheduler[W]) Cancel(t *Ticket[W]) bool {
	if t.state != queued {
		return false
	}
	s.queue.remove(t)
	t.state = idle
	return true
}

// Release ends a lease and returns the ticket that got the slot, if any.
func (s *Scheduler[W]) Release(t *Ticket[W]) *Ticket[W] {
	t.must(granted, "release")
	m := t.member
	t.state, t.member = idle, nil
	m.inFlight--
	m.changed = s.tick()
	if m.free() == 0 {
		return nil
	}
	next := s.queue.pop()
	if next != nil {
		s.grant(next, m)
	}
	return next
}

// Flush empties the queue and returns what was in it, oldest first.
func (s *Scheduler[W]) Flush() []*Ticket[W] {
	var all []*Ticket[W]
	for t := s.queue.pop(); t != nil; t = s.queue.pop() {
		t.state = idle
		all = append(all, t)
	}
	return all
}

// Counts sums up the scheduler.
func (s *Scheduler[W]) Counts() Counts {
	c := Counts{Queued: s.queue.len}
	for _, m := range s.members {
		c.InFlight += m.inFlight
		if m.draining {
			continue
		}
		c.Members++
		c.Slots += m.slots
		if m.free() > 0 {
			c.Available++
		}
	}
	return c
}

// InFlight is the number of leases on the worker.
func (m *Member[W]) InFlight() int { return m.inFlight }

// Slots is the number of leases that the worker can hold.
func (m *Member[W]) Slots() int { return m.slots }

func (m *Member[W]) free() int {
	if m.draining || m.removed {
		return 0
	}
	return m.slots - m.inFlight
}

// leastBusy returns the member with the most free slots, or nil.
func (s *Scheduler[W]) leastBusy() *Member[W] {
	var best *Member[W]
	for _, m := range s.members {
		free := m.free()
		if free == 0 {
			continue
		}
		if best == nil || free > best.free() || free == best.free() && s.earlier(m, best) {
			best = m
		}
	}
	return best
}

func (s *Scheduler[W]) earlier(a, b *Member[W]) bool {
	if s.opts.Tie == NewestIdle {
		return a.changed > b.changed
	}
	return a.changed < b.changed
}

func (s *Scheduler[W]) grant(t *Ticket[W], m *Member[W]) {
	m.inFlight++
	m.changed = s.tick()
	t.state, t.member = granted, m
}

func (s *Scheduler[W]) tick() uint64 {
	s.clock++
	return s.clock
}
