package pyenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a lock that another process has is tried. The kernel has
// no wait for it that ends with a context.
const lockPoll = 20 * time.Millisecond

// fileLock is held until release, and until every program that was started with
// it has ended: whoever gets it next finds nobody at work.
type fileLock struct{ file *os.File }

// lock waits for the lock that goes with a path, until ctx ends. The kernel frees
// it when the process ends, however it ends.
func (o *Options) lock(ctx context.Context, path, what string) (*fileLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fileFailed("make folder", err)
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fileFailed("lock "+what, err)
	}
	wait := func() error {
		tick := time.NewTicker(lockPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
			if err := tryLock(f); !errors.Is(err, unix.EWOULDBLOCK) {
				return err
			}
		}
	}
	err = tryLock(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = o.step("wait", "for another process that makes the "+what, wait)
	}
	if err != nil {
		_ = f.Close()
		return nil, fileFailed("lock "+what, err)
	}
	return &fileLock{file: f}, nil
}

// release may be called once.
func (l *fileLock) release() { _ = l.file.Close() }

func tryLock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
