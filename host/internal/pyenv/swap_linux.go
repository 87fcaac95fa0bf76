package pyenv

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange puts the folder made into the place of old, so that at no time one of
// them is missing there. What was old is at made then.
func exchange(made, old string) error {
	err := unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, old, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return exchangeInSteps(made, old) // not in this file system
	}
	if err != nil {
		return &os.LinkError{Op: "exchange", Old: made, New: old, Err: err}
	}
	return nil
}

// syncAll writes the file system that a folder is in to the disk.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
