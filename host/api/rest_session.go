package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/dspex/dspex/shared"
)

// existingTries bounds the tries of a write that asks for any revision, while
// others write the same session or program.
const existingTries = 10

// sessionView is the JSON form of a session.
type sessionView struct {
	ID        string          `json:"id"`
	Data      json.RawMessage `json:"data,omitempty"`
	TTL       string          `json:"ttl"`
	Revision  uint64          `json:"revision"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	ExpiresAt time.Time       `json:"expires_at"`
	Programs  []string        `json:"programs"`
}

type sessionsView struct {
	Sessions []sessionView `json:"sessions"`
	More     bool          `json:"more"`
}

// viewSummary is a session in a list: without its data.
func viewSummary(s shared.Session) sessionView {
	return sessionView{
		ID:        s.ID,
		TTL:       formatDuration(s.TTL),
		Revision:  s.Revision,
		CreatedAt: s.CreatedAt,
		UpdatedAt: s.UpdatedAt,
		ExpiresAt: s.ExpiresAt,
		Programs:  append([]string{}, s.Programs...),
	}
}

func viewSession(s shared.Session) sessionView {
	v := viewSummary(s)
	v.Data = rawOr(s.Data, "{}")
	return v
}

func (s *Server) listSessions(w http.ResponseWriter, r *http.Request) error {
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	page, err := s.backend.ListSessions(r.Context(), shared.ListSessionsRequest{
		Prefix: query.Get("prefix"),
		Limit:  limit,
		After:  query.Get("after"),
	})
	if err != nil {
		return err
	}
	view := sessionsView{Sessions: make([]sessionView, len(page.Sessions)), More: page.More}
	for i, session := range page.Sessions {
		view.Sessions[i] = viewSummary(session)
	}
	writeJSON(w, http.StatusOK, view)
	return nil
}

func (s *Server) getSession(w http.ResponseWriter, r *http.Request) error {
	session, err := s.backend.GetSession(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeRevision(w, r, http.StatusOK, session.Revision, viewSession(session))
	return nil
}

func (s *Server) putSession(w http.ResponseWriter, r *http.Request) error {
	req := shared.PutSessionRequest{ID: r.PathValue("id")}
	if err := decodeBody(r, object("data", &req.Data), duration("ttl", &req.TTL)); err != nil {
		return err
	}
	cond, err := conditionOf(r)
	if err != nil {
		return err
	}
	var session shared.Session
	created := false
	err = cond.write(func(revision *uint64) (err error) {
		req.IfRevision = revision
		session, created, err = s.backend.PutSession(r.Context(), req)
		return err
	}, func() (uint64, error) {
		session, err := s.backend.GetSession(r.Context(), req.ID)
		return session.Revision, err
	})
	if err != nil {
		return err
	}
	writeRevision(w, nil, writtenStatus(created), session.Revision, viewSession(session))
	return nil
}

func (s *Server) patchSession(w http.ResponseWriter, r *http.Request) error {
	req := shared.PatchSessionRequest{ID: r.PathValue("id")}
	if err := decodeBody(r, object("data", &req.Patch), duration("ttl", &req.TTL)); err != nil {
		return err
	}
	cond, err := updateConditionOf(r)
	if err != nil {
		return err
	}
	req.IfRevision = cond.revision
	session, err := s.backend.PatchSession(r.Context(), req)
	if err != nil {
		return cond.err(err)
	}
	writeRevision(w, nil, http.StatusOK, session.Revision, viewSession(session))
	return nil
}

func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) error {
	cond, err := updateConditionOf(r)
	if err != nil {
		return err
	}
	if err := s.backend.DeleteSession(r.Context(), r.PathValue("id"), cond.revision); err != nil {
		return cond.err(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// write runs a put under the condition. For "any revision" it puts at the one
// that revision returns, again if another write came between.
func (c condition) write(put func(revision *uint64) error, revision func() (uint64, error)) error {
	if !c.exists {
		return c.err(put(c.revision))
	}
	var err error
	for range existingTries {
		var current uint64
		if current, err = revision(); err != nil {
			return c.err(err)
		}
		if err = put(&current); err == nil || asError(err).Reason != shared.RevisionConflict {
			return c.err(err)
		}
	}
	return err
}

// updateConditionOf reads the headers of a write that needs something there.
func updateConditionOf(r *http.Request) (condition, error) {
	cond, err := conditionOf(r)
	if err == nil && cond.absent {
		err = shared.Errorf(shared.InvalidArgument, "If-None-Match: * can never hold for %s", r.Method).
			WithHint("leave it out")
	}
	return cond, err
}

func writtenStatus(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// writeRevision answers with something that has revisions. A reader that has this
// one gets only its tag; writers pass no request.
func writeRevision(w http.ResponseWriter, reader *http.Request, status int, revision uint64, view any) {
	w.Header().Set("ETag", etag(revision))
	w.Header().Set("Cache-Control", "no-cache")
	if reader != nil && unchanged(reader, revision) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeJSON(w, status, view)
}
