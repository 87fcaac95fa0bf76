package sched

import "fmt"

type ticketState int

const (
	// idle: holds nothing; it may be acquired.
	idle ticketState = iota
	// queued: waits for a slot.
	queued
	// granted: holds a slot of its member.
	granted
)

// Ticket is one call's place: in the queue, or on a slot. The zero Ticket is
// ready to use.
type Ticket[W any] struct {
	// Granted is for the owner to wait on; the scheduler does not touch it.
	Granted chan struct{}

	state      ticketState
	member     *Member[W]
	prev, next *Ticket[W]
}

// Member is the worker whose slot the ticket holds, or nil.
func (t *Ticket[W]) Member() *Member[W] { return t.member }

// must panics if the ticket is in another state: a broken invariant of the
// owner, which would otherwise give one slot to two calls.
func (t *Ticket[W]) must(want ticketState, op string) {
	if t.state != want {
		panic(fmt.Sprintf("sched: %s of a ticket in state %d", op, t.state))
	}
}

// ring is a FIFO list of tickets from which any can leave in constant time.
type ring[W any] struct {
	head, tail *Ticket[W]
	len        int
}

func (r *ring[W]) push(t *Ticket[W]) {
	t.prev = r.tail
	if r.tail == nil {
		r.head = t
	} else {
		r.tail.next = t
	}
	r.tail = t
	r.len++
}

func (r *ring[W]) pop() *Ticket[W] {
	t := r.head
	if t != nil {
		r.remove(t)
	}
	return t
}

func (r *ring[W]) remove(t *Ticket[W]) {
	if t.prev == nil {
		r.head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		r.tail = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
	r.len--
}
