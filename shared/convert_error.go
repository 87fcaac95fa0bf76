package shared

import (
	"strings"

	"google.golang.org/grpc/codes"

	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// codeNames are the names of the gRPC codes as the protocol spells them.
var codeNames = [...]string{
	codes.OK:                 "OK",
	codes.Canceled:           "CANCELLED",
	codes.Unknown:            "UNKNOWN",
	codes.InvalidArgument:    "INVALID_ARGUMENT",
	codes.DeadlineExceeded:   "DEADLINE_EXCEEDED",
	codes.NotFound:           "NOT_FOUND",
	codes.AlreadyExists:      "ALREADY_EXISTS",
	codes.PermissionDenied:   "PERMISSION_DENIED",
	codes.ResourceExhausted:  "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION",
	codes.Aborted:            "ABORTED",
	codes.OutOfRange:         "OUT_OF_RANGE",
	codes.Unimplemented:      "UNIMPLEMENTED",
	codes.Internal:           "INTERNAL",
	codes.Unavailable:        "UNAVAILABLE",
	codes.DataLoss:           "DATA_LOSS",
	codes.Unauthenticated:    "UNAUTHENTICATED",
}

// CodeName is the name of the reason's gRPC code in capitals, such as
// "NOT_FOUND".
func (r Reason) CodeName() string { return codeNames[r.Code()] }

// ToProto returns e as the message that travels with an error, without its Cause.
// Bytes that are no UTF-8 become U+FFFD: text from a worker's exception must not
// be able to make its error unsendable.
func (e *Error) ToProto() *apiv1.ErrorDetail {
	d := &apiv1.ErrorDetail{
		Reason:     validText(string(e.Reason)),
		Message:    validText(e.Message),
		Hint:       validText(e.Hint),
		Retryable:  e.Retryable(),
		MayHaveRun: string(e.MayHaveRun),
		RetryAfter: durationToProto(e.RetryAfter),
	}
	if e.Remote != nil {
		d.Remote = &apiv1.RemoteError{
			Type:      validText(e.Remote.Type),
			Message:   validText(e.Remote.Message),
			Traceback: validText(e.Remote.Traceback),
		}
	}
	return d
}

// ErrorFromProto is the inverse of Error.ToProto.
func ErrorFromProto(p *apiv1.ErrorDetail) *Error {
	e := &Error{
		Reason:     Reason(p.GetReason()),
		Message:    p.GetMessage(),
		Hint:       p.GetHint(),
		MayHaveRun: MayHaveRun(p.GetMayHaveRun()),
		RetryAfter: p.GetRetryAfter().AsDuration(),
	}
	if r := p.GetRemote(); r != nil {
		e.Remote = &RemoteError{Type: r.GetType(), Message: r.GetMessage(), Traceback: r.GetTraceback()}
	}
	return e
}

func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
