package session

import (
	"strings"

	"github.com/dspex/dspex/shared"
)

// load fills the index from the store, before anything else uses it. Records
// that are damaged or lost keep their sessions known, so that reading one
// fails loudly instead of finding nothing.
func (s *Sessions) load() error {
	return s.store.View(func(r Reader) error {
		now := s.clock.now()
		if err := s.loadHeads(r, now); err != nil {
			return err
		}
		err := r.Scan(dataTable, "", "", func(data Entry) bool {
			e := s.indexed(data.Key, now)
			s.index.resize(e, e.bytes+int64(max(data.Size-writePrefix, 0)), int(e.programs))
			return true
		})
		if err != nil {
			return err
		}
		return r.Scan(programTable, "", "", func(program Entry) bool {
			id, _, _ := strings.Cut(program.Key, keySeparator)
			if id == "" {
				s.index.setGlobals(s.index.globals+1, s.index.globalBytes+int64(program.Size))
				return true
			}
			e := s.indexed(id, now)
			s.index.resize(e, e.bytes+int64(program.Size), int(e.programs)+1)
			return true
		})
	})
}

func (s *Sessions) loadHeads(r Reader, now int64) error {
	return r.Scan(headTable, "", "", func(record Entry) bool {
		var h head
		raw, err := record.Value()
		if err == nil {
			h, err = decodeHead(record.Key, raw)
		}
		if err != nil {
			s.log.Error("session is damaged", "session", record.Key, "error", err)
			s.addDamaged(record.Key, now)
			return true
		}
		// A clock that went back must not let a session live longer than its TTL.
		deadline := min(h.deadline, addTime(now, h.ttl))
		s.index.add(&entry{id: record.Key, incarnation: h.incarnation, deadline: deadline, stored: h.deadline, ttl: h.ttl})
		return true
	})
}

// indexed returns the entry of a record whose head was loaded or is lost.
func (s *Sessions) indexed(id string, now int64) *entry {
	if e := s.index.entries[id]; e != nil {
		return e
	}
	s.log.Error("session is damaged", "session", id, "error", "its head is lost")
	return s.addDamaged(id, now)
}

// addDamaged keeps a session without a head until it is deleted, or expires like
// one that was just created.
func (s *Sessions) addDamaged(id string, now int64) *entry {
	deadline := addTime(now, s.opts.DefaultTTL)
	e := &entry{id: id, deadline: deadline, stored: deadline, ttl: s.opts.DefaultTTL}
	s.index.add(e)
	return e
}

// find returns the head of a session that lives. If admit is given and has no
// objection the session's lifetime restarts at once, so that it does not expire
// while a change of it is on its way to the disk.
func (s *Sessions) find(r Reader, id string, admit func(head) error) (h head, ok bool, err error) {
	raw, err := r.Get(headTable, id)
	if err == nil && raw != nil {
		h, err = decodeHead(id, raw)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.now()
	s.index.sweep(now)
	e := s.index.entries[id]
	lives := e != nil && e.place >= 0
	switch {
	case err != nil && e != nil && !lives:
		return head{}, false, nil // Damaged, but it has expired anyway.
	case err != nil:
		return head{}, false, err
	case raw == nil && lives && !e.leaving:
		return head{}, false, shared.Errorf(shared.StoreFailed, "session %s: its head is lost", quote(id)).
			WithHint("delete the session to use its ID again")
	case raw == nil:
		return head{}, false, nil
	case e != nil && e.incarnation == h.incarnation && !lives:
		return head{}, false, nil
	case admit == nil:
		return h, true, nil
	}
	if err := admit(h); err != nil {
		return head{}, false, err
	}
	// If the entry is not that of the head, the session was created by an update
	// whose commit is under way.
	if e != nil && e.incarnation == h.incarnation && s.index.slide(e, now) {
		s.signal()
	}
	return h, true, nil
}

// slides is the admit of a use: nil if a use does not restart the lifetime.
func (s *Sessions) slides() func(head) error {
	if !s.opts.Sliding {
		return nil
	}
	return func(head) error { return nil }
}

// changeIndex runs change under the lock after the commit of w, with the entry
// of an incarnation if it still lives.
func (s *Sessions) changeIndex(w Writer, id string, incarnation uint64, change func(e *entry)) {
	w.OnDone(func(committed bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e := s.index.entries[id]; committed && e != nil && e.place >= 0 && e.incarnation == incarnation {
			change(e)
		}
	})
}

func sessionNotFound(id string) *shared.Error {
	return shared.Errorf(shared.SessionNotFound, "session %s does not exist or has expired", quote(id))
}

// checkRevision compares the revision of what exists, else 0, with the one that
// a caller wants.
func checkRevision(what string, have uint64, want *uint64) error {
	switch {
	case want == nil || *want == have:
		return nil
	case have == 0:
		return shared.Errorf(shared.RevisionConflict, "%s does not exist, so it is not at revision %d", what, *want)
	case *want == 0:
		return shared.Errorf(shared.RevisionConflict, "%s exists, at revision %d", what, have)
	}
	return shared.Errorf(shared.RevisionConflict, "%s is at revision %d, not %d", what, have, *want).
		WithHint("read it again and repeat the change")
}
