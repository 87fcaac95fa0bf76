package main

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

// eventBuffer is how many events wait for the log.
const eventBuffer = 4096

// newLog makes the log of a host.
func (c *cli) newLog(cfg *config.Config, line *statusLine) hclog.Logger {
	asJSON := cfg.Host.LogFormat == "json" || cfg.Host.LogFormat == "auto" && !isTerminal(c.stderr)
	color := hclog.ColorOff
	if !asJSON && c.colored(c.stderr) {
		color = hclog.ForceColor
	}
	return hclog.New(&hclog.LoggerOptions{
		Name:       "dspex",
		Level:      hclog.LevelFromString(cfg.Host.LogLevel),
		Output:     line,
		JSONFormat: asJSON,
		Color:      color,
		// The colour of the level is enough.
		ColorHeaderOnly: color != hclog.ColorOff,
	})
}

// pythonProgress shows how a Python environment is made: on the status line of a
// terminal, else in the log.
func pythonProgress(line *statusLine, log hclog.Logger) func(phase, detail string, elapsed time.Duration) {
	return func(phase, detail string, elapsed time.Duration) {
		over := elapsed > 0
		if over {
			line.end()
			log.Info("python environment", "step", phase, "detail", detail, "elapsed", elapsed.Round(time.Millisecond).String())
			return
		}
		if !line.begin("python environment: " + phase + ", " + detail) {
			log.Info("python environment", "step", phase, "detail", detail)
		}
	}
}

// eventLog writes a host's events to its log, off the host's own goroutines.
type eventLog struct {
	log     hclog.Logger
	calls   bool // log events of calls too; immutable
	events  chan shared.Event
	dropped atomic.Int64
	done    chan struct{}
	once    sync.Once
	mu      sync.RWMutex
	closed  bool // guarded by mu
}

func newEventLog(log hclog.Logger) *eventLog {
	l := &eventLog{log: log, calls: log.IsDebug(), events: make(chan shared.Event, eventBuffer), done: make(chan struct{})}
	go l.run()
	return l
}

// take takes an event, without waiting: one that finds no room is counted as
// dropped.
func (l *eventLog) take(e shared.Event) {
	level := eventLevel(e.Kind)
	if level == hclog.Debug && !l.calls {
		return
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return
	}
	select {
	case l.events <- e:
	default:
		l.dropped.Add(1)
	}
}

// close writes what has come and ends.
func (l *eventLog) close() {
	l.once.Do(func() {
		l.mu.Lock()
		l.closed = true
		close(l.events)
		l.mu.Unlock()
	})
	<-l.done
}

func (l *eventLog) run() {
	defer close(l.done)
	for e := range l.events {
		if n := l.dropped.Swap(0); n > 0 {
			l.log.Warn("events not logged: the log is too slow", "events", n)
		}
		l.log.Log(eventLevel(e.Kind), strings.ReplaceAll(string(e.Kind), ".", " "), eventFields(e)...)
	}
}

// eventLevel says how loud an event is. What the host logs itself, with more to
// say, is only for debugging.
func eventLevel(kind shared.EventKind) hclog.Level {
	switch kind {
	case shared.WorkerLostKind:
		return hclog.Warn
	case shared.WorkerReady, shared.WorkerStopped, shared.PoolReady, shared.PoolStopped:
		return hclog.Info
	}
	return hclog.Debug
}

// eventFields are the fields of an event that apply.
func eventFields(e shared.Event) []any {
	var fields []any
	add := func(name string, value any, applies bool) {
		if applies {
			fields = append(fields, name, value)
		}
	}
	add("pool", e.Pool, e.Pool != "")
	add("worker", e.Worker, e.Worker != "")
	add("generation", e.Generation, e.Generation != 0)
	add("pid", e.PID, e.PID != 0)
	add("call", e.Call, e.Call != 0)
	add("command", e.Command, e.Command != "")
	add("session", e.Session, e.Session != "")
	add("program", e.Program, e.Program != "")
	add("reason", e.Reason, e.Reason != "")
	add("queue_time", e.QueueTime.Round(time.Microsecond).String(), e.QueueTime != 0)
	add("run_time", e.RunTime.Round(time.Microsecond).String(), e.RunTime != 0)
	return fields
}
