package pyenv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

// extract writes the embedded package to a folder named by its digest, unless it
// is there unchanged, and returns the folder.
func extract(dir string, files fs.FS) (string, error) {
	content, names, err := readAll(files)
	if err != nil {
		return "", failed("read embedded package: %w", err)
	}
	digest := sha256.New()
	for _, name := range names {
		digest.Write([]byte(name + "\x00"))
		sum := sha256.Sum256(content[name])
		digest.Write(sum[:])
	}
	target := filepath.Join(dir, "pkg", hex.EncodeToString(digest.Sum(nil))[:16])
	if unchanged(target, content, names) {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", failed("write package: %w", err)
	}
	unlock, err := lock(target + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if unchanged(target, content, names) {
		return target, nil // written by another process meanwhile
	}
	tmp := target + ".tmp"
	for _, stale := range []string{tmp, target} {
		if err := removeAll(stale); err != nil {
			return "", failed("replace package that was changed: %w", err)
		}
	}
	for _, name := range names {
		path := filepath.Join(tmp, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", failed("write package: %w", err)
		}
		if err := os.WriteFile(path, content[name], 0o444); err != nil {
			return "", failed("write package: %w", err).WithHint("is the disk full?")
		}
	}
	if err := os.Rename(tmp, target); err != nil {
		return "", failed("write package: %w", err)
	}
	return target, nil
}

func readAll(files fs.FS) (map[string][]byte, []string, error) {
	content := make(map[string][]byte)
	var names []string
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content[path], err = fs.ReadFile(files, path)
		names = append(names, path)
		return err
	})
	sort.Strings(names)
	return content, names, err
}

// unchanged reports whether a folder has exactly the files, apart from the
// bytecode that Python adds.
func unchanged(target string, content map[string][]byte, names []string) bool {
	found := 0
	err := filepath.WalkDir(target, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "__pycache__":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		name, err := filepath.Rel(target, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want, ok := content[filepath.ToSlash(name)]
		if !ok || !bytes.Equal(got, want) {
			return fs.ErrInvalid
		}
		found++
		return nil
	})
	return err == nil && found == len(names)
}

// removeAll removes a folder whose parts may be read-only.
func removeAll(path string) error {
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o755)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// lock waits for the lock of a file and returns what frees it. The kernel frees
// it too when the process ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, failed("lock %s: %w", path, err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR { //nolint:errorlint // a system call's own value
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, failed("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
