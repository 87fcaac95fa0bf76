package session

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/shared"
)

var emptyObject = json.RawMessage("{}")

// written is the outcome of a write. A new one is made each time that the write
// runs; events are added after the commit.
type written struct {
	session shared.Session
	program shared.Program
	created bool
	events  []shared.Event
}

// Put creates a session, or replaces the data and TTL of one that exists. It
// reports which. Errors: InvalidArgument, SessionTooLarge, SessionLimit,
// RevisionConflict.
func (s *Sessions) Put(ctx context.Context, req shared.PutSessionRequest) (_ shared.Session, created bool, _ error) {
	if err := s.begin(ctx); err != nil {
		return shared.Session{}, false, err
	}
	if err := checkID(req.ID); err != nil {
		return shared.Session{}, false, err
	}
	ttl, err := s.opts.ttl(req.ID, req.TTL, s.opts.DefaultTTL)
	if err != nil {
		return shared.Session{}, false, err
	}
	if req.Data == nil {
		req.Data = emptyObject
	}
	if err := s.checkData(req.ID, "data", req.Data); err != nil {
		return shared.Session{}, false, err
	}
	out, err := s.write(ctx, func(w Writer, out *written) error {
		check := func(h head) error { return checkRevision("session "+quote(req.ID), h.revision, req.IfRevision) }
		h, ok, err := s.find(w, req.ID, check)
		if err != nil {
			return err
		}
		if !ok {
			if err := check(head{}); err != nil {
				return err
			}
			_, err := s.create(w, out, req.ID, ttl, req.Data)
			return err
		}
		h.ttl = ttl
		return s.replace(w, out, req.ID, h, req.Data)
	})
	return out.session, out.created, err
}

// Ensure uses a session for a call: its lifetime restarts if it slides. If there is
// none it is created with the default TTL, and that is reported.
func (s *Sessions) Ensure(ctx context.Context, id string) (created bool, _ error) {
	if err := s.begin(ctx); err != nil {
		return false, err
	}
	if err := checkID(id); err != nil {
		return false, err
	}
	if s.use(id, s.opts.Sliding) != nil {
		return false, nil
	}
	out, err := s.write(ctx, func(w Writer, out *written) error {
		_, ok, err := s.find(w, id, s.slides())
		if ok || err != nil {
			return err
		}
		_, err = s.create(w, out, id, s.opts.DefaultTTL, emptyObject)
		return err
	})
	return out.created, err
}

// Patch applies a JSON Merge Patch to the data of a session, and sets its TTL if
// there is one in the request. A request without a patch leaves data and
// revision as they are. Errors: InvalidArgument, SessionNotFound,
// SessionTooLarge, RevisionConflict.
func (s *Sessions) Patch(ctx context.Context, req shared.PatchSessionRequest) (shared.Session, error) {
	if err := s.begin(ctx); err != nil {
		return shared.Session{}, err
	}
	if err := checkID(req.ID); err != nil {
		return shared.Session{}, err
	}
	ttl, err := s.opts.ttl(req.ID, req.TTL, 0)
	if err != nil {
		return shared.Session{}, err
	}
	if req.Patch != nil {
		if err := s.checkData(req.ID, "patch", req.Patch); err != nil {
			return shared.Session{}, err
		}
	} else if ttl == 0 {
		session, err := s.Get(ctx, req.ID)
		if err == nil {
			err = checkRevision("session "+quote(req.ID), session.Revision, req.IfRevision)
		}
		return session, err
	}
	out, err := s.write(ctx, func(w Writer, out *written) error {
		h, ok, err := s.find(w, req.ID, func(h head) error {
			return checkRevision("session "+quote(req.ID), h.revision, req.IfRevision)
		})
		if err != nil {
			return err
		}
		if !ok {
			return sessionNotFound(req.ID)
		}
		data, err := s.data(w, req.ID, h)
		if err != nil {
			return err
		}
		if ttl != 0 {
			h.ttl = ttl
		}
		if req.Patch == nil {
			return s.save(w, out, req.ID, h, data)
		}
		return s.replace(w, out, req.ID, h, jsonx.MergePatch(data, req.Patch))
	})
	return out.session, err
}

// Delete removes a session and its programs. Errors: SessionNotFound,
// RevisionConflict. A session whose records are damaged can be deleted
// without a revision.
func (s *Sessions) Delete(ctx context.Context, id string, ifRevision *uint64) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := checkID(id); err != nil {
		return err
	}
	_, err := s.write(ctx, func(w Writer, out *written) error {
		h, ok, err := s.find(w, id, nil)
		damaged := err != nil && ifRevision == nil
		switch {
		case err != nil && !damaged:
			return err
		case !ok && !damaged:
			return sessionNotFound(id)
		}
		if err := checkRevision("session "+quote(id), h.revision, ifRevision); err != nil {
			return err
		}
		if err := removeRecords(w, id); err != nil {
			return err
		}
		s.leave(w, id, h.incarnation, damaged)
		out.events = append(out.events, shared.Event{Kind: shared.SessionDeleted, Session: id})
		return nil
	})
	return err
}

// write runs an update and then reports its events.
func (s *Sessions) write(ctx context.Context, fn func(w Writer, out *written) error) (*written, error) {
	var out *written
	err := s.store.Update(ctx, func(w Writer) error {
		out = &written{}
		return fn(w, out)
	})
	if err != nil {
		return &written{}, err
	}
	s.emit(out.events...)
	return out, nil
}

// create writes a new session, and clears away what is left of an expired one.
func (s *Sessions) create(w Writer, out *written, id string, ttl time.Duration, data json.RawMessage) (head, error) {
	if len(data) > s.opts.MaxBytes {
		return head{}, s.tooLarge(id, len(data))
	}
	s.mu.Lock()
	now := s.clock.now()
	s.index.sweep(now)
	if count := s.index.live + s.index.staged; count >= s.opts.MaxCount {
		s.mu.Unlock()
		return head{}, shared.Errorf(shared.SessionLimit, "create session %s: there are %d sessions, the limit", quote(id), count).
			WithHint("delete sessions, wait for some to expire, or raise session.max_count")
	}
	s.index.staged++
	s.index.incarnations++
	wall := time.Now().UnixNano()
	h := head{incarnation: s.index.incarnations, revision: 1, ttl: ttl, created: wall, updated: wall, deadline: addTime(now, ttl)}
	s.mu.Unlock()
	w.OnDone(func(committed bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.index.staged--
		if !committed {
			return
		}
		if old := s.index.entries[id]; old != nil && s.index.report(old) {
			out.events = append([]shared.Event{{Kind: shared.SessionExpired, Session: id}}, out.events...)
		}
		s.index.add(&entry{
			id: id, incarnation: h.incarnation, deadline: h.deadline, stored: h.deadline, ttl: ttl, bytes: int64(len(data)),
		})
	})
	if err := removeRecords(w, id); err != nil {
		return head{}, err
	}
	w.Put(headTable, id, h.encode())
	w.Put(dataTable, id, h.encodeData(data))
	out.created = true
	out.events = append(out.events, shared.Event{Kind: shared.SessionCreated, Session: id})
	out.session = h.session(id)
	out.session.Data = bytes.Clone(data)
	out.session.ExpiresAt = s.clock.wall(h.deadline)
	return h, nil
}

// replace writes new data to a session that exists.
func (s *Sessions) replace(w Writer, out *written, id string, h head, data json.RawMessage) error {
	h.revision++
	h.updated = time.Now().UnixNano()
	w.Put(dataTable, id, h.encodeData(data))
	return s.save(w, out, id, h, data)
}

// save writes the head of a session that exists, and restarts its lifetime.
func (s *Sessions) save(w Writer, out *written, id string, h head, data json.RawMessage) error {
	names, bytesOfPrograms, err := programSizes(w, id)
	if err != nil {
		return err
	}
	size := len(data) + bytesOfPrograms
	if size > s.opts.MaxBytes {
		return s.tooLarge(id, size)
	}
	now := s.clock.now()
	h.deadline = addTime(now, h.ttl)
	w.Put(headTable, id, h.encode())
	s.changeIndex(w, id, h.incarnation, func(e *entry) {
		e.ttl, e.stored = h.ttl, h.deadline
		s.index.resize(e, int64(size), len(names))
		s.index.setDeadline(e, h.deadline, now)
	})
	out.events = append(out.events, shared.Event{Kind: shared.SessionUpdated, Session: id})
	out.session = h.session(id)
	out.session.Data = bytes.Clone(data)
	out.session.Programs = names
	out.session.ExpiresAt = s.clock.wall(h.deadline)
	return nil
}

// leave takes the entry of a session out of the index after the commit. Until then
// the entry says that the records may be gone already.
func (s *Sessions) leave(w Writer, id string, incarnation uint64, damaged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index.entries[id]
	if e == nil || !damaged && e.incarnation != incarnation {
		// Created by an update before this one: it is not in the index yet, but
		// will be before this OnDone is called.
		e = nil
	} else {
		e.leaving = true
	}
	w.OnDone(func(committed bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e == nil {
			if now := s.index.entries[id]; now != nil && now.incarnation == incarnation {
				e = now
			}
		}
		switch {
		case e == nil:
		case committed:
			s.index.remove(e)
		default:
			e.leaving = false
		}
	})
}

// data returns the data of a session that exists.
func (s *Sessions) data(r Reader, id string, h head) (json.RawMessage, error) {
	raw, err := r.Get(dataTable, id)
	if err != nil {
		return nil, err
	}
	data := h.decodeData(raw)
	if data == nil {
		return nil, shared.Errorf(shared.StoreFailed, "session %s: its data at revision %d is lost", quote(id), h.revision).
			WithHint("delete the session to use its ID again")
	}
	return data, nil
}

func (s *Sessions) checkData(id, what string, data json.RawMessage) error {
	if len(data) > s.opts.MaxBytes {
		return s.tooLarge(id, len(data))
	}
	return jsonx.CheckObject("session "+quote(id)+": "+what, data, 0, jsonx.MaxDepth)
}

func (s *Sessions) tooLarge(id string, size int) *shared.Error {
	return shared.Errorf(shared.SessionTooLarge, "session %s: %d bytes with its programs, the limit is %d", quote(id), size, s.opts.MaxBytes).
		WithHint("keep less in the session, or raise session.max_bytes")
}

// removeRecords deletes all records of a session.
func removeRecords(w Writer, id string) error {
	names, _, err := programSizes(w, id)
	if err != nil {
		return err
	}
	for _, name := range names {
		w.Delete(programTable, programKey(id, name))
	}
	w.Delete(headTable, id)
	w.Delete(dataTable, id)
	return nil
}
