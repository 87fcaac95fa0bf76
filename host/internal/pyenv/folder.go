package pyenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// publish puts a complete folder in its place, in one step. What is there is
// replaced: a process that uses it finds the new one, or what it has open.
func publish(made, place string) error {
	err := os.Rename(made, place)
	if _, there := os.Lstat(place); err != nil && there == nil {
		if err = exchange(made, place); err == nil {
			err = removeAll(made)
		}
	}
	if err != nil {
		return err
	}
	return syncFile(filepath.Dir(place))
}

func exchangeInSteps(made, old string) error {
	aside := old + ".old"
	if err := removeAll(aside); err != nil {
		return err
	}
	if err := os.Rename(old, aside); err != nil {
		return err
	}
	if err := os.Rename(made, old); err != nil {
		return errors.Join(err, os.Rename(aside, old))
	}
	return os.Rename(aside, made)
}

// removeAll removes a folder whose parts may be read-only.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o755)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// syncFile writes a file or folder to the disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// keyOf is a name for a list of parts.
func keyOf(parts ...string) string {
	digest := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(digest, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(digest.Sum(nil))[:16]
}
