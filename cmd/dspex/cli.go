package main

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// Values of --color.
const (
	colorAuto   = "auto"
	colorAlways = "always"
	colorNever  = "never"
)

// cli is what all commands share: the streams, the environment, and the flags
// that are the same everywhere.
type cli struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) (string, bool)
	// environ lists the environment, for child processes.
	environ func() []string

	// Set by flags, before a command runs.
	addr   string
	output string
	color  string
	// traceback asks for the stack of an exception; canTraceback says that the
	// command has a flag for it.
	traceback    bool
	canTraceback bool
}

func newCLI(stdin io.Reader, stdout, stderr io.Writer, getenv func(string) (string, bool)) *cli {
	return &cli{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv, environ: os.Environ, output: formatTable, color: colorAuto}
}

// env returns a variable of the environment, or nothing.
func (c *cli) env(name string) string {
	v, _ := c.getenv(name)
	return v
}

// colored reports whether a stream takes colours: on a terminal, unless the
// environment or --color says otherwise.
func (c *cli) colored(stream any) bool {
	switch c.color {
	case colorAlways:
		return true
	case colorNever:
		return false
	}
	if force := c.env("CLICOLOR_FORCE"); force != "" && force != "0" {
		return true
	}
	if c.env("NO_COLOR") != "" || c.env("TERM") == "dumb" || c.env("CLICOLOR") == "0" {
		return false
	}
	return isTerminal(stream)
}

// isTerminal reports whether a stream is one that people read at once.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
