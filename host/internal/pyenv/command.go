package pyenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// pipeGrace is how long the output of a program that has ended is waited for,
	// which something that it left behind may hold.
	pipeGrace = 2 * time.Second
	// keptOutput is how much of a program's output is kept, in bytes.
	keptOutput = 1 << 20
	// shownLines of a program's output go into an error.
	shownLines = 12
)

// credentials are the part of an address that must not get into a log.
var credentials = regexp.MustCompile(`(://)[^/@\s]+@`)

// commandError is a program that failed.
type commandError struct {
	err    error
	output string // the last lines
}

// command is a program to run to its end.
type command struct {
	path string
	args []string
	env  []string
	dir  string
	// lock is held as long as the program, or what it started, runs, even if this
	// process ends before.
	lock *fileLock
	// line gets each line of stderr. It may be nil.
	line func(string)
	log  hclog.Logger
}

// command is a program in a folder without a project, whose settings would count.
func (o *Options) command(env []string, path string, args ...string) command {
	return command{path: path, args: args, env: env, dir: o.Dir, log: o.Log}
}

// Error returns how the program ended, and what it said last.
func (e *commandError) Error() string {
	if e.output == "" {
		return e.err.Error()
	}
	return fmt.Sprintf("%v: %s", e.err, e.output)
}

// Unwrap returns how the program ended.
func (e *commandError) Unwrap() error { return e.err }

// run returns the program's stdout. An error that is not ctx's own is a
// *commandError. When ctx ends, the program and what it started are killed.
func (c command) run(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env, cmd.Dir = c.env, c.dir
	stdout, stderr := &lines{}, &lines{each: c.line}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeGrace
	c.log.Trace("running", "program", c.path)
	if c.lock != nil {
		cmd.ExtraFiles = []*os.File{c.lock.file}
	}
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended well; something that it left holds its output
	}
	if err == nil {
		return stdout.text.Bytes(), nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, &commandError{err: err, output: lastLines(stderr.text.String() + stdout.text.String())}
}

// lines keeps output, and passes on its lines.
type lines struct {
	each func(string)
	text bytes.Buffer
	part []byte
}

// Write never fails.
func (l *lines) Write(b []byte) (int, error) {
	if over := l.text.Len() + len(b) - keptOutput; over > 0 {
		l.text.Next(over)
	}
	l.text.Write(b)
	if l.each == nil {
		return len(b), nil
	}
	l.part = append(l.part, b...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.each(string(line))
		l.part = rest
	}
}

// output is what a program said that failed with err.
func output(err error) string {
	var failure *commandError
	if errors.As(err, &failure) {
		return failure.output
	}
	return ""
}

func lastLines(s string) string {
	all := strings.Split(strings.TrimSpace(credentials.ReplaceAllString(s, "$1")), "\n")
	if len(all) > shownLines {
		all = all[len(all)-shownLines:]
	}
	return strings.Join(all, "\n")
}
