package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/dspex/dspex/shared"
)

const (
	// maxTries bounds how often a change is repeated after a conflict.
	maxTries = 32
	// patientTries is after how many tries there are pauses between them.
	patientTries = 4
	maxPause     = 10 * time.Millisecond
)

// Update changes the data or the TTL of a session: it reads the session, calls
// change with it, and writes it if nobody else has meanwhile; else it begins again,
// up to 32 times. Other fields are not written. Errors: that of change as it is,
// SessionNotFound, SessionTooLarge, InvalidArgument, and RevisionConflict at the end
// of the tries.
func (s *Sessions) Update(ctx context.Context, id string, change func(*shared.Session) error) (shared.Session, error) {
	var out shared.Session
	err := retryConflicts(ctx, func() error {
		session, err := s.Get(ctx, id)
		if err != nil {
			return err
		}
		revision := session.Revision
		if err := change(&session); err != nil {
			return changeFailed{err}
		}
		out, _, err = s.Put(ctx, shared.PutSessionRequest{ID: id, Data: session.Data, TTL: session.TTL, IfRevision: &revision})
		return err
	})
	return out, err
}

// UpdateProgram changes the specification of a program, in a session or global, as
// Update changes a session. Errors: that of change as it is, SessionNotFound,
// ProgramNotFound, those of a specification, and RevisionConflict at the end of
// the tries.
func (s *Sessions) UpdateProgram(ctx context.Context, session, name string, change func(*shared.ProgramSpec) error) (shared.Program, error) {
	var out shared.Program
	err := retryConflicts(ctx, func() error {
		p, err := s.GetProgram(ctx, session, name)
		if err != nil {
			return err
		}
		if err := change(&p.Spec); err != nil {
			return changeFailed{err}
		}
		out, _, err = s.PutProgram(ctx, session, name, p.Spec, &p.Revision)
		return err
	})
	return out, err
}

// changeFailed carries the error of a caller's function past the retries.
type changeFailed struct{ error }

// retryConflicts repeats try while it ends with a conflict.
func retryConflicts(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		var failed changeFailed
		switch {
		case errors.As(err, &failed):
			return failed.error
		case n == maxTries || !errors.Is(err, shared.ErrRevisionConflict):
			return err
		}
		if n < patientTries {
			continue
		}
		pause := time.NewTimer(rand.N(min(time.Millisecond<<(n-patientTries), maxPause)))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return contextError(ctx)
		}
	}
}
