package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// pingName is the command that every worker has.
const pingName = "ping"

// Option describes a command further.
type Option func(*command)

// command is one function that the worker offers.
type command struct {
	run  StreamFunc
	desc workerv1.Command
	// err is why the command cannot be added.
	err error
}

// pingReply is the result of the built-in ping, in the order that people read.
type pingReply struct {
	Pong   bool            `json:"pong"`
	Args   json.RawMessage `json:"args"`
	Worker string          `json:"worker"`
	PID    int             `json:"pid"`
}

// Doc says what the command does. The first line stands in lists. Defaults to no
// text.
func Doc(text string) Option {
	return func(c *command) { c.desc.Doc = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD") }
}

// Idempotent says that running the command twice does the same as running it
// once. The host then runs a call again, on another worker, when its worker was
// lost before it answered.
func Idempotent() Option {
	return func(c *command) { c.desc.Idempotent = true }
}

// Uncancellable says that the command goes on although its context is done. The
// host then knows that a cancel ends only the wait for the answer. Without it a
// command is taken to watch its context and to return soon after it is done.
func Uncancellable() Option {
	return func(c *command) { c.desc.Cancellable = false }
}

// Schema gives the JSON Schemas of the arguments object and of the result; nil
// leaves one as it is. They are for the readers of the description: the worker
// does not check calls against them. Typed commands derive theirs.
func Schema(args, result []byte) Option {
	return func(c *command) {
		if err := setSchema(&c.desc.ArgsSchema, args); err != nil {
			c.err = fmt.Errorf("read arguments schema: %w", err)
		}
		if err := setSchema(&c.desc.ResultSchema, result); err != nil {
			c.err = fmt.Errorf("read result schema: %w", err)
		}
	}
}

func setSchema(field *[]byte, schema []byte) error {
	if schema == nil {
		return nil
	}
	if err := checkJSON(schema); err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, schema); err != nil {
		return err
	}
	*field = compact.Bytes()
	return nil
}

func ping() *command {
	return &command{
		run: func(ctx *Context, args json.RawMessage, _ func(any) error) (any, error) {
			return pingReply{Pong: true, Args: args, Worker: ctx.WorkerID(), PID: os.Getpid()}, nil
		},
		desc: workerv1.Command{
			Name:        pingName,
			Doc:         "Answer with the arguments, the worker and its process ID.",
			Idempotent:  true,
			Cancellable: true,
		},
	}
}
