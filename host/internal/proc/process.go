package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// pipeGrace is how long the output of an exited process is waited for when
// something else, such as a grandchild, still holds its pipes.
const pipeGrace = 100 * time.Millisecond

// Spec says what to start.
type Spec struct {
	// Name of the worker, for messages.
	Name string
	// Argv is the program and its arguments.
	Argv []string
	// Env is the whole environment: nothing is inherited beside it.
	Env []string
	// Dir is the working directory. Empty is the host's.
	Dir string
	// Extra files become descriptors 3 and up, where the program is started by
	// itself.
	Extra []*os.File
	// Log receives what the process writes to stdout and stderr.
	Log hclog.Logger
}

// Launcher obtains running processes in one of several ways.
type Launcher interface {
	// launch starts the program with the given stdout and stderr, which the caller
	// closes. How names the way, such as "exec".
	launch(ctx context.Context, spec Spec, stdout, stderr *os.File) (_ child, how string, _ error)
}

// child is a process that was started: what differs with the way of starting.
type child interface {
	pid() int
	// awaitExit blocks until the process has ended.
	awaitExit()
	// killGroup ends what is left of its group, when it has ended and has not been
	// reaped.
	killGroup()
	// signal signals the group. The process has not been reaped.
	signal(sig syscall.Signal) error
	// reap returns how the process ended.
	reap() error
}

// Process is one started program. It implements go-plugin's runner.Runner. All
// methods may be called concurrently.
type Process struct {
	launcher Launcher
	spec     Spec // immutable after Prepare
	// socketDir is the only folder in which the handshake may name a socket;
	// immutable after Prepare.
	socketDir string
	tail      *tail
	handshake *handshakeReader
	stderr    *blockingReader

	mu      sync.Mutex
	child   child  // guarded by mu; nil before Start has succeeded
	how     string // guarded by mu; the way in which it was started
	reaped  bool   // guarded by mu; after it no signal may be sent
	started bool   // guarded by mu
	killed  bool   // guarded by mu; Kill was called while it ran

	exited chan struct{} // closed when the process has ended and was reaped
	status error         // immutable after exited
	drain  sync.WaitGroup
}

var _ runner.Runner = (*Process)(nil)

// New returns a process that is not started yet, and will be by the launcher.
func New(spec Spec, launcher Launcher) *Process {
	if spec.Log == nil {
		spec.Log = hclog.NewNullLogger()
	}
	p := &Process{
		launcher: launcher,
		spec:     spec,
		tail:     newTail(),
		exited:   make(chan struct{}),
	}
	p.handshake = newHandshakeReader(p.exited)
	p.stderr = &blockingReader{done: p.exited}
	return p
}

// Prepare adds to the environment, and names the only folder in which the
// handshake may name a unix socket. It is called once, before Start.
func (p *Process) Prepare(env []string, socketDir string) {
	p.spec.Env = append(p.spec.Env[:len(p.spec.Env):len(p.spec.Env)], env...)
	p.socketDir = socketDir
}

// Start starts the program in a session and process group of its own, with
// /dev/null as stdin. The process's life is not tied to ctx.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	if p.started {
		p.mu.Unlock()
		return errors.New("start process: it was started or killed before")
	}
	p.started = true
	p.mu.Unlock()

	outR, errR, started, how, err := p.begin(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.abandon(err)
		return fmt.Errorf("start process: %w", err)
	}
	p.child, p.how = started, how
	if p.killed {
		// Killed while it was being started.
		_ = started.signal(syscall.SIGKILL)
	}
	p.drain.Add(2)
	go p.readStdout(outR)
	go p.readStderr(errR)
	go p.wait(started, outR, errR)
	return nil
}

// begin makes the pipes and starts the program.
func (p *Process) begin(ctx context.Context) (outR, errR *os.File, _ child, how string, err error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, "", err
	}
	defer outW.Close()
	errR, errW, err := os.Pipe()
	if err != nil {
		_ = outR.Close()
		return nil, nil, nil, "", err
	}
	defer errW.Close()
	started, how, err := p.launcher.launch(ctx, p.spec, outW, errW)
	if err != nil {
		_ = outR.Close()
		_ = errR.Close()
		return nil, nil, nil, "", err
	}
	return outR, errR, started, how, nil
}

// PID of the process; 0 before Start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return 0
	}
	return p.child.pid()
}

// Launch names the way in which the process was started; empty before Start.
func (p *Process) Launch() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.how
}

// Exited is closed when the process has ended and its output has been read.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Status says how the process ended, such as "signal: killed". It is empty
// before the end.
func (p *Process) Status() string {
	select {
	case <-p.exited:
	default:
		return ""
	}
	if p.status == nil {
		return "exit status 0"
	}
	return p.status.Error()
}

// Killed reports whether Kill was called before the process had ended.
func (p *Process) Killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// Signal sends a signal to the process group. It reports os.ErrProcessDone when
// the process has been reaped: its number may be another's by then.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil || p.reaped {
		return os.ErrProcessDone
	}
	return p.child.signal(sig)
}

// Tail is the last part of what the process wrote to stderr, at most 16 KiB.
func (p *Process) Tail() string { return p.tail.String() }

// Wait blocks until the process has ended, or ctx is done.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.status
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends the process group at once and waits for the process to be gone. A
// process that is killed before its start never starts.
func (p *Process) Kill(ctx context.Context) error {
	p.mu.Lock()
	if !p.started {
		p.started = true
		p.abandon(errors.New("killed before its start"))
	}
	p.killed = p.killed || !p.reaped
	p.mu.Unlock()
	if err := p.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.PID(), err)
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Diagnose says why a start failed, in one sentence and the last lines of
// stderr.
func (p *Process) Diagnose(context.Context) string {
	var b strings.Builder
	select {
	case <-p.exited:
		fmt.Fprintf(&b, "%s ended: %s", p.spec.Argv[0], p.Status())
	default:
		fmt.Fprintf(&b, "%s gave no valid handshake", p.spec.Argv[0])
	}
	if last := p.tail.lastLines(5); last != "" {
		b.WriteString("; last output:\n" + last)
	}
	return b.String()
}

// Stdout yields the handshake line, and ends with the process.
func (p *Process) Stdout() io.ReadCloser { return p.handshake }

// Stderr yields nothing, and ends with the process: the process's stderr is read
// here, because go-plugin's reader panics on some JSON.
func (p *Process) Stderr() io.ReadCloser { return p.stderr }

// Name of the program.
func (p *Process) Name() string { return filepath.Base(p.spec.Argv[0]) }

// ID is never empty, because go-plugin's Kill does nothing for an empty one.
func (p *Process) ID() string {
	if pid := p.PID(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return p.spec.Name
}

// PluginToHost refuses an address that is not a socket in our folder, so that a
// plugin cannot make the host connect elsewhere.
func (p *Process) PluginToHost(network, address string) (string, string, error) {
	if err := checkAddress(p.socketDir, network, address); err != nil {
		return "", "", err
	}
	return network, address, nil
}

// HostToPlugin returns the address as it is: both are on one machine.
func (p *Process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// abandon ends a process that never was. It runs with mu held.
func (p *Process) abandon(err error) {
	p.status = err
	p.reaped = true
	close(p.exited)
}

func (p *Process) readStdout(r io.ReadCloser) {
	defer p.drain.Done()
	lines := newLineReader(r)
	line, err := lines.next()
	if err == nil {
		p.handshake.offer(line)
	}
	log := p.spec.Log.Named("stdout")
	for err == nil {
		if line, err = lines.next(); len(line) > 0 {
			logPlain(log, line)
		}
	}
}

func (p *Process) readStderr(r io.ReadCloser) {
	defer p.drain.Done()
	lines := newLineReader(r)
	for {
		line, err := lines.next()
		if len(line) > 0 {
			p.tail.add(logLine(p.spec.Log, line))
		}
		if err != nil {
			return
		}
	}
}

// wait sees the end of the process, ends what is left of its group while the
// process is still a zombie (so that its number cannot be another's), reaps it,
// and closes the pipes.
func (p *Process) wait(c child, pipes ...io.Closer) {
	c.awaitExit()
	p.mu.Lock()
	c.killGroup()
	p.reaped = true
	p.mu.Unlock()
	err := c.reap()

	read := make(chan struct{})
	go func() { p.drain.Wait(); close(read) }()
	select {
	case <-read:
	case <-time.After(pipeGrace):
	}
	for _, c := range pipes {
		_ = c.Close()
	}
	<-read
	p.status = err
	close(p.exited)
}
