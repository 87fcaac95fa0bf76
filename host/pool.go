package host

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/host/internal/proc"
	"github.com/dspex/dspex/host/internal/sched"
	"github.com/dspex/dspex/host/internal/worker"
	"github.com/dspex/dspex/shared"
)

// member is what the scheduler hands out slots of: one process of one worker.
type member struct {
	worker  *worker.Worker
	process *worker.Process
}

type (
	slot   = sched.Member[member]
	ticket = sched.Ticket[member]
)

// Pool is workers of one kind behind one queue. Its methods may be called
// concurrently.
type Pool struct {
	host *Host
	cfg  config.Pool
	log  hclog.Logger

	workers []*worker.Worker // immutable after start
	forker  *proc.Forker     // immutable after start; nil if workers are not forked
	starts  *semaphore.Weighted

	mu       sync.Mutex
	sched    *sched.Scheduler[member]  // guarded by mu
	slots    map[*worker.Process]*slot // guarded by mu
	drains   map[*slot]chan struct{}   // guarded by mu; closed at the last release
	failing  map[string]error          // guarded by mu; worker ID to its last start's error
	waiting  map[*ticket]*shared.Error // guarded by mu; why a queued ticket was turned away
	commands map[string]shared.Command // guarded by mu; as the latest process says
	restarts []time.Time               // guarded by mu; within restart.intensity_in
	closing  bool                      // guarded by mu
	served   bool                      // guarded by mu; min_ready has been reached
	changed  chan struct{}             // guarded by mu; closed and replaced at each change of readiness
	leases   int                       // guarded by mu
	idle     chan struct{}             // guarded by mu; closed when closing and no lease is left

	recycling    atomic.Bool
	calls        atomic.Uint64
	requests     atomic.Int64
	errors       atomic.Int64
	timeouts     atomic.Int64
	rejected     atomic.Int64
	restartCount atomic.Int64
	runTime      latency
	queueTime    latency
	recent       rates
}

func newPool(h *Host, cfg config.Pool) *Pool {
	tie := sched.OldestIdle
	if cfg.Scheduler.Tie == "newest_idle" {
		tie = sched.NewestIdle
	}
	return &Pool{
		host:    h,
		cfg:     cfg,
		log:     h.log.Named("pool." + cfg.Name),
		starts:  semaphore.NewWeighted(int64(max(cfg.StartupConcurrency, 1))),
		sched:   sched.New[member](sched.Options{Capacity: cfg.Queue.Capacity, Tie: tie}),
		slots:   make(map[*worker.Process]*slot),
		drains:  make(map[*slot]chan struct{}),
		failing: make(map[string]error),
		waiting: make(map[*ticket]*shared.Error),
		changed: make(chan struct{}),
		idle:    make(chan struct{}),
	}
}

// Name of the pool.
func (p *Pool) Name() string { return p.cfg.Name }

// CallOption changes one call.
type CallOption func(*shared.CallRequest)

// WithTimeout bounds the whole call, queue wait included, in place of the pool's
// execution_timeout.
func WithTimeout(d time.Duration) CallOption {
	return func(r *shared.CallRequest) { r.Timeout = d }
}

// WithSessionData gives the command the session's data as args.session_data.
func WithSessionData() CallOption {
	return func(r *shared.CallRequest) { r.SessionData = true }
}

// WithIdempotent says that the call may be run again if its worker is lost.
func WithIdempotent() CallOption {
	return func(r *shared.CallRequest) { r.Idempotent = true }
}

// Execute runs a command. Args is anything that encodes as a JSON object; nil is
// {}. Errors are *shared.Error.
func (p *Pool) Execute(ctx context.Context, command string, args any, opts ...CallOption) (*shared.CallResult, error) {
	return p.ExecuteInSession(ctx, "", command, args, opts...)
}

// ExecuteInSession runs a command that belongs to a session: its arguments get
// the session's ID, and execute_program finds the session's programs before the
// global ones. A session that does not exist is created.
func (p *Pool) ExecuteInSession(ctx context.Context, session, command string, args any, opts ...CallOption) (*shared.CallResult, error) {
	req := shared.CallRequest{Pool: p.cfg.Name, Command: command, Session: session}
	if args != nil {
		raw, err := json.Marshal(args)
		if err != nil {
			return nil, shared.Errorf(shared.InvalidArgument, "encode arguments: %w", err)
		}
		req.Args = raw
	}
	for _, opt := range opts {
		opt(&req)
	}
	return p.host.Call(ctx, req)
}

// Stats counts the pool's workers and calls.
func (p *Pool) Stats() shared.PoolStats {
	p.mu.Lock()
	c := p.sched.Counts()
	p.mu.Unlock()
	return shared.PoolStats{
		Workers:       len(p.workers),
		Ready:         c.Members,
		Available:     c.Available,
		Busy:          c.Members - c.Available,
		Slots:         c.Slots,
		InFlight:      c.InFlight,
		Queued:        c.Queued,
		Requests:      p.requests.Load(),
		Errors:        p.errors.Load(),
		QueueTimeouts: p.timeouts.Load(),
		Rejected:      p.rejected.Load(),
		Restarts:      p.restartCount.Load(),
		Run:           p.runTime.summary(),
		QueueWait:     p.queueTime.summary(),
	}
}

// Workers returns the state of each worker, in the order of their numbers.
func (p *Pool) Workers() []shared.WorkerStatus {
	all := make([]shared.WorkerStatus, len(p.workers))
	for i, w := range p.workers {
		all[i] = w.Status()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	inFlight := make(map[string]int)
	for _, s := range p.slots {
		inFlight[s.Worker.worker.ID()] += s.InFlight()
	}
	for i := range all {
		all[i].InFlight = inFlight[all[i].ID]
		if err := p.failing[all[i].ID]; err != nil {
			all[i].LastExit = err.Error()
		}
	}
	return all
}

// Status returns the pool's state at this moment.
func (p *Pool) Status() shared.PoolStatus {
	stats := p.Stats()
	s := shared.PoolStatus{Name: p.cfg.Name, Description: p.cfg.Description, Stats: stats}
	p.mu.Lock()
	s.Status, s.Reason = p.statusLocked()
	for _, c := range p.commands {
		s.Commands = append(s.Commands, c)
	}
	p.mu.Unlock()
	sort.Slice(s.Commands, func(i, j int) bool { return s.Commands[i].Name < s.Commands[j].Name })
	s.Health = p.health(stats)
	return s
}

// Ready reports whether at least min_ready workers can be called, and if not,
// why.
func (p *Pool) Ready() (bool, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	status, reason := p.statusLocked()
	return status == "ready", reason
}

// WaitReady blocks until the pool is ready. It fails when no worker can be
// started, or ctx ends.
func (p *Pool) WaitReady(ctx context.Context) error {
	for {
		p.mu.Lock()
		status, _ := p.statusLocked()
		broken, changed := p.brokenLocked(), p.changed
		p.mu.Unlock()
		switch {
		case status == "ready" || status == "disabled":
			return nil
		case broken != nil:
			return broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return shared.Errorf(shared.NotReady, "wait for pool %q: %w", p.cfg.Name, ctx.Err())
		}
	}
}

// statusLocked says what the pool is, from live slots.
func (p *Pool) statusLocked() (status, reason string) {
	ready := p.sched.Counts().Members
	switch {
	case !p.cfg.Enabled:
		return "disabled", "enabled = false"
	case p.closing:
		return "draining", "the host is stopping"
	case ready >= p.cfg.MinReady && !p.crashLoopLocked():
		return "ready", ""
	}
	reason = fmt.Sprintf("%d of %d workers ready, min_ready is %d", ready, len(p.workers), p.cfg.MinReady)
	if p.crashLoopLocked() {
		reason = fmt.Sprintf("%d of %d workers ready, more than %d restarts in %s", ready, len(p.workers), p.cfg.Restart.Intensity, p.cfg.Restart.IntensityIn)
	}
	if err := p.lastFailureLocked(); err != nil {
		reason += ": " + err.Error()
	}
	if ready >= p.cfg.MinReady || p.served || len(p.failing) > 0 {
		return "degraded", reason
	}
	return "starting", reason
}

// brokenLocked returns an error if no worker is ready and the last start of each
// has failed: then waiting is of no use.
func (p *Pool) brokenLocked() *shared.Error {
	if p.sched.Counts().Members > 0 {
		return nil
	}
	for _, w := range p.workers {
		if p.failing[w.ID()] == nil {
			return nil
		}
	}
	cause := p.lastFailureLocked()
	err := shared.Errorf(shared.NotReady, "pool %q: 0 of %d workers ready: %w", p.cfg.Name, len(p.workers), cause)
	if len(p.workers) == 0 {
		err = shared.Errorf(shared.NotReady, "pool %q has no workers", p.cfg.Name)
	} else if e := shared.AsError(cause); e.Hint != "" {
		err.Hint = e.Hint
	}
	return err
}

func (p *Pool) lastFailureLocked() error {
	for _, w := range p.workers {
		if err := p.failing[w.ID()]; err != nil {
			return err
		}
	}
	return nil
}

// crashLoopLocked reports whether there were more restarts than allowed.
func (p *Pool) crashLoopLocked() bool {
	since := time.Now().Add(-p.cfg.Restart.IntensityIn)
	for len(p.restarts) > 0 && p.restarts[0].Before(since) {
		p.restarts = p.restarts[1:]
	}
	return len(p.restarts) > p.cfg.Restart.Intensity
}

// close drains the pool until ctx ends, then stops its workers.
func (p *Pool) close(ctx context.Context) {
	p.mu.Lock()
	if !p.closing {
		p.closing = true
		p.turnAwayLocked(shared.Errorf(shared.Draining, "pool %q takes no more calls: the host is stopping", p.cfg.Name))
		if p.leases == 0 {
			close(p.idle)
		}
	}
	idle := p.idle
	p.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	var wg sync.WaitGroup
	for _, w := range p.workers {
		wg.Go(w.Stop)
	}
	wg.Wait()
	if p.forker != nil {
		p.forker.Close()
	}
	p.host.events.publish(shared.Event{Time: time.Now(), Kind: shared.PoolStopped, Pool: p.cfg.Name})
}
