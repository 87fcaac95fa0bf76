package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// namePattern is what apps and commands may be called: names appear in URLs,
// metric labels and log lines.
var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)

// CommandFunc runs one call of a command. Args is a JSON object of at most 64
// levels. The result is encoded with encoding/json; it may be a
// json.RawMessage. Functions run concurrently, each call on a goroutine of its
// own, and should return soon after ctx is done.
type CommandFunc func(ctx *Context, args json.RawMessage) (any, error)

// StreamFunc is a CommandFunc that sends chunks before its result. Send encodes
// the chunk and hands it over, in the order of the calls to it. It blocks while
// the reader is more than 64 chunks behind, and fails once ctx is done. It may
// be called from several goroutines, but not after the function has returned.
type StreamFunc func(ctx *Context, args json.RawMessage, send func(chunk any) error) (any, error)

// App is a named set of commands: what a worker can do. Its methods may be
// called from several goroutines; commands that are added once it is served are
// not seen.
type App struct {
	name string

	mu       sync.Mutex
	commands map[string]*command // guarded by mu
	problems []error             // guarded by mu
}

// New returns an app with one command, "ping", which echoes its arguments and
// which the app may replace. The name appears in logs and in what a host shows
// of the worker.
func New(name string) *App {
	a := &App{name: name, commands: make(map[string]*command)}
	if !namePattern.MatchString(name) {
		a.problem(fmt.Errorf("name app %q: must match %s", name, namePattern))
	}
	return a
}

// Command adds a command. Wrong and repeated names are reported by [App.Err] and
// by [Serve].
func (a *App) Command(name string, run CommandFunc, opts ...Option) {
	a.add(name, &command{
		run: func(ctx *Context, args json.RawMessage, _ func(any) error) (any, error) {
			return run(ctx, args)
		},
	}, run == nil, opts)
}

// Stream adds a command that sends chunks before its result. Problems are
// reported as by [App.Command].
func (a *App) Stream(name string, run StreamFunc, opts ...Option) {
	a.add(name, &command{
		run:  run,
		desc: workerv1.Command{Streaming: true},
	}, run == nil, opts)
}

// Err returns everything that was wrong in building the app, or nil. An app
// with an error cannot be served.
func (a *App) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.problems...)
}

func (a *App) add(name string, c *command, missing bool, opts []Option) {
	c.desc.Name = name
	c.desc.Cancellable = true
	for _, opt := range opts {
		opt(c)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !namePattern.MatchString(name):
		c.err = fmt.Errorf("must match %s", namePattern)
	case missing:
		c.err = errors.New("has no function")
	case a.commands[name] != nil:
		c.err = errors.New("was added before")
	}
	if c.err != nil {
		a.problems = append(a.problems, fmt.Errorf("add command %q: %w", name, c.err))
		return
	}
	a.commands[name] = c
}

func (a *App) problem(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problems = append(a.problems, err)
}

// snapshot returns the commands, "ping" included, by name.
func (a *App) snapshot() map[string]*command {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]*command, len(a.commands)+1)
	all[pingName] = ping()
	for name, c := range a.commands {
		all[name] = c
	}
	return all
}

// describe returns the descriptions of the commands in the order of their names.
func describe(commands map[string]*command) []*workerv1.Command {
	descs := make([]*workerv1.Command, 0, len(commands))
	for _, c := range commands {
		descs = append(descs, &c.desc)
	}
	slices.SortFunc(descs, func(x, y *workerv1.Command) int { return strings.Compare(x.GetName(), y.GetName()) })
	return descs
}
