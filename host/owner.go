package host

import (
	"context"
	"time"

	"github.com/dspex/dspex/host/internal/worker"
	"github.com/dspex/dspex/shared"
)

// owner is what a pool is to its workers. It is a type of its own so that these
// methods are no part of the library's interface.
type owner struct{ *Pool }

var _ worker.Owner = owner{}

// StartSlot waits until the pool and the host allow one more start.
func (p owner) StartSlot(ctx context.Context) (release func(), err error) {
	if err := p.starts.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := p.host.starts.Acquire(ctx, 1); err != nil {
		p.starts.Release(1)
		return nil, err
	}
	return func() {
		p.host.starts.Release(1)
		p.starts.Release(1)
	}, nil
}

// Ready gives the process's slots to the scheduler.
func (p owner) Ready(w *worker.Worker, process *worker.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failing, w.ID())
	p.commands = process.Commands
	s, granted := p.sched.Add(member{w, process}, w.Slots())
	p.slots[process] = s
	for _, t := range granted {
		p.grantLocked(t)
	}
	first := !p.served && p.sched.Counts().Members >= p.cfg.MinReady
	if first {
		p.served = true
	}
	p.noteLocked()
	if first {
		p.host.events.publish(shared.Event{Time: time.Now(), Kind: shared.PoolReady, Pool: p.cfg.Name})
	}
}

// Drain stops giving calls to the process.
func (p owner) Drain(process *worker.Process) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	drained := make(chan struct{})
	s := p.slots[process]
	if s == nil || s.InFlight() == 0 {
		close(drained)
	}
	if s != nil {
		p.sched.Drain(s)
		if s.InFlight() > 0 {
			p.drains[s] = drained
		}
		p.noteLocked()
	}
	return drained
}

// Lost takes the process out of scheduling.
func (p owner) Lost(process *worker.Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slots[process]
	if s == nil {
		return
	}
	delete(p.slots, process)
	p.sched.Remove(s)
	if drained := p.drains[s]; drained != nil {
		delete(p.drains, s)
		close(drained)
	}
	p.noteLocked()
}

// Failed notes the error, and turns the queue away if no worker is left
// that could serve it.
func (p owner) Failed(w *worker.Worker, err error) {
	e := shared.AsError(err)
	p.log.Error("worker failed", "worker", w.ID(), "error", e.Message, "hint", e.Hint)
	p.mu.Lock()
	p.failing[w.ID()] = err
	if broken := p.brokenLocked(); broken != nil {
		p.turnAwayLocked(broken)
	}
	p.noteLocked()
	p.mu.Unlock()
	p.Changed(shared.Event{Time: time.Now(), Kind: shared.WorkerFailed, Pool: p.cfg.Name, Worker: w.ID(), Reason: e.Message})
}

// CountRestart counts a restart after a failure.
func (p owner) CountRestart() (overLimit bool) {
	p.restartCount.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.crashLoopLocked()
	p.restarts = append(p.restarts, time.Now())
	over := p.crashLoopLocked()
	if over && !before {
		_, reason := p.statusLocked()
		p.noteLocked()
		p.log.Error("pool degraded", "reason", reason)
		p.host.events.publish(shared.Event{Time: time.Now(), Kind: shared.PoolDegraded, Pool: p.cfg.Name, Reason: reason})
	}
	return over
}

// BeginRecycle lets one worker at a time replace a process that is well.
func (p owner) BeginRecycle() bool { return p.recycling.CompareAndSwap(false, true) }

// EndRecycle ends what BeginRecycle began.
func (p owner) EndRecycle() { p.recycling.Store(false) }

// Changed passes a worker's event on.
func (p owner) Changed(e shared.Event) { p.host.events.publish(e) }

// noteLocked wakes who waits for a change of readiness.
func (p *Pool) noteLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// grantLocked wakes the caller of a ticket that got a slot.
func (p *Pool) grantLocked(t *ticket) {
	p.leases++
	close(t.Granted)
}

// turnAwayLocked ends the wait of every queued ticket with an error.
func (p *Pool) turnAwayLocked(err *shared.Error) {
	for _, t := range p.sched.Flush() {
		p.waiting[t] = err
		close(t.Granted)
	}
}

// release ends a lease and wakes the caller that got the slot.
func (p *Pool) release(t *ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := t.Member()
	if next := p.sched.Release(t); next != nil {
		p.grantLocked(next)
	}
	if drained := p.drains[s]; drained != nil && s.InFlight() == 0 {
		delete(p.drains, s)
		close(drained)
	}
	if p.leases--; p.leases == 0 && p.closing {
		close(p.idle)
	}
}
