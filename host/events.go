package host

import (
	"sync"
	"sync/atomic"

	"github.com/dspex/dspex/shared"
)

// events hands each event of a host to its subscribers.
type events struct {
	// active lets the hot path skip making events that nobody takes.
	active atomic.Int32
	mu     sync.RWMutex
	next   int                        // guarded by mu
	sinks  map[int]func(shared.Event) // guarded by mu
}

// subscribe gives every later event to sink until the returned function is
// called. The sink runs on the goroutine where the event happened: it must be
// quick and must not call the host.
func (e *events) subscribe(sink func(shared.Event)) (cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sinks == nil {
		e.sinks = make(map[int]func(shared.Event))
	}
	id := e.next
	e.next++
	e.sinks[id] = sink
	e.active.Add(1)
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.sinks, id)
		e.active.Add(-1)
	})
}

func (e *events) wanted() bool { return e.active.Load() > 0 }

func (e *events) publish(event shared.Event) {
	if !e.wanted() {
		return
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, sink := range e.sinks {
		sink(event)
	}
}
