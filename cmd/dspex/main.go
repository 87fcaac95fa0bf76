// Command dspex runs pools of workers and talks to a host that runs them.
//
// Every command is in a file of its own name. What they share: cli.go (streams
// and settings), failure.go (errors and exit codes), output.go and table.go
// (what is printed), view*.go (the JSON forms), arguments.go (k=v on the command
// line), connect.go (the way to a host), configflags.go (the way to a
// configuration).
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), newCLI(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv), os.Args[1:]))
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, c *cli, args []string) int {
	root := newRoot(c)
	root.SetArgs(gnuFlags(args))
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return c.fail(cmd, err)
}

// gnuFlags lets validate and fmt be called as HashiCorp's tools are, with one
// dash before a long flag.
func gnuFlags(args []string) []string {
	if len(args) == 0 || args[0] != "validate" && args[0] != "fmt" {
		return args
	}
	out := append([]string{}, args...)
	for i, a := range out {
		if a == "--" {
			break
		}
		switch a {
		case "-json", "-no-fs", "-check", "-diff", "-strict", "-var", "-var-file":
			out[i] = "-" + a
		}
	}
	return out
}
