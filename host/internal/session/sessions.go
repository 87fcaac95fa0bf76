// Package session keeps sessions and programs: named state with a time to live,
// and DSPy programs that belong to a session or are global.
//
// [Sessions] holds the rules: revisions, expiry, limits. A [Store] below it holds
// the records, [Memory] in memory and [Bolt] in one file. What a write has
// acknowledged survives, with Bolt, the end of the process and a power loss.
//
// # Expiry
//
// A session that has expired is gone at once, for every method; nothing brings it
// back, and one created later under its name is a new session. Only its records
// stay until the next cleanup. Time is monotonic: a step of the wall clock
// expires nothing, nor does one between two processes within one boot of Linux.
//
// With Options.Sliding each use of a session restarts its time to live. That costs
// no write: deadlines are in memory, and reach the store when the stored one
// lags behind by min(TTL/4, CleanupInterval), and in Close. So a crash can make a
// session expire earlier by that much, never later, and never brings back one that
// was deleted or had expired.
//
// # Concurrency
//
// All methods of Sessions, Memory and Bolt may be called at once. Per session and
// per program they are linearizable. Methods that write block until the store
// has the change; their context ends the wait only until the store begins with it.
package session

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/shared"
)

// Sessions keeps sessions and programs in a store.
type Sessions struct {
	store Store
	opts  Options
	log   hclog.Logger
	clock clock

	// wake tells loop that due of the deadlines is now earlier. Of size 1.
	wake chan struct{}
	// stop ends loop, which then closes stopped.
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	mu    sync.Mutex
	index index // guarded by mu
	// closed is set by Close.
	closed bool // guarded by mu
}

// New returns the sessions in a store, which it owns from then on, also after
// an error. It reads the head of each session, but not its data.
func New(store Store, opts Options) (*Sessions, error) {
	opts = opts.withDefaults()
	s := &Sessions{
		store:   store,
		opts:    opts,
		log:     opts.Log,
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		index:   newIndex(opts.CleanupInterval),
	}
	err := opts.validate()
	if err == nil {
		s.clock, err = startClock(store, opts.boot)
	}
	if err == nil {
		err = s.load()
	}
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	go s.loop()
	return s, nil
}

// Close stores the deadlines that are only in memory, as far as ctx allows, and
// closes the store. Later calls fail.
func (s *Sessions) Close(ctx context.Context) error {
	var err error
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.stop)
		select {
		case <-s.stopped:
			s.flush(ctx)
		case <-ctx.Done():
		}
		err = s.store.Close()
	})
	return err
}

// Stats counts what there is now.
func (s *Sessions) Stats() shared.SessionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.sweep(s.clock.now())
	return shared.SessionStats{
		Sessions:       s.index.live,
		Programs:       s.index.programs,
		GlobalPrograms: s.index.globals,
		Expired:        s.index.expiredEver,
		Bytes:          s.index.bytes,
	}
}

// begin refuses a call that cannot be served.
func (s *Sessions) begin(ctx context.Context) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return nil
}

// use looks a session up, and restarts its time to live if it slides. It
// returns the entry, or nil if there is no such session.
func (s *Sessions) use(id string, slides bool) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	e := s.index.alive(id, now)
	if e != nil && slides && s.index.slide(e, now) {
		s.signal()
	}
	return e
}

// expiresAt is the wall time at which an entry's session expires.
func (s *Sessions) expiresAt(e *entry) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.wall(e.deadline)
}

func (s *Sessions) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// emit reports events. It is called without locks.
func (s *Sessions) emit(events ...shared.Event) {
	if s.opts.OnEvent == nil {
		return
	}
	for _, e := range events {
		e.Time = time.Now()
		s.opts.OnEvent(e)
	}
}
