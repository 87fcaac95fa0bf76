package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// maxText is the most bytes of a message or a traceback that cross.
const maxText = 16 << 10

// Faults of a command's function that are not errors it returned.
var (
	errGoexit = &shared.Error{
		Reason:  shared.PythonException,
		Message: "command ended its goroutine",
		Hint:    "return from the command: runtime.Goexit and testing's FailNow do not",
		Remote:  &shared.RemoteError{Type: "goexit", Message: "command ended its goroutine"},
	}
	errEnded = errors.New("send chunk: the call has ended")
)

// wrappers are the types of the standard library that only add text to the
// errors in them. They say nothing about what went wrong.
var wrappers = map[string]bool{
	"fmt.wrapError":    true,
	"fmt.wrapErrors":   true,
	"errors.joinError": true,
}

// failureOf makes the frame of an error that a command ended with. An error of
// the table keeps its reason; any other is an exception of the command's code.
func failureOf(err error) *workerv1.Failure {
	f := &workerv1.Failure{
		Reason:  string(shared.PythonException),
		Message: clip(fmt.Sprint(err)),
	}
	var e *shared.Error
	if !errors.As(err, &e) {
		f.Type = clip(typeName(err))
		return f
	}
	if e.Reason != "" {
		f.Reason = clip(string(e.Reason))
	}
	f.Hint = clip(e.Hint)
	if e.Remote != nil {
		f.Type = clip(e.Remote.Type)
		f.Traceback = clip(e.Remote.Traceback)
	}
	return f
}

// panicked makes the error of a recovered panic.
func panicked(value any, stack []byte) error {
	message := fmt.Sprint(value)
	return &shared.Error{
		Reason:  shared.PythonException,
		Message: message,
		Remote:  &shared.RemoteError{Type: "panic", Message: message, Traceback: string(trimStack(stack))},
	}
}

// trimStack cuts the frames of the recovery out of a stack, so that it begins
// where the panic was raised.
func trimStack(stack []byte) []byte {
	header, rest, ok := bytes.Cut(stack, []byte("\n"))
	if !ok {
		return stack
	}
	_, frames, ok := bytes.Cut(rest, []byte("\npanic("))
	if !ok {
		return stack
	}
	// The frame of panic has a second line, with its place in the source.
	for range 2 {
		if _, frames, ok = bytes.Cut(frames, []byte("\n")); !ok {
			return stack
		}
	}
	return slices.Concat(header, []byte("\n"), frames)
}

// typeName is the Go type of the error that is to blame, such as "fs.PathError".
func typeName(err error) string {
	for {
		name := strings.TrimPrefix(reflect.TypeOf(err).String(), "*")
		if !wrappers[name] {
			return name
		}
		switch w := err.(type) {
		case interface{ Unwrap() error }:
			err = w.Unwrap()
		case interface{ Unwrap() []error }:
			err = first(w.Unwrap())
		}
		if err == nil {
			return name
		}
	}
}

func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

func isShared(err error) bool {
	var e *shared.Error
	return errors.As(err, &e)
}

// clip makes text fit for a proto string: valid UTF-8, without which the whole
// message could not be sent, and of bounded length.
func clip(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
