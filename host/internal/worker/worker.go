package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dspex/dspex/shared"
)

const (
	// heartbeat is the time between two heartbeats of a process.
	heartbeat = time.Second
	// stableAfter is how long a process must have served for its end to be no
	// part of a crash loop: the next one is then started at once.
	stableAfter = time.Second
	// recycleRetry is the wait before a recycle that could not begin is tried again.
	recycleRetry = time.Second
)

// Worker is a member of a pool. Its methods may be called concurrently.
type Worker struct {
	opts *Options

	cancel  context.CancelFunc
	stopped chan struct{} // closed when the loop has ended
	// replace asks the loop to replace a process.
	replace chan replacement
	// ended tells the loop of a process that can serve no more.
	ended chan ending
	// retiring counts processes that drain beside the current one, and watchers.
	retiring sync.WaitGroup

	mu         sync.Mutex
	state      State    // guarded by mu
	current    *Process // guarded by mu; nil if there is none
	generation uint64   // guarded by mu; of the latest start
	restarts   int64    // guarded by mu
	lastExit   string   // guarded by mu
	calls      int64    // guarded by mu; of former processes
	errors     int64    // guarded by mu; of former processes
}

type replacement struct {
	process *Process
	cause   string
	// recycle holds the pool's right to recycle.
	recycle bool
}

type ending struct {
	process   *Process
	cause     string
	unhealthy bool
}

type launched struct {
	process *Process
	err     error
}

// New starts a worker: it has a process as soon as one can be started, until
// Stop.
func New(opts Options) *Worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Worker{
		opts:    &opts,
		cancel:  cancel,
		stopped: make(chan struct{}),
		replace: make(chan replacement),
		ended:   make(chan ending),
	}
	go w.loop(ctx)
	return w
}

// ID of the worker.
func (w *Worker) ID() string { return w.opts.ID }

// Slots is the number of calls that a process of the worker takes at once.
func (w *Worker) Slots() int { return w.opts.Slots }

// Stop ends the worker and its processes, and returns when they are gone. It may
// be called more than once.
func (w *Worker) Stop() {
	w.cancel()
	<-w.stopped
}

// Replace asks for a new process in place of p: it is started first, then p is
// drained. It does nothing if p is no longer the worker's process.
func (w *Worker) Replace(p *Process, cause string) {
	go func() {
		select {
		case w.replace <- replacement{process: p, cause: cause}:
		case <-w.stopped:
		}
	}()
}

// Status returns the worker's state at this moment.
func (w *Worker) Status() shared.WorkerStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := shared.WorkerStatus{
		ID:         w.opts.ID,
		Pool:       w.opts.Pool,
		State:      w.state.String(),
		Generation: w.generation,
		Slots:      w.opts.Slots,
		Calls:      w.calls,
		Errors:     w.errors,
		Restarts:   w.restarts,
		LastExit:   w.lastExit,
	}
	if p := w.current; p != nil {
		beat := p.Beat()
		s.Generation = p.Generation
		s.PID, s.Launch = p.PID(), p.Launch
		s.Calls += p.Calls.Load()
		s.Errors += p.Errors.Load()
		s.StartedAt, s.StartTime = p.StartedAt, p.StartTime
		s.RSS, s.Lag = beat.RSS, beat.Lag
		s.Versions = p.Description.Versions
	}
	return s
}

// loop owns the life of the worker: it alone starts processes and decides which
// is the current one.
func (w *Worker) loop(ctx context.Context) {
	defer close(w.stopped)
	policy := w.newBackoff()
	start := time.NewTimer(0)
	defer start.Stop()
	var (
		launching bool
		results   = make(chan launched, 1)
		// retire is the replacement that the launch under way is for, if any.
		retire replacement
	)
	launchNow := func() {
		launching = true
		w.mu.Lock()
		w.generation++
		generation := w.generation
		w.mu.Unlock()
		go func() { results <- w.launch(ctx, generation) }()
	}
	for {
		select {
		case <-ctx.Done():
			w.shutDown(launching, results)
			return

		case <-start.C:
			launchNow()

		case r := <-results:
			launching = false
			old := retire
			retire = replacement{}
			if old.recycle {
				w.opts.Owner.EndRecycle()
			}
			switch {
			case ctx.Err() != nil:
				launching = true
				results <- r // shutDown takes it
			case r.err != nil && w.process() != nil:
				// The one that should be replaced goes on.
				w.opts.Owner.Failed(w, r.err)
			case r.err != nil:
				w.opts.Owner.Failed(w, r.err)
				if w.opts.Restart.Mode == Never {
					w.become(Stopped, nil)
					continue
				}
				start.Reset(w.delay(policy, 0))
			default:
				before := w.process()
				w.serve(ctx, r.process)
				if before != nil {
					w.retire(ctx, before, old.cause)
				}
			}

		case r := <-w.replace:
			if r.process != w.process() || launching {
				if r.recycle {
					w.opts.Owner.EndRecycle()
				}
				continue
			}
			retire = r
			launchNow()

		case e := <-w.ended:
			if e.process != w.process() {
				continue
			}
			if e.unhealthy {
				w.become(Unhealthy, e.process)
			}
			life := time.Since(e.process.StartedAt.Add(e.process.StartTime))
			clean := w.bury(e)
			switch {
			case w.opts.Restart.Mode == Never, w.opts.Restart.Mode == OnFailure && clean:
				w.become(Stopped, nil)
				w.opts.Owner.Failed(w, shared.Errorf(shared.StartFailed, "worker %q ended (%s), and restart.mode starts no other", w.opts.ID, e.process.Status()))
			default:
				w.become(Starting, nil)
				if life >= stableAfter {
					policy.Reset()
				}
				if !launching {
					start.Reset(w.delay(policy, life))
				}
			}
		}
	}
}

// launch starts one process, when it is its turn.
func (w *Worker) launch(ctx context.Context, generation uint64) launched {
	release, err := w.opts.Owner.StartSlot(ctx)
	if err != nil {
		return launched{err: err}
	}
	defer release()
	w.changed(shared.Event{Kind: shared.WorkerStarting, Generation: generation})
	ctx, cancel := context.WithTimeout(ctx, w.opts.StartupTimeout)
	defer cancel()
	p, err := launch(ctx, w.opts, generation)
	return launched{p, err}
}

// serve makes p the current process.
func (w *Worker) serve(ctx context.Context, p *Process) {
	w.become(Ready, p)
	w.opts.Owner.Ready(w, p)
	w.changed(shared.Event{Kind: shared.WorkerReady, Generation: p.Generation, PID: p.PID(), RunTime: p.StartTime})
	w.retiring.Go(func() { w.watch(ctx, p) })
}

// retire drains a process that has been replaced, and stops it.
func (w *Worker) retire(ctx context.Context, p *Process, cause string) {
	drained := w.opts.Owner.Drain(p)
	w.changed(shared.Event{Kind: shared.WorkerDraining, Generation: p.Generation, PID: p.PID(), Reason: cause})
	w.mu.Lock()
	w.restarts++
	w.mu.Unlock()
	w.retiring.Go(func() {
		timer := time.NewTimer(w.opts.DrainTimeout)
		defer timer.Stop()
		select {
		case <-drained:
		case <-p.Done():
		case <-timer.C:
		case <-ctx.Done():
		}
		w.opts.Owner.Lost(p)
		p.Stop()
		w.addCounts(p)
		w.changed(shared.Event{Kind: shared.WorkerStopped, Generation: p.Generation, PID: p.PID(), Reason: cause})
	})
}

// bury ends what is left of the current process and reports whether it had
// ended well by itself.
func (w *Worker) bury(e ending) (clean bool) {
	p := e.process
	if e.unhealthy {
		p.Kill()
	} else {
		// The stream can end a moment before the process does.
		select {
		case <-p.Exited():
		case <-time.After(stopStep):
		}
		p.Kill()
	}
	status := p.Status()
	cause := e.cause
	if cause == "" {
		cause = status
	}
	w.addCounts(p)
	w.mu.Lock()
	w.restarts++
	w.lastExit = cause
	w.mu.Unlock()
	w.changed(shared.Event{Kind: shared.WorkerLostKind, Generation: p.Generation, PID: p.PID(), Reason: cause})
	return !e.unhealthy && status == "exit status 0"
}

// shutDown ends everything the worker has.
func (w *Worker) shutDown(launching bool, results <-chan launched) {
	p := w.process()
	if p != nil || launching {
		w.become(Draining, p)
	}
	if launching {
		// Its context has ended: it comes back at once.
		if r := <-results; r.process != nil {
			r.process.Stop()
		}
	}
	if p != nil {
		w.opts.Owner.Lost(p)
		p.Stop()
		w.addCounts(p)
		w.changed(shared.Event{Kind: shared.WorkerStopped, Generation: p.Generation, PID: p.PID(), Reason: "stopped"})
	}
	w.retiring.Wait()
	w.become(Stopped, nil)
}

// watch tells the loop when a process can serve no more or shall be recycled.
func (w *Worker) watch(ctx context.Context, p *Process) {
	limits := w.limits()
	health := time.NewTicker(w.opts.Health.Interval)
	defer health.Stop()
	recycle := time.NewTicker(recycleRetry)
	defer recycle.Stop()
	if limits == (Recycle{}) {
		recycle.Stop()
	}
	missed := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
			w.end(ctx, ending{process: p})
			return
		case <-p.Exited():
			w.end(ctx, ending{process: p})
			return
		case <-health.C:
			if err := w.check(ctx, p); err == nil {
				missed = 0
				continue
			} else if missed++; missed >= w.opts.Health.FailAfter {
				w.end(ctx, ending{process: p, unhealthy: true, cause: fmt.Sprintf("unhealthy: %d checks failed: %v", missed, err)})
				return
			}
		case <-recycle.C:
			cause := limits.exceeded(p)
			if cause == "" || w.process() != p || !w.opts.Owner.BeginRecycle() {
				continue
			}
			select {
			case w.replace <- replacement{process: p, cause: cause, recycle: true}:
				// The loop replaces it or drops the request; either way this process
				// is watched on, and asks again if it was dropped.
			case <-ctx.Done():
				w.opts.Owner.EndRecycle()
				return
			}
		}
	}
}

// end takes a process out of scheduling, in the same step as its end is seen,
// and tells the loop.
func (w *Worker) end(ctx context.Context, e ending) {
	w.opts.Owner.Lost(e.process)
	select {
	case w.ended <- e:
	case <-ctx.Done():
	}
}

func (w *Worker) check(ctx context.Context, p *Process) error {
	ctx, cancel := context.WithTimeout(ctx, w.opts.Health.Timeout)
	defer cancel()
	return p.CheckHealth(ctx)
}

// limits returns the recycling limits of one process.
func (w *Worker) limits() Recycle {
	r := w.opts.Recycle
	factor := 1 + r.Jitter*(2*rand.Float64()-1)
	return Recycle{
		MaxRequests: int64(float64(r.MaxRequests) * factor),
		MaxAge:      time.Duration(float64(r.MaxAge) * factor),
		MaxRSS:      uint64(float64(r.MaxRSS) * factor),
	}
}

// exceeded says which limit the process has passed, or nothing.
func (r Recycle) exceeded(p *Process) string {
	switch age, calls, rss := time.Since(p.StartedAt), p.Calls.Load(), p.Beat().RSS; {
	case r.MaxRequests > 0 && calls >= r.MaxRequests:
		return fmt.Sprintf("recycle: %d requests", calls)
	case r.MaxAge > 0 && age >= r.MaxAge:
		return fmt.Sprintf("recycle: age %s", age.Round(time.Second))
	case r.MaxRSS > 0 && rss >= r.MaxRSS:
		return fmt.Sprintf("recycle: %d MiB resident", rss>>20)
	}
	return ""
}

// delay before the next start, after a process that served for life.
func (w *Worker) delay(policy *backoff.ExponentialBackOff, life time.Duration) time.Duration {
	if w.opts.Owner.CountRestart() {
		return w.opts.Restart.MaxBackoff
	}
	if life >= stableAfter {
		return 0
	}
	return policy.NextBackOff()
}

func (w *Worker) newBackoff() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     w.opts.Restart.Backoff,
		MaxInterval:         w.opts.Restart.MaxBackoff,
		Multiplier:          2,
		RandomizationFactor: 0.2,
	}
}

func (w *Worker) process() *Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// become is the one place where the state changes.
func (w *Worker) become(next State, p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.state.mayBecome(next) {
		panic(fmt.Sprintf("worker %s: %s cannot become %s", w.opts.ID, w.state, next))
	}
	w.state, w.current = next, p
}

func (w *Worker) addCounts(p *Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls += p.Calls.Load()
	w.errors += p.Errors.Load()
}

func (w *Worker) changed(e shared.Event) {
	e.Time, e.Pool, e.Worker = time.Now(), w.opts.Pool, w.opts.ID
	w.opts.Owner.Changed(e)
}
