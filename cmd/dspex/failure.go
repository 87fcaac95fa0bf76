package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/shared"
)

// exit is an error that has been printed already, or needs no text: only its code
// counts.
type exit int

// Error serves the error interface; it is not printed.
func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a mistake in the command line itself.
type usageError struct {
	message string
	hint    string
}

// Error returns the message.
func (e *usageError) Error() string { return e.message }

// usagef makes a usage error. Its hint is the command's help.
func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// fail prints what went wrong, if anything did, and returns the exit code.
func (c *cli) fail(cmd *cobra.Command, err error) int {
	if err == nil {
		return shared.ExitOK
	}
	var code exit
	if errors.As(err, &code) {
		return int(code)
	}
	e := c.asError(cmd, err)
	if c.output == formatTable {
		c.writeError(e)
	} else {
		_ = writeJSON(c.stderr, false, map[string]errorView{"error": viewError(e)})
	}
	return e.Reason.ExitCode()
}

// asError gives each error of a command the one form: what happened and what to
// do.
func (c *cli) asError(cmd *cobra.Command, err error) *shared.Error {
	var known *shared.Error
	if errors.As(err, &known) {
		if context := strings.TrimSuffix(err.Error(), known.Error()); context != err.Error() && context != "" {
			e := *known
			e.Message = err.Error() // with what the command was doing
			return &e
		}
		return known
	}
	var usage *usageError
	if errors.As(err, &usage) {
		e := shared.Errorf(shared.InvalidArgument, "%s", usage.message)
		e.Hint = usage.hint
		if e.Hint == "" {
			e.Hint = cmd.CommandPath() + " --help"
		}
		return e
	}
	if errors.Is(err, context.Canceled) {
		return shared.Errorf(shared.Canceled, "interrupted")
	}
	return shared.AsError(err)
}

// writeError prints one line of what happened and one of what to do.
func (c *cli) writeError(e *shared.Error) {
	paint := painter(c.colored(c.stderr))
	// What stands on further lines, such as a traceback, is set off.
	what, more, several := strings.Cut(strings.TrimRight(e.Error(), "\n"), "\n")
	fmt.Fprintf(c.stderr, "%s %s\n", paint(red, "error:"), oneLine(what))
	if several {
		fmt.Fprintln(c.stderr, indent(printable(more)))
	}
	if c.traceback && e.Remote != nil && e.Remote.Traceback != "" {
		fmt.Fprintln(c.stderr, indent(printable(strings.TrimRight(e.Remote.Traceback, "\n"))))
	}
	hint := e.Hint
	if hint == "" && e.Remote != nil && e.Remote.Traceback != "" && !c.traceback && c.canTraceback {
		hint = "see where in Python with --traceback"
	}
	if hint != "" {
		fmt.Fprintf(c.stderr, "%s %s\n", paint(yellow, "hint:"), oneLine(hint))
	}
}

// errorView is the JSON form of an error; it is that of the HTTP API.
type errorView struct {
	Code         string              `json:"code"`
	Reason       string              `json:"reason"`
	Message      string              `json:"message"`
	Hint         string              `json:"hint"`
	Retryable    bool                `json:"retryable"`
	MayHaveRun   shared.MayHaveRun   `json:"may_have_run"`
	Remote       *shared.RemoteError `json:"remote,omitempty"`
	RetryAfterMS *millis             `json:"retry_after_ms,omitempty"`
}

func viewError(e *shared.Error) errorView {
	v := errorView{
		Code:       e.Reason.CodeName(),
		Reason:     string(e.Reason),
		Message:    e.Error(),
		Hint:       e.Hint,
		Retryable:  e.Retryable(),
		MayHaveRun: e.MayHaveRun,
		Remote:     e.Remote,
	}
	if v.MayHaveRun == "" {
		v.MayHaveRun = shared.RunNo
	}
	if e.RetryAfter > 0 {
		ms := millis(e.RetryAfter)
		v.RetryAfterMS = &ms
	}
	return v
}
