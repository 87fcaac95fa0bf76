package session

import (
	"encoding/binary"
	"errors"

	"github.com/dspex/dspex/shared"
)

// errProgramsDamaged is behind the error that an owner has lost programs.
var errProgramsDamaged = errors.New("programs damaged or lost")

// owner is what has programs: a session, or the global scope.
type owner struct {
	// head of the session; of the global scope only the number of programs is set.
	head
	// bytes of the session's data.
	bytes int
}

// holdings are the number and size of the programs of an owner.
type holdings struct{ bytes, programs int }

// owner returns the owner of a program that is to be stored. A session is created
// if need be.
func (s *Sessions) owner(w Writer, out *written, session string) (owner, error) {
	o, err := s.ownerOf(w, session)
	if errors.Is(err, shared.ErrSessionNotFound) {
		h, err := s.create(w, out, session, s.opts.DefaultTTL, emptyObject)
		return owner{h, len(emptyObject)}, err
	}
	return o, err
}

// ownerOf returns the owner of programs, which must exist. That is a use of it.
func (s *Sessions) ownerOf(r Reader, session string) (owner, error) {
	if session == "" {
		raw, err := r.Get(stateTable, globalsKey)
		if err != nil {
			return owner{}, err
		}
		n, _ := binary.Uvarint(raw)
		return owner{head: head{programs: n}}, nil
	}
	h, ok, err := s.find(r, session, s.slides())
	if err != nil {
		return owner{}, err
	}
	if !ok {
		return owner{}, sessionNotFound(session)
	}
	if _, writes := r.(Writer); !writes {
		return owner{head: h}, nil // Only who writes needs the size.
	}
	data, err := s.data(r, session, h)
	return owner{h, len(data)}, err
}

// otherPrograms sums up the programs of an owner, all but one.
func otherPrograms(r Reader, session, except string) (holdings, error) {
	var sum holdings
	err := r.Scan(programTable, programKey(session, ""), "", func(e Entry) bool {
		if e.Key != programKey(session, except) {
			sum.bytes += e.Size
			sum.programs++
		}
		return true
	})
	return sum, err
}

// missing is the error that an owner has no program of a name: it is not there, or
// it may be one that the store has lost.
func (s *Sessions) missing(r Reader, owner owner, session, name string) error {
	intact := uint64(0)
	err := r.Scan(programTable, programKey(session, ""), "", func(e Entry) bool {
		if _, err := scannedProgram(e); err == nil {
			intact++
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case intact == owner.programs:
		return programNotFound(session, name)
	}
	return shared.Errorf(shared.StoreFailed, "%s: %d of %d programs there are intact: %w",
		recordName(cell{programTable, programKey(session, name)}), intact, owner.programs, errProgramsDamaged).
		WithHint("restore a backup of the store, or delete this program to go on without those that are damaged")
}

// dropDamaged removes the damaged programs of an owner.
func (s *Sessions) dropDamaged(w Writer, owner owner, session string) error {
	var rest holdings
	err := w.Scan(programTable, programKey(session, ""), "", func(e Entry) bool {
		if _, err := scannedProgram(e); err != nil {
			w.Delete(programTable, e.Key)
			return true
		}
		rest.bytes += e.Size
		rest.programs++
		return true
	})
	if err != nil {
		return err
	}
	owner.programs = uint64(rest.programs)
	s.recount(w, session, owner, rest)
	return nil
}

// recount writes the number of programs, and brings the index up to date after
// the commit.
func (s *Sessions) recount(w Writer, session string, owner owner, held holdings) {
	if session != "" {
		w.Put(headTable, session, owner.encode())
		s.changeIndex(w, session, owner.incarnation, func(e *entry) {
			s.index.resize(e, int64(owner.bytes+held.bytes), held.programs)
		})
		return
	}
	w.Put(stateTable, globalsKey, binary.AppendUvarint(nil, owner.programs))
	w.OnDone(func(committed bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if committed {
			s.index.setGlobals(held.programs, int64(held.bytes))
		}
	})
}

// scannedProgram decodes a program that a scan visits.
func scannedProgram(record Entry) (shared.Program, error) {
	raw, err := record.Value()
	if err != nil {
		return shared.Program{}, err
	}
	return decodeProgram(record.Key, raw)
}
