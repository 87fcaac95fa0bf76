package host

import (
	"context"

	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/shared"
)

// PutSession creates a session or replaces its data, and reports whether it was
// created.
func (h *Host) PutSession(ctx context.Context, req shared.PutSessionRequest) (shared.Session, bool, error) {
	return h.sessions.Put(ctx, req)
}

// GetSession returns a session and, if sessions slide, extends its life.
func (h *Host) GetSession(ctx context.Context, id string) (shared.Session, error) {
	return h.sessions.Get(ctx, id)
}

// PatchSession applies a JSON Merge Patch to a session's data.
func (h *Host) PatchSession(ctx context.Context, req shared.PatchSessionRequest) (shared.Session, error) {
	return h.sessions.Patch(ctx, req)
}

// UpdateSession changes a session by a function of its present state. It is
// called again when another write came between, so it must have no other effect.
func (h *Host) UpdateSession(ctx context.Context, id string, change func(*shared.Session) error) (shared.Session, error) {
	return h.sessions.Update(ctx, id, change)
}

// DeleteSession deletes a session with its programs. A nil ifRevision means
// whatever its revision is.
func (h *Host) DeleteSession(ctx context.Context, id string, ifRevision *uint64) error {
	return h.sessions.Delete(ctx, id, ifRevision)
}

// ListSessions returns one page of sessions, without their data.
func (h *Host) ListSessions(ctx context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error) {
	return h.sessions.List(ctx, req)
}

// PutProgram checks a program's definition and stores it: in a session, which is
// created if need be, or, without one, for all sessions.
func (h *Host) PutProgram(ctx context.Context, req shared.PutProgramRequest) (shared.Program, bool, error) {
	spec, err := h.parseSpec(req.Spec)
	if err != nil {
		return shared.Program{}, false, err
	}
	return h.sessions.PutProgram(ctx, req.Session, req.Name, spec, req.IfRevision)
}

// GetProgram returns the program of exactly that session, or the global one if
// session is empty.
func (h *Host) GetProgram(ctx context.Context, session, name string) (shared.Program, error) {
	return h.sessions.GetProgram(ctx, session, name)
}

// UpdateProgram changes a program by a function of its present definition, which
// may be called again when another write came between. The new definition is
// checked as in PutProgram.
func (h *Host) UpdateProgram(ctx context.Context, session, name string, change func(*shared.ProgramSpec) error) (shared.Program, error) {
	return h.sessions.UpdateProgram(ctx, session, name, func(spec *shared.ProgramSpec) error {
		if err := change(spec); err != nil {
			return err
		}
		checked, err := program.Normalize(*spec)
		if err != nil {
			return err
		}
		*spec = checked
		return h.checkNames(checked)
	})
}

// DeleteProgram deletes a program. A nil ifRevision means whatever its revision
// is.
func (h *Host) DeleteProgram(ctx context.Context, session, name string, ifRevision *uint64) error {
	return h.sessions.DeleteProgram(ctx, session, name, ifRevision)
}

// ListPrograms returns the programs of a session, or the global ones if session
// is empty, in the order of their names.
func (h *Host) ListPrograms(ctx context.Context, session string) ([]shared.Program, error) {
	return h.sessions.ListPrograms(ctx, session)
}

// SessionStats counts sessions and programs.
func (h *Host) SessionStats() shared.SessionStats { return h.sessions.Stats() }
