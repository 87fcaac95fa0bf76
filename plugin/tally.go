package plugin

import "sync"

// tally counts running things and tells when there are none. Unlike a
// sync.WaitGroup it may be waited for while others begin, and with a timeout.
type tally struct {
	mu   sync.Mutex
	n    int           // guarded by mu
	idle chan struct{} // guarded by mu; made by a waiter, closed at 0
}

func (t *tally) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// zero returns a channel that is closed as soon as nothing runs.
func (t *tally) zero() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle == nil {
		idle := make(chan struct{})
		if t.n == 0 {
			close(idle)
			return idle
		}
		t.idle = idle
	}
	return t.idle
}
