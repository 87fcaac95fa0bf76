package plugin

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// progressKind is the kind of the events that Progress sends.
const progressKind = "progress"

// Context is one running call. The context.Context in it is done when the caller
// cancels, when the time of the call is over, when the host is gone, and when
// the worker shuts down; [context.Cause] then says which. Its methods may be
// called from several goroutines.
type Context struct {
	context.Context

	call *call
}

// SessionID is the session that the call belongs to; empty if none.
func (c *Context) SessionID() string { return c.call.frame.GetSessionId() }

// Traceparent is the W3C trace context of the call; empty if none.
func (c *Context) Traceparent() string { return c.call.frame.GetTraceparent() }

// Attempt counts the tries of this call by the host, from 1.
func (c *Context) Attempt() int { return int(max(1, c.call.frame.GetAttempt())) }

// Command is the name of the command.
func (c *Context) Command() string { return c.call.frame.GetCommand() }

// WorkerID is the worker that the call runs in. It outlives processes.
func (c *Context) WorkerID() string { return c.call.owner.setup.GetWorkerId() }

// Pool is the pool of the worker.
func (c *Context) Pool() string { return c.call.owner.setup.GetPool() }

// Generation counts the processes of the worker, from 1.
func (c *Context) Generation() uint64 { return c.call.owner.setup.GetGeneration() }

// Logger writes to the log of the host, each line with the command, the call and
// the session.
func (c *Context) Logger() hclog.Logger {
	log := c.call.owner.log.With("command", c.Command(), "call", c.call.frame.GetId())
	if id := c.SessionID(); id != "" {
		log = log.With("session", id)
	}
	return log
}

// Progress reports how far the call is, as any value that encodes to at most
// 64 KiB of JSON. It never blocks: when reports come faster than they can be
// sent, the oldest are dropped, and so are all if the caller does not listen. It
// fails only where the value cannot be sent.
func (c *Context) Progress(value any) error {
	data, err := encode("progress", value, shared.FragmentSize)
	if err != nil {
		return err
	}
	if c.call.frame.GetStream() {
		c.call.put(frame{event: &workerv1.Event{Kind: progressKind}, data: data})
	}
	return nil
}
