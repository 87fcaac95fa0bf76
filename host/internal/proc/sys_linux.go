package proc

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func sysProcAttr() *syscall.SysProcAttr {
	// A session of its own keeps Ctrl-C on the host's terminal from the worker:
	// the host decides.
	return &syscall.SysProcAttr{Setsid: true}
}

// signalGroup signals every process of the group that pid leads. The caller
// knows that pid has not been reaped.
func signalGroup(pid int, sig syscall.Signal) error {
	err := unix.Kill(-pid, sig)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// waitExit blocks until the child has ended, and leaves it to be reaped.
func waitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
