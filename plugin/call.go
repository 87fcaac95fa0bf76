package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// Causes of a call's context being done. A command may return them.
var (
	errCaller   = shared.Errorf(shared.Canceled, "call was cancelled").WithRun(shared.RunMaybe)
	errOvertime = shared.Errorf(shared.ExecutionTimeout, "time of the call is over").WithRun(shared.RunMaybe)
	errDetached = shared.Errorf(shared.Canceled, "host is gone").WithRun(shared.RunMaybe)
	errShutdown = shared.Errorf(shared.WorkerLost, "worker shuts down").WithRun(shared.RunMaybe)
)

// call is one call from its frame to its terminal frame.
type call struct {
	owner  *attachment    // immutable
	frame  *workerv1.Call // immutable; its args are whole
	size   uint64         // immutable; of the args, which are missing if too large
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // releases the timer of the deadline
	lane   lane               // guarded by the outbox

	mu      sync.Mutex
	credits uint64        // guarded by mu; chunks that may be sent
	granted chan struct{} // has an item when credits may have come
}

func newCall(owner *attachment, f *workerv1.Call, size uint64) *call {
	c := &call{owner: owner, frame: f, size: size, credits: shared.ChunkWindow, granted: make(chan struct{}, 1)}
	ctx, stop := context.WithTimeoutCause(owner.ctx, time.Duration(f.GetRemainingMs())*time.Millisecond, errOvertime)
	c.stop = stop
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	return c
}

// run runs the command and returns the terminal frame. What the command's code
// and the methods of its values do, panics included, ends up in the frame.
func (c *call) run() (f frame) {
	defer c.stop()
	defer c.cancel(nil)
	defer func() {
		if value := recover(); value != nil {
			f = frame{failure: failureOf(panicked(value, debug.Stack()))}
		}
	}()
	data, err := c.perform()
	if err != nil {
		return frame{failure: failureOf(err)}
	}
	return frame{result: &workerv1.Result{}, data: data}
}

func (c *call) perform() ([]byte, error) {
	cmd := c.owner.commands[c.frame.GetCommand()]
	if cmd == nil {
		return nil, c.unknown()
	}
	limit := c.owner.limit()
	if c.size > limit {
		return nil, shared.Errorf(shared.PayloadTooLarge, "read arguments of command %q: %d bytes are more than the limit of %d",
			cmd.desc.GetName(), c.size, limit)
	}
	args := c.frame.GetArgs()
	if len(args) == 0 {
		args = []byte("{}")
	}
	if err := checkArgs(args); err != nil {
		return nil, shared.Errorf(shared.InvalidArgument, "read arguments of command %q: %w", cmd.desc.GetName(), err)
	}
	value, err := cmd.run(&Context{Context: c.ctx, call: c}, json.RawMessage(args), c.send)
	if err != nil {
		return nil, c.blame(err)
	}
	return encode("result", value, limit)
}

// blame names the end of the context as the reason of an error that came after
// it: whatever a cancelled function returns is a consequence, unless it names a
// reason itself.
func (c *call) blame(err error) error {
	if c.ctx.Err() == nil || isShared(err) {
		return err
	}
	cause := shared.AsError(context.Cause(c.ctx))
	return &shared.Error{
		Reason:     cause.Reason,
		Message:    fmt.Sprintf("%s: %s", cause.Message, err),
		MayHaveRun: cause.MayHaveRun,
		Cause:      err,
	}
}

func (c *call) unknown() error {
	names := make([]string, 0, len(c.owner.commands))
	for name := range c.owner.commands {
		names = append(names, name)
	}
	slices.Sort(names)
	return shared.Errorf(shared.CommandNotFound, "worker has no command %q", c.frame.GetCommand()).
		WithHint("its commands are %s", strings.Join(names, ", "))
}

// send is the send of a StreamFunc.
func (c *call) send(chunk any) error {
	data, err := encode("chunk", chunk, c.owner.limit())
	if err != nil {
		return err
	}
	if !c.frame.GetStream() {
		return context.Cause(c.ctx)
	}
	if err := c.spend(); err != nil {
		return err
	}
	if !c.put(frame{chunk: &workerv1.Chunk{}, data: data}) {
		return errEnded
	}
	return nil
}

// spend takes one credit and waits for it if there is none.
func (c *call) spend() error {
	for {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		c.mu.Lock()
		if c.credits > 0 {
			c.credits--
			left := c.credits
			c.mu.Unlock()
			if left > 0 {
				c.wakeSender() // another sender may wait beside this one
			}
			return nil
		}
		c.mu.Unlock()
		select {
		case <-c.granted:
		case <-c.ctx.Done():
		}
	}
}

// grant adds credits.
func (c *call) grant(chunks uint32) {
	c.mu.Lock()
	c.credits += uint64(chunks)
	c.mu.Unlock()
	c.wakeSender()
}

func (c *call) wakeSender() {
	select {
	case c.granted <- struct{}{}:
	default:
	}
}

func (c *call) put(f frame) bool {
	f.callID = c.frame.GetId()
	return c.owner.out.put(&c.lane, f)
}
