package session

import (
	"context"
	"sync"

	"github.com/dspex/dspex/shared"
)

// Memory is a Store that ends with its process.
type Memory struct {
	mu     sync.RWMutex
	tables map[Table]*ordered // guarded by mu
	closed bool               // guarded by mu
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{tables: map[Table]*ordered{}}
	for _, table := range tables {
		m.tables[table] = &ordered{}
	}
	return m
}

// View runs fn while no update runs.
func (m *Memory) View(fn func(Reader) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return errClosed
	}
	return fn(memoryReader{m.tables})
}

// Update runs fn once, alone.
func (m *Memory) Update(ctx context.Context, fn func(Writer) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	if err := contextError(ctx); err != nil {
		return err
	}
	w := newOverlay(memoryReader{m.tables})
	if err := fn(w); err != nil {
		w.finish(false)
		return err
	}
	for at, value := range w.changes {
		if value == nil {
			m.tables[at.table].delete(at.key)
		} else {
			m.tables[at.table].put(at.key, value)
		}
	}
	w.finish(true)
	return nil
}

// Close drops all records.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.tables = true, nil
	return nil
}

// memoryReader reads while its Memory is locked.
type memoryReader struct{ tables map[Table]*ordered }

func (r memoryReader) Get(table Table, key string) ([]byte, error) {
	value, _ := r.tables[table].get(key)
	return value, nil
}

func (r memoryReader) Scan(table Table, prefix, after string, visit func(Entry) bool) error {
	r.tables[table].scan(prefix, after, func(it item) bool {
		return visit(Entry{it.key, len(it.value), func() ([]byte, error) { return it.value, nil }})
	})
	return nil
}

var errClosed = shared.Errorf(shared.Unavailable, "session store is closed")

// contextError is the error of a caller that left before its call did anything.
func contextError(ctx context.Context) error {
	switch err := ctx.Err(); err {
	case nil:
		return nil
	case context.DeadlineExceeded:
		return shared.Errorf(shared.DeadlineExceeded, "wait for the session store: %w", err)
	default:
		return shared.Errorf(shared.Canceled, "wait for the session store: %w", err)
	}
}
