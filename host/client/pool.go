package client

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/dspex/dspex/shared"
)

// Pool calls commands of one pool. It is made by [Client.Pool], and safe for
// concurrent use.
type Pool struct {
	client *Client
	name   string
}

// CallOption is a setting of one call.
type CallOption func(*call)

type call struct {
	req    shared.CallRequest
	result *shared.CallResult
}

// Session makes the call belong to a session, which is created if it does not
// exist.
func Session(id string) CallOption { return func(c *call) { c.req.Session = id } }

// SessionData gives the command the session's data as args.session_data.
func SessionData() CallOption { return func(c *call) { c.req.SessionData = true } }

// Timeout bounds the whole call, queue wait included. The default is the pool's
// execution_timeout.
func Timeout(d time.Duration) CallOption { return func(c *call) { c.req.Timeout = d } }

// Idempotent says that running the call twice does no harm, so that it is run again
// if its worker is lost.
func Idempotent() CallOption { return func(c *call) { c.req.Idempotent = true } }

// Traceparent passes on a W3C trace context.
func Traceparent(value string) CallOption { return func(c *call) { c.req.Traceparent = value } }

// StoreResult stores the result of a call that succeeded, for [Pool.Stream] and
// [CallAs], which do not return it whole.
func StoreResult(to *shared.CallResult) CallOption { return func(c *call) { c.result = to } }

// Pool returns a pool by its name. Whether the host has it shows in the first
// call.
func (c *Client) Pool(name string) *Pool { return &Pool{client: c, name: name} }

// Name returns the name of the pool.
func (p *Pool) Name() string { return p.name }

// Call runs a command. Args is anything that encodes to a JSON object, or nil;
// a json.RawMessage is sent as it is.
func (p *Pool) Call(ctx context.Context, command string, args any, opts ...CallOption) (*shared.CallResult, error) {
	c, err := p.call(command, args, opts)
	if err != nil {
		return nil, err
	}
	result, err := p.client.Call(ctx, c.req)
	if err != nil {
		return nil, err
	}
	if c.result != nil {
		*c.result = *result
	}
	return result, nil
}

// Stream runs a streaming command when it is ranged over, and yields its events in
// order. The last pair has an error if the call failed. To leave the loop cancels
// the call.
func (p *Pool) Stream(ctx context.Context, command string, args any, opts ...CallOption) iter.Seq2[shared.StreamEvent, error] {
	return func(yield func(shared.StreamEvent, error) bool) {
		c, err := p.call(command, args, opts)
		if err != nil {
			yield(shared.StreamEvent{}, err)
			return
		}
		left := errors.New("the loop was left")
		result, err := p.client.CallStream(ctx, c.req, func(event shared.StreamEvent) error {
			if !yield(event, nil) {
				return left
			}
			return nil
		})
		switch {
		case err == left: // yield must not be called again
		case err != nil:
			yield(shared.StreamEvent{}, err)
		case c.result != nil:
			*c.result = *result
		}
	}
}

// CallAs runs a command and decodes its result into a T.
func CallAs[T any](ctx context.Context, p *Pool, command string, args any, opts ...CallOption) (T, error) {
	var value T
	result, err := p.Call(ctx, command, args, opts...)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(result.Result, &value); err != nil {
		return value, shared.Errorf(shared.ResultInvalid, "decode result of %s.%s: %w", p.name, command, err).WithRun(shared.RunYes)
	}
	return value, nil
}

func (p *Pool) call(command string, args any, opts []CallOption) (call, error) {
	c := call{req: shared.CallRequest{Pool: p.name, Command: command}}
	switch args := args.(type) {
	case nil:
	case json.RawMessage:
		c.req.Args = args
	default:
		raw, err := json.Marshal(args)
		if err != nil {
			return c, shared.Errorf(shared.InvalidArgument, "encode args of %s.%s: %w", p.name, command, err)
		}
		c.req.Args = raw
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c, nil
}
