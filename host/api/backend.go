package api

import (
	"context"

	"github.com/dspex/dspex/shared"
)

// Backend is what the listeners serve: a host. Its errors are *[shared.Error]
// values or wrap one; others are answered as INTERNAL. It must be safe for
// concurrent use, and it validates names and JSON values: the listeners check
// only the shape of a request.
type Backend interface {
	Calls
	Status
	Sessions
	Programs
}

// Calls runs commands and programs. The context ends when the caller leaves.
type Calls interface {
	// Call runs one command.
	Call(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error)
	// CallStream runs one command and gives its events to sink, in order and on
	// the goroutine of the caller. An error of sink cancels the call.
	CallStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error)
	// RunProgram runs a stored program.
	RunProgram(ctx context.Context, req shared.RunRequest) (*shared.RunResult, error)
}

// Status shows pools and workers. Its methods do not block.
type Status interface {
	// Pools returns all pools in the order of their names.
	Pools() []shared.PoolStatus
	// PoolStatus returns one pool, or POOL_NOT_FOUND.
	PoolStatus(name string) (shared.PoolStatus, error)
	// Workers returns the workers of a pool, or of all pools if pool is empty.
	Workers(pool string) ([]shared.WorkerStatus, error)
	// Stats sums up the host.
	Stats() shared.HostStats
	// Ready reports whether each pool can take calls, and if not, why.
	Ready() (bool, string)
}

// Sessions keeps sessions.
type Sessions interface {
	// PutSession creates a session or replaces its data; it reports whether it
	// created it.
	PutSession(ctx context.Context, req shared.PutSessionRequest) (shared.Session, bool, error)
	// GetSession returns a session, or SESSION_NOT_FOUND.
	GetSession(ctx context.Context, id string) (shared.Session, error)
	// PatchSession changes a session that exists.
	PatchSession(ctx context.Context, req shared.PatchSessionRequest) (shared.Session, error)
	// DeleteSession deletes a session with its programs. A nil ifRevision
	// deletes it at any revision.
	DeleteSession(ctx context.Context, id string, ifRevision *uint64) error
	// ListSessions returns one page of sessions without their data.
	ListSessions(ctx context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error)
}

// Programs keeps programs. An empty session stands for the global programs.
type Programs interface {
	// PutProgram creates a program or replaces it; it reports whether it created
	// it.
	PutProgram(ctx context.Context, req shared.PutProgramRequest) (shared.Program, bool, error)
	// GetProgram returns the program of exactly that session, or
	// PROGRAM_NOT_FOUND.
	GetProgram(ctx context.Context, session, name string) (shared.Program, error)
	// DeleteProgram deletes a program. A nil ifRevision deletes it at any
	// revision.
	DeleteProgram(ctx context.Context, session, name string, ifRevision *uint64) error
	// ListPrograms returns the programs of a session in the order of their names.
	ListPrograms(ctx context.Context, session string) ([]shared.Program, error)
}
