//go:build !linux

package pyenv

import "golang.org/x/sys/unix"

func exchange(made, old string) error { return exchangeInSteps(made, old) }

// syncAll writes every file system to the disk.
func syncAll(string) error { return unix.Sync() }
