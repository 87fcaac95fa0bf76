package main

import "github.com/spf13/cobra"

// topics are pages of help that belong to no command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		{
			Use:   "exit-codes",
			Short: "What the exit codes mean",
			Long: `Exit codes of all commands:

    0  it worked
    1  it failed: an error of the host, a worker or its code
    2  the command line, its arguments or a configuration is wrong
    3  the host cannot be reached
    4  it is forbidden
    5  there is no such pool, command, worker, session or program
    6  the time for it was over
    7  the host is overloaded: try again later
  130  it was interrupted

Errors are two lines on standard error: "error:" says what happened, "hint:" what
to do. With --json they are one line: {"error": {"code", "reason", "message",
"hint", "retryable", "may_have_run", "remote", "retry_after_ms"}}, where
may_have_run says whether a call may have had an effect: no, maybe or yes.`,
		},
		{
			Use:   "environment",
			Short: "Which environment variables count",
			Long: `Environment variables:

  DSPEX_ADDR        host that commands talk to: unix:///path/api.sock or host:port;
                    for serve, where it listens
  DSPEX_RUN_DIR     folder of sockets; commands look for a host's socket there
  DSPEX_DATA_DIR    for serve: folder of the store, wins over host.data_dir
  DSPEX_PYTHON_DIR  for serve: folder of Python environments
  DSPEX_VAR_name    value of a variable in a configuration
  NO_COLOR          no colours; CLICOLOR_FORCE=1 colours also without a terminal`,
		},
		{
			Use:   "output",
			Short: "What commands print",
			Long: `Output of commands that show something:

  -o table   aligned columns, for people (the default)
  -o json    one JSON value: that of the HTTP API for the same thing (also --json)
  -o jsonl   one JSON value a line; a list is a line for each element

Names and types of members are a contract: members are added, never renamed or
removed. Times are RFC 3339, members that end in _ms are milliseconds, those that
end in _bytes are bytes. Lists are in "pools", "workers", "sessions" or
"programs". call and run print the bare result without --json; with it, result
(or outputs and revision), worker, queue_ms and run_ms.`,
		},
	}
}
