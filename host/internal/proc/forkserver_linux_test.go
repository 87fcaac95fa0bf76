package proc

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// fakeServer is a fork server in Python's standard library alone: it speaks the
// protocol and forks shell commands, which it finds in the environment it is
// asked for.
const fakeServer = `
import array, json, os, signal, socket, sys
control = socket.socket(fileno=3)
control.set_inheritable(False)
mode = sys.argv[1]
send = lambda fds=(), **m: socket.send_fds(control, [json.dumps(m).encode()], list(fds))
if mode == "refuse":
    send(refused="two threads")
    sys.exit()
if mode == "die":
    sys.exit(5)
send(ready=True)
def reap(*_):
    while True:
        try: pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError: return
        if not pid: return
        send(exit=pid, status=status)
signal.signal(signal.SIGCHLD, reap)
while True:
    data, fds, _, _ = socket.recv_fds(control, 65536, 2)
    if not data: break
    request = json.loads(data)
    pid = os.fork()
    if not pid:
        if mode == "late": signal.pause()
        os.setsid()
        os.dup2(fds[0], 1); os.dup2(fds[1], 2)
        os.environ.update(request["env"])
        os.execv("/bin/sh", ["/bin/sh", "-c", os.environ["SCRIPT"]])
    pidfd = os.pidfd_open(pid)
    send([pidfd], id=request["id"], pid=pid)
    os.close(pidfd)
    for fd in fds: os.close(fd)
`

func newFakeForker(t *testing.T, mode string) *Forker {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.py")
	if err := os.WriteFile(path, []byte(fakeServer), 0o600); err != nil {
		t.Fatal(err)
	}
	f := NewForker(Spec{Name: "server", Argv: []string{"python3", path, mode}, Env: os.Environ()}, 20*time.Second, hclog.NewNullLogger())
	t.Cleanup(f.Close)
	return f
}

func forked(t *testing.T, f *Forker, script string) *Process {
	t.Helper()
	p := New(Spec{Name: "w", Argv: []string{"/bin/sh", "-c", script}, Env: append(os.Environ(), "SCRIPT="+script)}, f)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill(context.Background()) })
	return p
}

func TestForkedProcess(t *testing.T) {
	t.Parallel()
	f := newFakeForker(t, "ok")
	p := forked(t, f, "echo '1|1|unix|/x|grpc'; exit 7")
	if got := firstLine(t, p); got != "1|1|unix|/x|grpc" {
		t.Errorf("handshake = %q", got)
	}
	waitExited(t, p)
	if got := p.Status(); got != "exit status 7" || p.Launch() != "fork" {
		t.Errorf("Status() = %q, Launch() = %q; want exit status 7 of a fork", got, p.Launch())
	}
	if err := p.Signal(syscall.SIGTERM); err != os.ErrProcessDone { //nolint:errorlint // the very value
		t.Errorf("Signal() after the end = %v", err)
	}
	killed := forked(t, f, "sleep 1000 & wait")
	if err := killed.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := killed.Status(); got != "signal: killed" {
		t.Errorf("Status() = %q, want signal: killed", got)
	}
}

// TestKillBeforeTheProcessLeadsAGroup: a process is killed that has been forked
// and has not made its session yet.
func TestKillBeforeTheProcessLeadsAGroup(t *testing.T) {
	t.Parallel()
	p := forked(t, newFakeForker(t, "late"), "unused")
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitExited(t, p)
}

func TestWhereNoForkIsPossibleTheProgramIsStarted(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"refuse", "die"} {
		p := forked(t, newFakeForker(t, mode), "echo '1|1|unix|/x|grpc'")
		firstLine(t, p)
		waitExited(t, p)
		if got := p.Launch(); got != "exec" {
			t.Errorf("%s: Launch() = %q, want exec", mode, got)
		}
	}
}

func TestForkServerThatDied(t *testing.T) {
	t.Parallel()
	f := newFakeForker(t, "ok")
	first := forked(t, f, "echo '1|1|unix|/x|grpc'; sleep 1000")
	firstLine(t, first)
	server := f.server.process
	if err := server.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Exited():
		t.Error("a worker ended with its fork server")
	default:
	}
	second := forked(t, f, "echo '1|1|unix|/x|grpc'")
	firstLine(t, second)
	if got := second.Launch(); got != "fork" || f.server.process.PID() == server.PID() {
		t.Errorf("Launch() = %q from server %d, want a fork from a new one", got, f.server.process.PID())
	}
	// The first can still be ended, though nobody can say how it ended.
	if err := first.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := first.Status(); !strings.Contains(got, "unknown") {
		t.Errorf("Status() = %q, want unknown", got)
	}
}

// TestForksLeakNothing: many forks in a row leave no descriptor behind.
func TestForksLeakNothing(t *testing.T) {
	f := newFakeForker(t, "ok")
	run := func() {
		p := forked(t, f, "echo '1|1|unix|/x|grpc'")
		waitExited(t, p)
	}
	run()
	count := func(pid int) int {
		entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	ours, theirs := count(os.Getpid()), count(f.server.process.PID())
	for range 200 {
		run()
	}
	if got := count(f.server.process.PID()); got > theirs {
		t.Errorf("the fork server has %d descriptors after 200 forks, %d before", got, theirs)
	}
	if got := count(os.Getpid()); got > ours+5 {
		t.Errorf("the host has %d descriptors after 200 forks, %d before", got, ours)
	}
}
