package shared

import (
	"encoding/json"
	"time"
)

// CallRequest asks a pool to run one command.
type CallRequest struct {
	// Pool and Command name what to run.
	Pool    string
	Command string
	// Args is a JSON object. Nil is {}.
	Args json.RawMessage
	// Session is the ID of the session that the call belongs to. Empty is none.
	// A session that does not exist is created with the default TTL.
	Session string
	// SessionData asks for the session's data as args.session_data.
	SessionData bool
	// Timeout bounds the whole call, queue wait included. 0 is the pool's
	// execution_timeout.
	Timeout time.Duration
	// Idempotent says that running the call twice does no harm: it is run again
	// on another worker when its own is lost before an answer.
	Idempotent bool
	// Traceparent is the W3C trace context of the caller. Empty is none.
	Traceparent string
}

// CallResult is the answer to a call that succeeded.
type CallResult struct {
	// Result is a JSON value.
	Result json.RawMessage
	// Worker is the ID of the worker that ran it.
	Worker string
	// QueueTime is how long the call waited for a slot, RunTime how long from
	// there to the answer.
	QueueTime time.Duration
	RunTime   time.Duration
}

// RunRequest asks for a run of a stored program.
type RunRequest struct {
	// Session is searched first, then the global programs. Empty is only global.
	Session string
	// Name of the program.
	Name string
	// Inputs is a JSON object with a value for each input field.
	Inputs json.RawMessage
	// Pool to run in. Empty is the program's own pool; a program without one
	// runs in the only pool whose workers can run programs.
	Pool string
	// Timeout is as in CallRequest.
	Timeout time.Duration
}

// RunResult is the answer of a program.
type RunResult struct {
	// Outputs is a JSON object with a value for each output field.
	Outputs json.RawMessage
	// Revision is the program's revision that ran.
	Revision uint64
	// Worker, QueueTime and RunTime are as in CallResult.
	Worker    string
	QueueTime time.Duration
	RunTime   time.Duration
}

// StreamKind is the kind of a StreamEvent.
type StreamKind string

const (
	// StreamChunk carries an item of a streaming command.
	StreamChunk StreamKind = "chunk"
	// StreamProgress carries a progress report.
	StreamProgress StreamKind = "progress"
)

// StreamEvent is what a running call sends before its result.
type StreamEvent struct {
	Kind StreamKind
	// Data is a JSON value.
	Data json.RawMessage
}

// Command is one function that a worker offers.
type Command struct {
	Name string `json:"name"`
	Doc  string `json:"doc,omitempty"`
	// ArgsSchema and ResultSchema are JSON Schemas; nil if unknown.
	ArgsSchema   json.RawMessage `json:"args_schema,omitempty"`
	ResultSchema json.RawMessage `json:"result_schema,omitempty"`
	// Streaming commands yield chunks before their result.
	Streaming bool `json:"streaming,omitempty"`
	// Idempotent commands do the same when run twice.
	Idempotent bool `json:"idempotent,omitempty"`
	// Cancellable commands stop working when cancelled, not only answering.
	Cancellable bool `json:"cancellable,omitempty"`
}
