package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// tailLines of a child's output are kept for a failure.
	tailLines = 40
	// pipeDelay is how long a child's output may be held open after its end.
	pipeDelay = 5 * time.Second
)

// leftover is a process that should not be there any more.
type leftover struct {
	pid     int
	command string
}

// String names the process.
func (p leftover) String() string {
	return fmt.Sprintf("%d (%s)", p.pid, oneLine(clip(p.command, 120)))
}

// child is a process of this same program.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // immutable after done

	mu   sync.Mutex
	tail []string     // guarded by mu
	pids map[int]bool // guarded by mu; worker processes that its log has named
}

// startChild runs dspex with arguments, in a process group of its own, so that
// Ctrl-C reaches the demo only. Each line of its output goes to line.
func startChild(env []string, line func(string), args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	c := &child{cmd: exec.Command(self, args...), done: make(chan struct{}), pids: make(map[int]bool)}
	output := &lines{take: func(s string) {
		c.keep(s)
		line(s)
	}}
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = env, output, output
	c.cmd.SysProcAttr = childAttr()
	c.cmd.WaitDelay = pipeDelay
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start dspex %s: %w", args[0], err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// stop asks the child to end and waits; when the time is over it kills it. It may
// be called more than once.
func (c *child) stop(patience time.Duration) error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.err
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.done
		return fmt.Errorf("it did not end within %s", ttl(patience))
	}
}

// ended says how the child ended. It waits for that.
func (c *child) ended() error {
	<-c.done
	if c.err == nil {
		return errors.New("exit status 0")
	}
	return c.err
}

// seen counts the worker processes that the child's log has named.
func (c *child) seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pids)
}

// keep remembers a line of output.
func (c *child) keep(line string) {
	entry, isLog := parseLog(line)
	c.mu.Lock()
	defer c.mu.Unlock()
	if isLog {
		line = entry.String()
		if pid, ok := entry.fields["pid"].(float64); ok && entry.message == "worker ready" {
			c.pids[int(pid)] = true
		}
	}
	c.tail = append(c.tail, line)
	c.tail = c.tail[max(0, len(c.tail)-tailLines):]
}

// writeTail prints the last lines of output.
func (c *child) writeTail(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.tail {
		fmt.Fprintln(w, indent(printable(line)))
	}
}

// lines cuts what is written to it into lines. It is used by one goroutine.
type lines struct {
	take func(string)
	rest []byte
}

// Write takes output of any length.
func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		l.take(strings.TrimRight(string(line), "\r"))
		l.rest = rest
	}
}

// logEntry is a line of a JSON log.
type logEntry struct {
	level, module, message string
	fields                 map[string]any
}

func parseLog(line string) (logEntry, bool) {
	var fields map[string]any
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &fields) != nil {
		return logEntry{}, false
	}
	e := logEntry{fields: fields}
	for name, to := range map[string]*string{"@level": &e.level, "@module": &e.module, "@message": &e.message} {
		*to, _ = fields[name].(string)
		delete(fields, name)
	}
	delete(fields, "@timestamp")
	return e, e.message != ""
}

// text returns a field that is text.
func (e logEntry) text(name string) string {
	s, _ := e.fields[name].(string)
	return s
}

// String writes the entry for people.
func (e logEntry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s: %s", strings.ToUpper(e.level), e.module, e.message)
	for _, name := range slices.Sorted(maps.Keys(e.fields)) {
		if v := fmt.Sprint(e.fields[name]); v != "" {
			fmt.Fprintf(&b, " %s=%s", name, v)
		}
	}
	return b.String()
}
