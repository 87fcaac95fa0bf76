package shared

import "time"

// EventKind says what an Event is about.
type EventKind string

// What happens in a host.
const (
	CallQueued     EventKind = "call.queued"
	CallDispatched EventKind = "call.dispatched"
	CallDone       EventKind = "call.done"

	WorkerStarting EventKind = "worker.starting"
	WorkerReady    EventKind = "worker.ready"
	WorkerLostKind EventKind = "worker.lost"
	WorkerDraining EventKind = "worker.draining"
	WorkerStopped  EventKind = "worker.stopped"
	WorkerFailed   EventKind = "worker.failed"

	PoolReady    EventKind = "pool.ready"
	PoolDegraded EventKind = "pool.degraded"
	PoolStopped  EventKind = "pool.stopped"

	SessionCreated EventKind = "session.created"
	SessionUpdated EventKind = "session.updated"
	SessionDeleted EventKind = "session.deleted"
	SessionExpired EventKind = "session.expired"
	ProgramStored  EventKind = "program.stored"
	ProgramDeleted EventKind = "program.deleted"
)

// Event is one thing that happened in a host. Tests, logs and metrics read the
// same events. Fields that do not apply are zero.
type Event struct {
	Time time.Time `json:"time"`
	Kind EventKind `json:"kind"`
	Pool string    `json:"pool,omitempty"`
	// Worker and Generation name one process.
	Worker     string `json:"worker,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	PID        int    `json:"pid,omitempty"`
	// Call counts the calls of a pool, from 1.
	Call    uint64 `json:"call,omitempty"`
	Command string `json:"command,omitempty"`
	Session string `json:"session,omitempty"`
	Program string `json:"program,omitempty"`
	// Reason of the error that ended a call, or empty if it succeeded; for
	// workers and pools, why it happened.
	Reason string `json:"reason,omitempty"`
	// QueueTime and RunTime of a call; RunTime of worker.ready is its start.
	QueueTime time.Duration `json:"queue_time,omitempty"`
	RunTime   time.Duration `json:"run_time,omitempty"`
}
