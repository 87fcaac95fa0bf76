package session

import (
	"context"
	"math"
	"time"

	"github.com/dspex/dspex/shared"
)

// upkeepBatch is how many sessions one update cleans up or one stores the
// deadlines of, so that callers' updates get in between.
const upkeepBatch = 1000

// loop deletes what has expired and stores deadlines, until stop is closed.
func (s *Sessions) loop() {
	defer close(s.stopped)
	cleanup := time.NewTicker(s.opts.CleanupInterval)
	defer cleanup.Stop()
	lag := time.NewTimer(math.MaxInt64)
	defer lag.Stop()
	ctx := context.Background()
	for {
		select {
		case <-s.stop:
			return
		case <-cleanup.C:
			s.cleanUp(ctx)
			s.storeDeadlines(ctx)
		case <-lag.C:
			s.storeDeadlines(ctx)
		case <-s.wake:
		}
		lag.Reset(s.untilLagDue())
	}
}

func (s *Sessions) untilLagDue() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.lagDue == math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(max(s.index.lagDue-s.clock.now(), 0))
}

// cleanUp deletes the records of expired sessions. After an error the rest stays
// for the next time.
func (s *Sessions) cleanUp(ctx context.Context) {
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		s.mu.Lock()
		s.index.sweep(s.clock.now())
		batch := append([]*entry(nil), s.index.expired[:min(len(s.index.expired), upkeepBatch)]...)
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		_, err := s.write(ctx, func(w Writer, out *written) error { return s.removeExpired(w, out, batch) })
		if err != nil {
			s.log.Error("cannot delete expired sessions", "sessions", len(batch), "error", err)
			return
		}
	}
}

// removeExpired deletes the records of entries, the first of index.expired.
func (s *Sessions) removeExpired(w Writer, out *written, batch []*entry) error {
	for _, e := range batch {
		h, intact := head{}, false
		if raw, err := w.Get(headTable, e.id); err == nil && raw != nil {
			h, err = decodeHead(e.id, raw)
			intact = err == nil
		}
		if intact && h.incarnation != e.incarnation {
			continue // Another session has the ID now.
		}
		if err := removeRecords(w, e.id); err != nil {
			return err
		}
	}
	w.OnDone(func(committed bool) {
		if !committed {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		rest := s.index.expired[len(batch):]
		s.index.expired = append([]*entry(nil), rest...)
		for _, e := range batch {
			s.index.remove(e)
			if s.index.report(e) {
				out.events = append(out.events, shared.Event{Kind: shared.SessionExpired, Session: e.id})
			}
		}
	})
	return nil
}

// storeDeadlines writes the deadlines that lag behind. After an error they stay
// for the next cleanup.
func (s *Sessions) storeDeadlines(ctx context.Context) {
	for {
		s.mu.Lock()
		batch := append([]*entry(nil), s.index.lagging[:min(len(s.index.lagging), upkeepBatch)]...)
		s.index.lagDue = math.MaxInt64
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		err := s.store.Update(ctx, func(w Writer) error { return s.writeDeadlines(w, batch) })
		if err != nil {
			s.log.Error("cannot store deadlines of sessions", "sessions", len(batch), "error", err)
			return
		}
	}
}

// writeDeadlines writes the deadlines of entries, the first of index.lagging.
func (s *Sessions) writeDeadlines(w Writer, batch []*entry) error {
	deadlines := make([]int64, len(batch))
	for i, e := range batch {
		raw, err := w.Get(headTable, e.id)
		if raw == nil || err != nil {
			continue
		}
		h, err := decodeHead(e.id, raw)
		if err != nil {
			continue
		}
		s.mu.Lock()
		// Another TTL means that a write has just set a deadline of its own.
		if e.place >= 0 && e.incarnation == h.incarnation && e.ttl == h.ttl {
			deadlines[i] = e.deadline
		}
		s.mu.Unlock()
		if h.deadline < deadlines[i] {
			h.deadline = deadlines[i]
			w.Put(headTable, e.id, h.encode())
		}
	}
	w.OnDone(func(committed bool) {
		if !committed {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.index.lagging = append([]*entry(nil), s.index.lagging[len(batch):]...)
		for i, e := range batch {
			e.lagging = false
			e.stored = max(e.stored, deadlines[i])
		}
	})
	return nil
}

// flush stores all deadlines that the store does not have yet.
func (s *Sessions) flush(ctx context.Context) {
	s.mu.Lock()
	for _, e := range s.index.queue {
		if e.deadline > e.stored && !e.lagging {
			e.lagging = true
			s.index.lagging = append(s.index.lagging, e)
		}
	}
	s.mu.Unlock()
	s.storeDeadlines(ctx)
}
