//go:build !unix

package session

import "os"

func openPrivate(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

// syncFolder does nothing where folders cannot be synced.
func syncFolder(string) error { return nil }
