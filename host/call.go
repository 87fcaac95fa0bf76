package host

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dspex/dspex/host/internal/sched"
	"github.com/dspex/dspex/host/internal/worker"
	"github.com/dspex/dspex/shared"
)

// maxAttempts is how often a call is tried: more than once only if it surely did
// not run, or is idempotent.
const maxAttempts = 3

// retryAfterMin and retryAfterMax bound the wait that an overloaded pool asks
// for.
const (
	retryAfterMin = time.Second
	retryAfterMax = time.Minute
)

// errQueueTimeout ends a wait in the queue.
var errQueueTimeout = errors.New("queue timeout")

// run runs a call whose arguments are complete. It is the way of every call:
// from the queue to a slot, over a worker's stream, and back.
func (p *Pool) run(ctx context.Context, req *shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
	accepted := time.Now()
	number := p.calls.Add(1)
	p.requests.Add(1)
	timeout := req.Timeout
	if timeout == 0 {
		timeout = p.cfg.ExecutionTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	delivered := false
	counting := sink
	if sink != nil {
		counting = func(e shared.StreamEvent) error {
			delivered = true
			return sink(e)
		}
	}
	var (
		result shared.CallResult
		err    *shared.Error
	)
	for attempt := 1; ; attempt++ {
		err = p.attempt(ctx, req, number, attempt, counting, &result)
		if err == nil || attempt == maxAttempts || delivered || ctx.Err() != nil || !p.mayRetry(req, err) {
			break
		}
		p.log.Debug("call retried", "call", number, "command", req.Command, "attempt", attempt+1, "reason", err.Reason)
	}
	p.finish(number, req, accepted, &result, err)
	if err != nil {
		return nil, err
	}
	return &result, nil
}

// mayRetry reports whether trying again can help and does no harm.
func (p *Pool) mayRetry(req *shared.CallRequest, err *shared.Error) bool {
	switch err.Reason {
	case shared.WorkerLost, shared.WorkerBusy:
	case shared.Draining:
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.closing
	default:
		return false
	}
	return err.MayHaveRun == shared.RunNo || req.Idempotent || p.idempotent(req.Command)
}

// attempt tries the call once.
func (p *Pool) attempt(ctx context.Context, req *shared.CallRequest, number uint64, attempt int, sink func(shared.StreamEvent) error, result *shared.CallResult) *shared.Error {
	asked := time.Now()
	t := &ticket{}
	if err := p.acquire(ctx, t, number, req); err != nil {
		result.QueueTime += time.Since(asked)
		return err
	}
	granted := time.Now()
	result.QueueTime += granted.Sub(asked)
	m := t.Member().Worker
	process := m.process
	if _, ok := process.Commands[req.Command]; !ok {
		p.release(t)
		return p.unknownCommand(req.Command, process.Commands)
	}
	if p.host.events.wanted() {
		p.host.events.publish(shared.Event{
			Time: granted, Kind: shared.CallDispatched, Pool: p.cfg.Name, Worker: process.Worker, Generation: process.Generation,
			Call: number, Command: req.Command, Session: req.Session, QueueTime: result.QueueTime,
		})
	}
	// settled frees the slot when the worker has really ended the call, which is
	// later than the caller's answer when the caller left early.
	var over atomic.Bool
	settled := func(r worker.Reply) {
		over.Store(true)
		process.Calls.Add(1)
		if r.Err != nil {
			process.Errors.Add(1)
		}
		p.release(t)
	}
	reply := process.Call(ctx, worker.Call{
		Command:     req.Command,
		Args:        req.Args,
		Session:     req.Session,
		Traceparent: req.Traceparent,
		Attempt:     attempt,
	}, sink, settled)
	result.Worker, result.RunTime = process.Worker, time.Since(granted)
	if !over.Load() {
		time.AfterFunc(p.cfg.CancelGrace, func() {
			if !over.Load() {
				m.worker.Replace(process, fmt.Sprintf("command %q did not react to its cancellation within %s", req.Command, p.cfg.CancelGrace))
			}
		})
	}
	if reply.Err != nil && reply.Err.Reason == shared.WorkerLost {
		// At once, so that no other try, of this call or another, meets the dead
		// process before its end is noticed elsewhere.
		owner{p}.Lost(process)
	}
	if reply.Err != nil {
		return p.explain(reply.Err, process, req)
	}
	result.Result = reply.Result
	return nil
}

// acquire gets a slot for the ticket, waiting in the queue if need be.
func (p *Pool) acquire(ctx context.Context, t *ticket, number uint64, req *shared.CallRequest) *shared.Error {
	p.mu.Lock()
	if p.closing {
		p.mu.Unlock()
		return shared.Errorf(shared.Draining, "pool %q takes no more calls: the host is stopping", p.cfg.Name)
	}
	if broken := p.brokenLocked(); broken != nil {
		p.mu.Unlock()
		return broken
	}
	out := p.sched.Acquire(t)
	// Calls that come while the first worker starts wait for it, rather than
	// failing because a start takes longer than a queue may.
	wait := p.cfg.QueueTimeout
	if !p.served {
		wait = max(wait, p.cfg.StartupTimeout)
	}
	switch out {
	case sched.Granted:
		p.leases++
		p.mu.Unlock()
		return nil
	case sched.Full:
		queued := p.sched.Counts().Queued
		p.mu.Unlock()
		err := shared.Errorf(shared.QueueFull, "pool %q: queue is full (%d calls wait)", p.cfg.Name, queued)
		err.RetryAfter = p.retryAfter(queued)
		err.Hint = fmt.Sprintf("try again in %s; raise size, worker.concurrency or queue.capacity if it lasts", err.RetryAfter)
		return err
	}
	t.Granted = make(chan struct{})
	p.mu.Unlock()
	if p.host.events.wanted() {
		p.host.events.publish(shared.Event{Time: time.Now(), Kind: shared.CallQueued, Pool: p.cfg.Name, Call: number, Command: req.Command, Session: req.Session})
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var cause error
	select {
	case <-t.Granted:
	case <-timer.C:
		cause = errQueueTimeout
	case <-ctx.Done():
		cause = ctx.Err()
	}
	p.mu.Lock()
	if err := p.waiting[t]; err != nil {
		delete(p.waiting, t)
		p.mu.Unlock()
		return err
	}
	// A slot that was granted at the same moment is used: it costs nothing.
	if cause == nil || !p.sched.Cancel(t) {
		p.mu.Unlock()
		return nil
	}
	counts := p.sched.Counts()
	p.mu.Unlock()
	switch {
	case errors.Is(cause, errQueueTimeout):
		err := shared.Errorf(shared.QueueTimeout, "pool %q: no slot became free within %s (%d of %d slots in use, %d more calls wait)",
			p.cfg.Name, wait, counts.InFlight, counts.Slots, counts.Queued)
		err.RetryAfter = p.retryAfter(counts.Queued)
		err.Hint = "it did not run; try again later, or raise size, worker.concurrency or queue_timeout"
		return err
	case errors.Is(cause, context.DeadlineExceeded):
		return shared.Errorf(shared.DeadlineExceeded, "pool %q: the call's time was over while it waited for a slot", p.cfg.Name).
			WithHint("it did not run; give it a longer timeout, or raise the pool's size")
	}
	return shared.Errorf(shared.Canceled, "call cancelled by its caller while it waited for a slot: %w", cause)
}

// explain adds to a worker's error what the pool knows.
func (p *Pool) explain(err *shared.Error, process *worker.Process, req *shared.CallRequest) *shared.Error {
	e := *err
	switch e.Reason {
	case shared.WorkerLost:
		e.Message = fmt.Sprintf("worker %q was lost with the call in flight", process.Worker)
		if err.MayHaveRun == shared.RunNo {
			e.Message = fmt.Sprintf("worker %q was lost before the call was sent", process.Worker)
		}
	case shared.ExecutionTimeout:
		e.Message = fmt.Sprintf("command %q did not answer in time on worker %q", req.Command, process.Worker)
		e.Hint = "it was cancelled and may have run; give the call a longer timeout, or raise execution_timeout"
	}
	return &e
}

func (p *Pool) unknownCommand(name string, commands map[string]shared.Command) *shared.Error {
	err := shared.Errorf(shared.CommandNotFound, "pool %q has no command %q", p.cfg.Name, clip(name, 64))
	if near := nearest(name, commands); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	return err.WithHint("list its commands with: dspex pool status %s", p.cfg.Name)
}

func (p *Pool) idempotent(command string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commands[command].Idempotent
}

// finish counts a call and tells of its end.
func (p *Pool) finish(number uint64, req *shared.CallRequest, accepted time.Time, result *shared.CallResult, err *shared.Error) {
	now := time.Now()
	reason := shared.Reason("")
	if err != nil {
		reason = err.Reason
	}
	failed := err != nil && !callersFault(reason)
	if failed {
		p.errors.Add(1)
	}
	switch reason {
	case shared.QueueTimeout, shared.DeadlineExceeded:
		p.timeouts.Add(1)
	case shared.QueueFull, shared.NotReady, shared.Draining:
		p.rejected.Add(1)
	}
	p.queueTime.add(result.QueueTime)
	if result.Worker != "" {
		p.runTime.add(result.RunTime)
	}
	p.recent.count(now, failed, reason == shared.QueueTimeout)
	if p.host.events.wanted() {
		p.host.events.publish(shared.Event{
			Time: now, Kind: shared.CallDone, Pool: p.cfg.Name, Worker: result.Worker, Call: number, Command: req.Command,
			Session: req.Session, Reason: string(reason), QueueTime: result.QueueTime, RunTime: result.RunTime,
		})
	}
}

// callersFault reports whether a failure says nothing about the pool's health.
func callersFault(r shared.Reason) bool {
	switch r {
	case shared.InvalidArgument, shared.SignatureInvalid, shared.InputMismatch, shared.PayloadTooLarge,
		shared.CommandNotFound, shared.ProgramNotFound, shared.SessionNotFound, shared.Canceled:
		return true
	}
	return false
}

// retryAfter estimates how long it takes until the queue has been worked off,
// from the calls that ended in the last ten seconds.
func (p *Pool) retryAfter(queued int) time.Duration {
	done := p.recent.sum(time.Now(), 10).done
	if done == 0 {
		return retryAfterMax
	}
	wait := time.Duration(queued) * 10 * time.Second / time.Duration(done)
	return min(max(wait.Round(time.Second), retryAfterMin), retryAfterMax)
}
