package session

import (
	"bytes"
	"context"
	"strings"

	"github.com/dspex/dspex/shared"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// Get returns a session, and restarts its lifetime if it slides. Errors:
// SessionNotFound, and StoreFailed if its records are damaged.
func (s *Sessions) Get(ctx context.Context, id string) (shared.Session, error) {
	if err := s.begin(ctx); err != nil {
		return shared.Session{}, err
	}
	if err := checkID(id); err != nil {
		return shared.Session{}, err
	}
	e := s.use(id, s.opts.Sliding)
	if e == nil {
		return shared.Session{}, sessionNotFound(id)
	}
	var out shared.Session
	err := s.store.View(func(r Reader) error {
		h, ok, err := s.find(r, id, nil)
		if err != nil {
			return err
		}
		if !ok {
			return sessionNotFound(id)
		}
		data, err := s.data(r, id, h)
		if err != nil {
			return err
		}
		out = h.session(id)
		out.Data = bytes.Clone(data)
		out.ExpiresAt = s.expiresAt(e)
		out.Programs, _, err = programSizes(r, id)
		return err
	})
	return out, err
}

// Touch restarts the lifetime of a session. It writes nothing at once. Errors:
// SessionNotFound.
func (s *Sessions) Touch(ctx context.Context, id string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := checkID(id); err != nil {
		return err
	}
	if s.use(id, true) == nil {
		return sessionNotFound(id)
	}
	return nil
}

// List returns a page of sessions in the order of their IDs, without data, and
// does not use them. Sessions whose head is damaged are left out.
func (s *Sessions) List(ctx context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error) {
	var page shared.SessionPage
	if err := s.begin(ctx); err != nil {
		return page, err
	}
	switch {
	case len(req.Prefix) > maxName || len(req.After) > maxName:
		return page, shared.Errorf(shared.InvalidArgument, "list sessions: prefix or after is longer than %d bytes", maxName)
	case req.Limit < 0 || req.Limit > maxPage:
		return page, shared.Errorf(shared.InvalidArgument, "list sessions: limit %d: want 0 to %d", req.Limit, maxPage)
	case req.Limit == 0:
		req.Limit = defaultPage
	}
	err := s.store.View(func(r Reader) error {
		err := r.Scan(headTable, req.Prefix, req.After, func(record Entry) bool {
			session, ok := s.listed(record)
			switch {
			case !ok:
				return ctx.Err() == nil
			case len(page.Sessions) == req.Limit:
				page.More = true
				return false
			}
			page.Sessions = append(page.Sessions, session)
			return true
		})
		for i := range page.Sessions {
			if err == nil {
				page.Sessions[i].Programs, _, err = programSizes(r, page.Sessions[i].ID)
			}
		}
		return err
	})
	if err == nil {
		err = contextError(ctx)
	}
	if err != nil {
		return shared.SessionPage{}, err
	}
	return page, nil
}

// listed returns the session of a head, if it lives and is whole.
func (s *Sessions) listed(record Entry) (shared.Session, bool) {
	id := strings.Clone(record.Key)
	raw, err := record.Value()
	if err != nil {
		return shared.Session{}, false
	}
	h, err := decodeHead(id, raw)
	if err != nil {
		return shared.Session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.index.alive(id, s.clock.now())
	if e == nil || e.incarnation != h.incarnation {
		return shared.Session{}, false
	}
	session := h.session(id)
	session.ExpiresAt = s.clock.wall(e.deadline)
	return session, true
}
