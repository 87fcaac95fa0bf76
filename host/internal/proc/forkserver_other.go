//go:build !linux

package proc

import (
	"context"
	"fmt"
	"os"
)

// forkServer is for Linux only: other systems have no pidfd.
type forkServer struct{ process *Process }

func startForkServer(context.Context, Spec) (*forkServer, error) {
	return nil, fmt.Errorf("%w: this system has no pidfd", errRefused)
}

func (s *forkServer) alive() bool { return false }

func (s *forkServer) close() {}

func (s *forkServer) fork(context.Context, []string, *os.File, *os.File) (child, error) {
	return nil, errRefused
}
