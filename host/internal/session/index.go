package session

import (
	"container/heap"
	"math"
	"time"
)

// index is what Sessions has in memory about each session: when it expires and
// what it counts for. Its owner guards it.
type index struct {
	// entries are the sessions that live, and those that have expired but are
	// still in the store.
	entries map[string]*entry
	// queue has the entries that live, by expiry.
	queue dueQueue
	// expired are entries that no longer live, for the next cleanup.
	expired []*entry
	// lagging are entries whose deadline shall reach the store, by lagDue.
	lagging []*entry
	lagDue  int64
	// maxLag is how far stored deadlines may lag behind at most.
	maxLag time.Duration

	// incarnations counts the sessions created.
	incarnations uint64
	// staged counts the sessions created by updates that are not yet committed.
	staged int

	// Sums over the entries that live, and over the global programs.
	live, programs, globals int
	bytes, globalBytes      int64
	expiredEver             int64
}

// entry is one session in memory.
type entry struct {
	id string
	// incarnation tells sessions apart that had one ID after the other. It is 0
	// if the session's head is damaged.
	incarnation uint64
	// deadline in the time of the store, and the one that the store has.
	deadline, stored int64
	ttl              time.Duration
	// bytes of data and programs, and the number of programs.
	bytes    int64
	programs int32
	// place in the queue, or -1, and the deadline by which it stands there. A later
	// deadline moves it only when its time has come.
	place    int32
	queuedAt int64
	// lagging says that the entry is in index.lagging.
	lagging bool
	// leaving says that an update that deletes the session is on its way.
	leaving bool
	// reported says that its expiry has been counted and reported.
	reported bool
}

func newIndex(maxLag time.Duration) index {
	return index{entries: map[string]*entry{}, lagDue: math.MaxInt64, maxLag: maxLag}
}

// add puts in an entry that lives, in place of an expired one.
func (x *index) add(e *entry) {
	x.entries[e.id] = e
	x.incarnations = max(x.incarnations, e.incarnation)
	e.queuedAt = e.deadline
	heap.Push(&x.queue, e)
	x.count(e, 1)
}

// remove takes an entry out, whether it lives or has expired.
func (x *index) remove(e *entry) {
	if x.entries[e.id] == e {
		delete(x.entries, e.id)
	}
	if e.place >= 0 {
		heap.Remove(&x.queue, int(e.place))
		x.count(e, -1)
	}
}

// alive returns the entry of a session that lives, or nil.
func (x *index) alive(id string, now int64) *entry {
	if e := x.entries[id]; e != nil && e.place >= 0 && e.deadline > now {
		return e
	}
	return nil
}

// sweep moves the entries that have expired out of the queue.
func (x *index) sweep(now int64) {
	for len(x.queue) > 0 && x.queue[0].queuedAt <= now {
		e := x.queue[0]
		if e.deadline > now {
			e.queuedAt = e.deadline
			heap.Fix(&x.queue, 0)
			continue
		}
		heap.Pop(&x.queue)
		x.count(e, -1)
		x.expired = append(x.expired, e)
	}
}

// slide restarts the lifetime of an entry that lives. It reports whether lagDue
// is now earlier.
func (x *index) slide(e *entry, now int64) bool {
	return x.setDeadline(e, max(e.deadline, addTime(now, e.ttl)), now)
}

// setDeadline changes the deadline of an entry that lives. It reports whether
// lagDue is now earlier.
func (x *index) setDeadline(e *entry, deadline, now int64) bool {
	e.deadline = deadline
	if deadline < e.queuedAt {
		e.queuedAt = deadline
		heap.Fix(&x.queue, int(e.place))
	}
	// Half of the lag passes before the entry is marked, half until it is stored.
	half := int64(min(e.ttl/4, x.maxLag)) / 2
	if e.lagging || e.deadline-e.stored <= half {
		return false
	}
	e.lagging = true
	x.lagging = append(x.lagging, e)
	if due := now + half; due < x.lagDue {
		x.lagDue = due
		return true
	}
	return false
}

// resize sets what an entry counts for.
func (x *index) resize(e *entry, bytes int64, programs int) {
	if e.place >= 0 {
		x.bytes += bytes - e.bytes
		x.programs += programs - int(e.programs)
	}
	e.bytes, e.programs = bytes, int32(programs)
}

// setGlobals sets what the global programs count for.
func (x *index) setGlobals(programs int, bytes int64) {
	x.bytes += bytes - x.globalBytes
	x.globals, x.globalBytes = programs, bytes
}

func (x *index) count(e *entry, sign int) {
	x.live += sign
	x.programs += sign * int(e.programs)
	x.bytes += int64(sign) * e.bytes
}

// report counts an expiry once. It reports whether this was the first time.
func (x *index) report(e *entry) bool {
	if e.reported {
		return false
	}
	e.reported = true
	x.expiredEver++
	return true
}

// dueQueue is a heap of entries by queuedAt.
type dueQueue []*entry

var _ heap.Interface = (*dueQueue)(nil)

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].queuedAt < q[j].queuedAt }

func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = int32(i), int32(j)
}

func (q *dueQueue) Push(x any) {
	e := x.(*entry)
	e.place = int32(len(*q))
	*q = append(*q, e)
}

func (q *dueQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.place = -1
	return e
}
