package proc

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// Exec starts each process as a program of its own.
type Exec struct{}

var _ Launcher = Exec{}

func (Exec) launch(_ context.Context, spec Spec, stdout, stderr *os.File) (child, string, error) {
	cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
	cmd.Env, cmd.Dir = spec.Env, spec.Dir
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.ExtraFiles = spec.Extra
	cmd.SysProcAttr = sysProcAttr()
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	return &execChild{cmd}, "exec", nil
}

// execChild is a child process of the host.
type execChild struct{ cmd *exec.Cmd }

func (c *execChild) pid() int                        { return c.cmd.Process.Pid }
func (c *execChild) awaitExit()                      { waitExit(c.cmd.Process.Pid) }
func (c *execChild) killGroup()                      { _ = signalGroup(c.cmd.Process.Pid, syscall.SIGKILL) }
func (c *execChild) signal(sig syscall.Signal) error { return signalGroup(c.cmd.Process.Pid, sig) }
func (c *execChild) reap() error                     { return c.cmd.Wait() }
