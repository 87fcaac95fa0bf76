package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// statusGrace is how long the fork server may take to say how a process ended.
const statusGrace = time.Second

// forkServer is a running fork server, and the socket to it. The messages are
// described in python/dspex/_zygote.py.
type forkServer struct {
	process *Process
	conn    *net.UnixConn
	gone    chan struct{} // closed when the socket has ended

	mu       sync.Mutex
	next     uint64                      // guarded by mu
	waiting  map[uint64]chan forkMessage // guarded by mu
	children map[int]*forkChild          // guarded by mu; by process, until its end is reported
}

// forkMessage is what a fork server says.
type forkMessage struct {
	Ready   bool   `json:"ready"`
	Refused string `json:"refused"`
	ID      uint64 `json:"id"`
	PID     int    `json:"pid"`
	Error   string `json:"error"`
	Exit    int    `json:"exit"`
	Status  int    `json:"status"`

	child *forkChild
}

// startForkServer starts a fork server and waits until it is ready.
func startForkServer(ctx context.Context, spec Spec) (*forkServer, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start fork server: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	defer theirs.Close()
	ours := os.NewFile(uintptr(fds[0]), "control")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		return nil, fmt.Errorf("start fork server: %w", err)
	}
	spec.Extra = []*os.File{theirs}
	s := &forkServer{
		process:  New(spec, Exec{}),
		conn:     conn.(*net.UnixConn),
		gone:     make(chan struct{}),
		waiting:  make(map[uint64]chan forkMessage),
		children: make(map[int]*forkChild),
	}
	if err := s.process.Start(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("start fork server: %w", err)
	}
	// Its first word is not an answer: number 0 waits for it.
	first := make(chan forkMessage, 1)
	s.waiting[0] = first
	go s.read()
	select {
	case m := <-first:
		if m.Ready {
			return s, nil
		}
		s.close()
		return nil, fmt.Errorf("start fork server: %w: %s", errRefused, m.Refused)
	case <-s.process.Exited():
		_ = conn.Close()
		return nil, fmt.Errorf("start fork server: it ended: %s; %s", s.process.Status(), s.process.tail.lastLines(3))
	case <-ctx.Done():
		s.close()
		return nil, fmt.Errorf("start fork server: not ready in time: %w", ctx.Err())
	}
}

// alive reports whether the server can be asked.
func (s *forkServer) alive() bool {
	select {
	case <-s.gone:
		return false
	case <-s.process.Exited():
		return false
	default:
		return true
	}
}

// close ends the server and waits for its end. What it has forked goes on.
func (s *forkServer) close() {
	_ = s.conn.Close()
	select {
	case <-s.process.Exited():
	case <-time.After(statusGrace):
	}
	// Its children have sessions of their own: the group is the server alone.
	_ = s.process.Kill(context.Background())
	<-s.gone
}

// fork asks for a process with the given environment beside the server's own.
func (s *forkServer) fork(ctx context.Context, env []string, stdout, stderr *os.File) (child, error) {
	answer := make(chan forkMessage, 1)
	s.mu.Lock()
	s.next++
	id := s.next
	s.waiting[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, id)
		s.mu.Unlock()
	}()
	set := make(map[string]string, len(env))
	for _, kv := range env {
		for i := range kv {
			if kv[i] == '=' {
				set[kv[:i]] = kv[i+1:]
				break
			}
		}
	}
	request, err := json.Marshal(map[string]any{"id": id, "env": set})
	if err != nil {
		return nil, fmt.Errorf("ask fork server: %w", err)
	}
	rights := unix.UnixRights(int(stdout.Fd()), int(stderr.Fd()))
	if _, _, err := s.conn.WriteMsgUnix(request, rights, nil); err != nil {
		return nil, fmt.Errorf("ask fork server: %w", err)
	}
	select {
	case m := <-answer:
		if m.Error != "" {
			return nil, fmt.Errorf("%w: %s", errRefused, m.Error)
		}
		if m.child == nil {
			return nil, fmt.Errorf("%w: it sent no descriptor of process %d", errRefused, m.PID)
		}
		return m.child, nil
	case <-s.gone:
		return nil, errors.New("ask fork server: it has gone")
	case <-ctx.Done():
		return nil, fmt.Errorf("ask fork server: %w", ctx.Err())
	}
}

// read is the goroutine that takes what the server says.
func (s *forkServer) read() {
	defer close(s.gone)
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, _, _, err := s.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		var m forkMessage
		pidfd := -1
		if oobn > 0 {
			pidfd = receivedFD(oob[:oobn])
		}
		if json.Unmarshal(buf[:n], &m) == nil {
			s.take(m, pidfd)
		}
	}
}

// take hands a message to who waits for it.
func (s *forkServer) take(m forkMessage, pidfd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Exit != 0 {
		if c := s.children[m.Exit]; c != nil {
			c.status <- unix.WaitStatus(m.Status)
			delete(s.children, m.Exit)
		}
		return
	}
	if pidfd >= 0 {
		m.child = newForkChild(s, m.PID, pidfd)
		s.children[m.PID] = m.child
	}
	if answer := s.waiting[m.ID]; answer != nil {
		answer <- m
	} else if m.child != nil {
		// Nobody waits for it any more.
		_ = m.child.signal(syscall.SIGKILL)
		_ = m.child.pidfd.Close()
		delete(s.children, m.PID)
	}
}

func receivedFD(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	unix.CloseOnExec(fds[0])
	return fds[0]
}

// forkChild is a process that the fork server made. The host is not its parent:
// it knows the process by a pidfd, which cannot become another's.
type forkChild struct {
	server *forkServer
	number int
	pidfd  *os.File
	status chan unix.WaitStatus // capacity 1
}

func newForkChild(s *forkServer, pid, pidfd int) *forkChild {
	// Non-blocking, so that waiting for it takes no thread.
	_ = unix.SetNonblock(pidfd, true)
	return &forkChild{server: s, number: pid, pidfd: os.NewFile(uintptr(pidfd), "pidfd"), status: make(chan unix.WaitStatus, 1)}
}

func (c *forkChild) pid() int { return c.number }

func (c *forkChild) awaitExit() {
	raw, err := c.pidfd.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}

// killGroup does nothing: the fork server did it before it reaped the process.
func (c *forkChild) killGroup() {}

func (c *forkChild) signal(sig syscall.Signal) error {
	raw, err := c.pidfd.SyscallConn()
	if err != nil {
		return os.ErrProcessDone
	}
	var result error
	err = raw.Control(func(fd uintptr) {
		result = unix.PidfdSendSignal(int(fd), sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP)
		if errors.Is(result, unix.EINVAL) {
			// Kernels before 6.9: the group by its number, which is the process's own
			// while that has not been reaped.
			if result = unix.PidfdSendSignal(int(fd), 0, nil, 0); result == nil {
				result = unix.Kill(-c.number, sig)
			}
		}
		if errors.Is(result, unix.ESRCH) {
			// Just forked, it leads no group yet.
			result = unix.PidfdSendSignal(int(fd), sig, nil, 0)
		}
	})
	if err != nil || errors.Is(result, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return result
}

func (c *forkChild) reap() error {
	defer c.pidfd.Close()
	select {
	case status := <-c.status:
		return exitError(status)
	case <-c.server.gone:
	case <-time.After(statusGrace):
	}
	select {
	case status := <-c.status:
		return exitError(status)
	default:
		return errors.New("exit status unknown: the fork server has gone")
	}
}

// exitError says how a process ended, in the words of os/exec; nil for status 0.
func exitError(status unix.WaitStatus) error {
	switch {
	case status.Signaled():
		text := "signal: " + syscall.Signal(status.Signal()).String()
		if status.CoreDump() {
			text += " (core dumped)"
		}
		return errors.New(text)
	case status.ExitStatus() != 0:
		return fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return nil
}
