package client

import (
	"context"
	"errors"
	"net"
	"net/url"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// What a request that got lost may have done.
const (
	effect   = shared.RunMaybe
	noEffect = shared.RunNo
)

// wrap turns the error of a request into the one that the host gave, or into one
// of our own if no answer of the host is behind it.
func (c *Client) wrap(what string, lost shared.MayHaveRun, err error) error {
	rpc := new(connect.Error)
	if errors.As(err, &rpc) {
		for _, d := range rpc.Details() {
			value, err := d.Value()
			if err != nil {
				continue
			}
			if detail, ok := value.(*apiv1.ErrorDetail); ok {
				return shared.ErrorFromProto(detail)
			}
		}
		if connect.IsWireError(err) {
			return &shared.Error{Reason: reasonOf(rpc.Code()), Message: what + ": " + rpc.Message(), MayHaveRun: lost, Cause: err}
		}
	}
	local := &shared.Error{Cause: err, MayHaveRun: lost}
	switch {
	case errors.Is(err, context.Canceled):
		local.Reason, local.Message = shared.Canceled, what+": cancelled"
	case errors.Is(err, context.DeadlineExceeded) || rpc.Code() == connect.CodeDeadlineExceeded:
		local.Reason, local.Message = shared.ExecutionTimeout, what+": the deadline of the context has passed"
		if lost == noEffect {
			local.Reason = shared.DeadlineExceeded
		}
	case rpc.Code() == connect.CodeUnimplemented:
		local.Reason, local.MayHaveRun = shared.Unsupported, shared.RunNo
		local.Message = what + ": " + c.addr + " does not offer this: " + rpc.Message()
		local.Hint = "is it a dspex host, and not older than this client?"
	case rpc.Code() == connect.CodeResourceExhausted:
		local.Reason, local.Message = shared.ResultTooLarge, what+": "+rpc.Message()
		if lost == effect {
			local.MayHaveRun = shared.RunYes // this is the answer, only too long
		}
	case rpc.Code() == connect.CodeInvalidArgument:
		local.Reason, local.Message = shared.InvalidArgument, what+": "+rpc.Message()
	default:
		c.unreachable(local, what, err)
	}
	return local
}

// unreachable completes the error of a connection that could not be made, in which
// case nothing was sent, or that broke.
func (c *Client) unreachable(e *shared.Error, what string, err error) {
	e.Reason = shared.Unavailable
	cause := err
	if u := new(url.Error); errors.As(err, &u) {
		cause = u.Err
	}
	if op := new(net.OpError); errors.As(err, &op) && op.Op == "dial" {
		e.MayHaveRun = shared.RunNo
		e.Message = "reach host at " + c.addr + ": " + op.Err.Error()
		e.Hint = `start it with "dspex serve", or set DSPEX_ADDR to its address`
		return
	}
	e.Message = what + ": the connection to the host at " + c.addr + " failed: " + cause.Error()
	e.Hint = "see whether the host still runs"
}

// reasonOf is for errors of a host, or of a proxy before it, that have no detail.
func reasonOf(code connect.Code) shared.Reason {
	switch code {
	case connect.CodeCanceled:
		return shared.Canceled
	case connect.CodeInvalidArgument, connect.CodeOutOfRange:
		return shared.InvalidArgument
	case connect.CodeDeadlineExceeded:
		return shared.ExecutionTimeout
	case connect.CodePermissionDenied, connect.CodeUnauthenticated:
		return shared.Forbidden
	case connect.CodeResourceExhausted:
		return shared.QueueFull
	case connect.CodeUnimplemented:
		return shared.Unsupported
	case connect.CodeUnavailable:
		return shared.Unavailable
	default:
		return shared.Internal
	}
}
