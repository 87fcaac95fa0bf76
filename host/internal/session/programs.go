package session

import (
	"context"
	"errors"

	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/shared"
)

// PutProgram stores a program in a session, or globally if session is empty, and
// reports whether it is new. A session that does not exist is created with the
// default TTL. The specification is checked and brought to canonical form. Errors:
// InvalidArgument, SignatureInvalid, ProgramLimit, SessionLimit,
// SessionTooLarge, RevisionConflict.
func (s *Sessions) PutProgram(
	ctx context.Context, session, name string, spec shared.ProgramSpec, ifRevision *uint64,
) (_ shared.Program, created bool, _ error) {
	if err := s.beginProgram(ctx, session, name); err != nil {
		return shared.Program{}, false, err
	}
	spec, err := program.Normalize(spec)
	if err != nil {
		return shared.Program{}, false, err
	}
	hash := program.Hash(spec)
	key := programKey(session, name)
	out, err := s.write(ctx, func(w Writer, out *written) error {
		owner, err := s.owner(w, out, session)
		if err != nil {
			return err
		}
		var old shared.Program
		if !out.created { // Else what is stored belongs to an expired session.
			if old, err = s.program(w, key); err != nil {
				return err
			}
		}
		if err := checkRevision(recordName(cell{programTable, key}), old.Revision, ifRevision); err != nil {
			return err
		}
		p := shared.Program{Name: name, Session: session, Revision: old.Revision + 1, Hash: hash, Spec: spec, UpdatedAt: utcNow()}
		if p.CreatedAt = old.CreatedAt; old.Revision == 0 {
			p.CreatedAt = p.UpdatedAt
			owner.programs++
		}
		raw, err := encodeProgram(p)
		if err != nil {
			return err
		}
		rest := holdings{}
		if !out.created {
			if rest, err = otherPrograms(w, session, name); err != nil {
				return err
			}
		}
		held := holdings{rest.bytes + len(raw), rest.programs + 1}
		if err := s.checkRoom(p, owner, held); err != nil {
			return err
		}
		w.Put(programTable, key, raw)
		s.recount(w, session, owner, held)
		out.program = p
		out.created = old.Revision == 0
		out.events = append(out.events, shared.Event{Kind: shared.ProgramStored, Session: session, Program: name})
		return nil
	})
	return out.program, out.created, err
}

// GetProgram returns a program of a session, or a global one if session is empty.
// Errors: SessionNotFound, ProgramNotFound, and StoreFailed if the program may
// be one that is damaged.
func (s *Sessions) GetProgram(ctx context.Context, session, name string) (shared.Program, error) {
	if err := s.beginProgram(ctx, session, name); err != nil {
		return shared.Program{}, err
	}
	if session != "" && s.use(session, s.opts.Sliding) == nil {
		return shared.Program{}, sessionNotFound(session)
	}
	return s.readProgram(session, name)
}

// FindProgram returns the program that a call in a session means: that of the
// session, else the global one. Session may be empty, and need not exist. Errors:
// ProgramNotFound, and StoreFailed as with GetProgram.
func (s *Sessions) FindProgram(ctx context.Context, session, name string) (shared.Program, error) {
	if err := s.beginProgram(ctx, session, name); err != nil {
		return shared.Program{}, err
	}
	if session != "" && s.use(session, s.opts.Sliding) != nil {
		return s.readProgram(session, name, "")
	}
	return s.readProgram("", name)
}

// DeleteProgram removes a program of a session, or a global one if session is
// empty. Errors: SessionNotFound, ProgramNotFound, RevisionConflict. Without a
// revision it also removes a damaged program; if it is not known which one is
// damaged, then all that are, of that session.
func (s *Sessions) DeleteProgram(ctx context.Context, session, name string, ifRevision *uint64) error {
	if err := s.beginProgram(ctx, session, name); err != nil {
		return err
	}
	key := programKey(session, name)
	_, err := s.write(ctx, func(w Writer, out *written) error {
		owner, err := s.ownerOf(w, session)
		if err != nil {
			return err
		}
		old, err := s.program(w, key)
		damaged := err != nil && ifRevision == nil
		if err != nil && !damaged {
			return err
		}
		if err := checkRevision(recordName(cell{programTable, key}), old.Revision, ifRevision); err != nil {
			return err
		}
		if err == nil && old.Revision == 0 {
			if missing := s.missing(w, owner, session, name); !errors.Is(missing, errProgramsDamaged) {
				return missing
			}
			return s.dropDamaged(w, owner, session)
		}
		rest, err := otherPrograms(w, session, name)
		if err != nil {
			return err
		}
		w.Delete(programTable, key)
		owner.programs--
		s.recount(w, session, owner, rest)
		out.events = append(out.events, shared.Event{Kind: shared.ProgramDeleted, Session: session, Program: name})
		return nil
	})
	return err
}

// ListPrograms returns the programs of a session, or the global ones if session is
// empty, by name. Damaged ones are left out. Errors: SessionNotFound.
func (s *Sessions) ListPrograms(ctx context.Context, session string) ([]shared.Program, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if session != "" {
		if err := checkID(session); err != nil {
			return nil, err
		}
		if s.use(session, s.opts.Sliding) == nil {
			return nil, sessionNotFound(session)
		}
	}
	var list []shared.Program
	err := s.store.View(func(r Reader) error {
		return r.Scan(programTable, programKey(session, ""), "", func(record Entry) bool {
			p, err := scannedProgram(record)
			if err != nil {
				s.log.Error("program is damaged", "session", session, "error", err)
				return true
			}
			list = append(list, p)
			return true
		})
	})
	return list, err
}

func (s *Sessions) beginProgram(ctx context.Context, session, name string) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	if session != "" {
		if err := checkID(session); err != nil {
			return err
		}
	}
	return checkName("program name", name)
}

// readProgram returns the program of the first of the owners that has one.
func (s *Sessions) readProgram(first, name string, others ...string) (shared.Program, error) {
	var p shared.Program
	err := s.store.View(func(r Reader) error {
		var notFound error
		for _, session := range append([]string{first}, others...) {
			var err error
			if p, err = s.program(r, programKey(session, name)); err != nil || p.Revision != 0 {
				return err
			}
			owner, err := s.ownerOf(r, session)
			if err == nil {
				err = s.missing(r, owner, session, name)
			}
			if !errors.Is(err, shared.ErrProgramNotFound) && !errors.Is(err, shared.ErrSessionNotFound) {
				return err
			}
			if notFound == nil {
				notFound = err
			}
		}
		return notFound
	})
	return p, err
}

// program returns a program, at revision 0 if there is none.
func (s *Sessions) program(r Reader, key string) (shared.Program, error) {
	raw, err := r.Get(programTable, key)
	if raw == nil || err != nil {
		return shared.Program{}, err
	}
	return decodeProgram(key, raw)
}

// checkRoom refuses a program beyond the limits. One that replaces another needs
// no place.
func (s *Sessions) checkRoom(p shared.Program, owner owner, held holdings) error {
	limit := s.opts.MaxPrograms
	if p.Session == "" {
		limit = maxGlobalPrograms
	}
	switch size := owner.bytes + held.bytes; {
	case p.Revision == 1 && held.programs > limit:
		return shared.Errorf(shared.ProgramLimit, "store %s: there are %d programs, the limit",
			recordName(cell{programTable, programKey(p.Session, p.Name)}), limit)
	case p.Session != "" && size > s.opts.MaxBytes:
		return s.tooLarge(p.Session, size)
	}
	return nil
}

func programNotFound(session, name string) *shared.Error {
	if session == "" {
		return shared.Errorf(shared.ProgramNotFound, "there is no global program %s", quote(name))
	}
	return shared.Errorf(shared.ProgramNotFound, "there is no program %s in session %s", quote(name), quote(session))
}
