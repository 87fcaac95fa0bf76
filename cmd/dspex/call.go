package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// streamLine is one event of a streamed call in JSON: chunk, progress or result.
type streamLine struct {
	Event shared.StreamKind `json:"event"`
	Data  any               `json:"data"`
}

func newCall(c *cli) *cobra.Command {
	var (
		req    shared.CallRequest
		stream bool
	)
	cmd := &cobra.Command{
		Use:   "call POOL COMMAND [ARGUMENT]...",
		Short: "Run a command in a pool",
		Long: `Run a command in a pool and print its result, which is JSON: indented on a
terminal, else on one line. Ctrl-C cancels the call in the host.

` + argumentsHelp + `
With --stream each chunk is printed as it comes, on a line of its own, and then
the result; progress goes to standard error. With --json all of them are printed
as {"event": "chunk" | "progress" | "result", "data": ...}, a line each.

A session that does not exist is created.`,
		Example: `  dspex call qa ping x=1
  dspex call qa analyze data:='[1, 2, 3]' --timeout 60s
  dspex call qa execute_program @request.json --session user-1
  echo '{"text": "hello"}' | dspex call qa embed -
  dspex call qa generate topic=rain --stream`,
		Args: atLeast("pool", "command"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			req.Pool, req.Command = args[0], args[1]
			if req.Args, err = c.parseObject(args[2:]); err != nil {
				return err
			}
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				if stream {
					return c.streamCall(ctx, host, req)
				}
				result, err := host.Call(ctx, req)
				if err != nil {
					return err
				}
				return c.showResult(viewCall(result), result.Result)
			})
		},
		ValidArgsFunction: c.completeCall,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Session, "session", "", "session that the call belongs to")
	flags.BoolVar(&req.SessionData, "session-data", false, "give the command the session's data as session_data")
	flags.BoolVar(&req.Idempotent, "idempotent", false, "run the call again on another worker if its own is lost")
	flags.BoolVar(&stream, "stream", false, "print chunks as they come")
	timeoutFlag(cmd, &req.Timeout, "timeout", `time for the whole call, such as "90s" (default the pool's execution_timeout)`)
	c.addTraceback(cmd)
	c.addClient(cmd)
	return cmd
}

// addTraceback gives a command the flag that shows where an exception comes from.
func (c *cli) addTraceback(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.traceback, "traceback", false, "show the stack of an exception")
	cmd.PreRun = func(*cobra.Command, []string) { c.canTraceback = true }
}

// showResult prints what a worker answered: by itself, or with worker and times.
func (c *cli) showResult(view any, result json.RawMessage) error {
	if c.output == formatTable {
		return writeRaw(c.stdout, isTerminal(c.stdout), result)
	}
	return writeJSON(c.stdout, c.output == formatJSON && isTerminal(c.stdout), view)
}

// streamCall prints the events of a call as they come.
func (c *cli) streamCall(ctx context.Context, host *client.Client, req shared.CallRequest) error {
	lines := c.output != formatTable
	result, err := host.CallStream(ctx, req, func(e shared.StreamEvent) error {
		switch {
		case lines:
			return writeJSON(c.stdout, false, streamLine{e.Kind, orNull(e.Data)})
		case e.Kind == shared.StreamProgress:
			return writeRaw(c.stderr, false, e.Data)
		}
		return writeRaw(c.stdout, false, e.Data)
	})
	if err != nil {
		return err
	}
	if lines {
		return writeJSON(c.stdout, false, streamLine{"result", viewCall(result)})
	}
	return writeRaw(c.stdout, false, result.Result)
}

// newRun is program run, for every day.
func newRun(c *cli) *cobra.Command {
	cmd := newProgramRun(c)
	cmd.Short = "Run a program (short for program run)"
	cmd.Example = runExamples("dspex run")
	return cmd
}

func newProgramRun(c *cli) *cobra.Command {
	var req shared.RunRequest
	cmd := &cobra.Command{
		Use:   "run PROGRAM [ARGUMENT]...",
		Short: "Run a program",
		Long: `Run a stored program and print its outputs, which are a JSON object: indented on a
terminal, else on one line. Ctrl-C cancels the run in the host.

The program of the session is found before a global one of the same name.

` + argumentsHelp,
		Example: runExamples("dspex program run"),
		Args:    atLeast("program"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			req.Name = args[0]
			if req.Inputs, err = c.parseObject(args[1:]); err != nil {
				return err
			}
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				result, err := host.RunProgram(ctx, req)
				if err != nil {
					return err
				}
				return c.showResult(viewRun(result), result.Outputs)
			})
		},
		ValidArgsFunction: c.completePrograms,
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Session, "session", "", "session whose programs are searched first")
	flags.StringVar(&req.Pool, "pool", "", "pool to run in (default the program's own)")
	timeoutFlag(cmd, &req.Timeout, "timeout", `time for the whole run, such as "90s" (default the pool's execution_timeout)`)
	c.addTraceback(cmd)
	c.addClient(cmd)
	return cmd
}

func runExamples(command string) string {
	return fmt.Sprintf(`  %[1]s capital question="What is the capital of France?"
  %[1]s qa_program --session user-1 question="What is DSPy?" --timeout 2m
  %[1]s extract text=@article.txt --json`, command)
}

// expiry says how long a session lives on.
func expiry(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return age(time.Until(at))
}
