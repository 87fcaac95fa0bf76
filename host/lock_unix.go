//go:build unix

package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dspex/dspex/shared"
)

// dirLock is the ownership of a data folder: a lock that the kernel frees when
// the process ends, however it ends.
type dirLock struct{ file *os.File }

// holder is what a lock file says about who has it.
type holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// lockDir takes the data folder. Another host that has it gives HOST_LOCKED,
// naming that host's process.
func lockDir(dir, hostName string) (*dirLock, error) {
	path := filepath.Join(dir, "host.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
		}
		var by holder
		raw, _ := io.ReadAll(io.LimitReader(f, 4<<10))
		if json.Unmarshal(raw, &by) != nil || by.PID == 0 {
			return nil, shared.Errorf(shared.HostLocked, "data folder %s is used by another dspex host", dir).
				WithHint("stop that host, or set another data_dir")
		}
		return nil, shared.Errorf(shared.HostLocked, "data folder %s is used by dspex host %q, process %d, since %s",
			dir, by.Host, by.PID, by.Since.Format(time.RFC3339)).
			WithHint("stop it with: kill %d; or give this host another data_dir (DSPEX_DATA_DIR)", by.PID)
	}
	raw, err := json.Marshal(holder{PID: os.Getpid(), Host: hostName, Since: time.Now().Truncate(time.Second)})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(raw, 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &dirLock{file: f}, nil
}

func (l *dirLock) release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

// ownDir makes a folder that belongs to this user, or checks that it does: a
// folder of another user, or a link, is refused.
func ownDir(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("check folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || ok && int(stat.Uid) != os.Geteuid() {
		return shared.Errorf(shared.Forbidden, "folder %s is not this user's own", path).
			WithHint("remove it, or choose another folder")
	}
	// Whatever the umask was, and whoever made it.
	if info.Mode().Perm()&0o077 != 0 && mode&0o077 == 0 {
		if err := os.Chmod(path, mode); err != nil {
			return fmt.Errorf("protect folder: %w", err)
		}
	}
	return nil
}
