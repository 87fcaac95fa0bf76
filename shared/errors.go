package shared

import (
	"errors"
	"fmt"
	"time"
)

// MayHaveRun says whether a call that failed may have had an effect.
type MayHaveRun string

const (
	// RunNo: the call never reached a worker's code. It is safe to repeat.
	RunNo MayHaveRun = "no"
	// RunMaybe: the call was handed to a worker and no answer came back.
	RunMaybe MayHaveRun = "maybe"
	// RunYes: the worker answered, with an error.
	RunYes MayHaveRun = "yes"
)

// Error is a failure that crosses a process boundary. It is immutable.
type Error struct {
	// Reason is the entry of the error table; it decides gRPC code, HTTP
	// status and exit code.
	Reason Reason
	// Message says what happened, naming the item.
	Message string
	// Hint says what to do about it; empty if there is nothing to add.
	Hint string
	// MayHaveRun answers whether the call may have had an effect. Empty for
	// errors that are not about a call; treated as RunNo.
	MayHaveRun MayHaveRun
	// RetryAfter is how long to wait before the next try; 0 if unknown.
	RetryAfter time.Duration
	// Remote is the exception of the worker's code behind the error, if any.
	Remote *RemoteError
	// Cause is the error behind this one. It stays in its process.
	Cause error
}

// RemoteError is an exception that a worker's own code raised.
type RemoteError struct {
	// Type is the name of the exception's class, such as "ValueError".
	Type string `json:"type"`
	// Message is the exception's text.
	Message string `json:"message"`
	// Traceback is the formatted stack, at most 16 KiB; empty if withheld.
	Traceback string `json:"traceback,omitempty"`
}

// Errorf makes an Error of a reason. A %w in format becomes its Cause.
func Errorf(reason Reason, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Reason: reason, Message: err.Error(), Cause: errors.Unwrap(err), MayHaveRun: RunNo}
}

// AsError returns err as an *Error: the one in its chain, else an Internal one
// that wraps it. AsError(nil) is nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Reason: Internal, Message: err.Error(), Cause: err, MayHaveRun: RunMaybe}
}

// WithHint returns a copy of e with a hint.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithRun returns a copy of e with another MayHaveRun.
func (e *Error) WithRun(run MayHaveRun) *Error {
	c := *e
	c.MayHaveRun = run
	return &c
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Reason)
	}
	return e.Message
}

// Is reports whether target is an *Error of the same reason without a message:
// one of the sentinels.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Reason == e.Reason
}

// Unwrap gives the remote exception and the cause to errors.As and errors.Is.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.Remote != nil {
		errs = append(errs, e.Remote)
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

// Retryable reports whether the same call may succeed later without a change.
func (e *Error) Retryable() bool { return e.Reason.spec().retryable }

// Error returns type and message.
func (e *RemoteError) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}
