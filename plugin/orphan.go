package plugin

import (
	"sync"
	"time"
)

// orphanWatch notices that the host is gone: nobody has been attached for the
// grace. A host that restarts within it finds the worker as it was.
type orphanWatch struct {
	grace time.Duration
	lost  func()

	mu    sync.Mutex
	timer *time.Timer // guarded by mu; nil if not watching
	turn  uint64      // guarded by mu; counts the changes, so that a late timer is known
}

// init begins to watch. It calls lost at most once; a grace of 0 never ends.
func (o *orphanWatch) init(grace time.Duration, lost func()) {
	o.grace, o.lost = grace, sync.OnceFunc(lost)
	o.detached()
}

// attached stops the clock.
func (o *orphanWatch) attached() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.haltLocked()
}

// detached starts the clock, which must stand.
func (o *orphanWatch) detached() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.grace <= 0 {
		return
	}
	turn := o.turn
	o.timer = time.AfterFunc(o.grace, func() { o.expire(turn) })
}

// stop ends the watch for good.
func (o *orphanWatch) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.haltLocked()
	o.grace = 0
}

func (o *orphanWatch) haltLocked() {
	o.turn++
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

func (o *orphanWatch) expire(turn uint64) {
	o.mu.Lock()
	current := turn == o.turn
	o.mu.Unlock()
	if current {
		o.lost()
	}
}
