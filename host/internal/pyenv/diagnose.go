package pyenv

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/dspex/dspex/shared"
)

// cause is what is behind a failed installation.
type cause string

const (
	unknownCause  cause = ""
	hashMismatch  cause = "does not match its hash in the lock"
	hashMissing   cause = "has no hash in the lock"
	notCached     cause = "is not in the cache, and downloads are off"
	noNetwork     cause = "the package index cannot be reached"
	noWheel       cause = "has no wheel that fits"
	notFound      cause = "is not in the package index"
	diskFull      cause = "the disk is full"
	notWritable   cause = "this user may not write there"
	malformedLock cause = "the lock cannot be read"
)

// signs of a cause in the words of uv and pip, in the order of trying. The first
// group that matched, if any, is the package.
var signs = []struct {
	cause cause
	sign  *regexp.Regexp
}{
	{hashMismatch, regexp.MustCompile("Hash mismatch for `([^`]+)`")},
	{hashMismatch, regexp.MustCompile(`(?s)DO NOT MATCH THE HASHES.*?\n\s+(\S+)`)},
	{hashMissing, regexp.MustCompile(`must have a hash.*?: (\S+)`)},
	{hashMissing, regexp.MustCompile(`(?s)Hashes are required.*?\n\s+(\S+) --hash`)},
	{hashMissing, regexp.MustCompile(`Hashes are required|must have a hash`)},
	{diskFull, regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`)},
	{notCached, regexp.MustCompile(`Because (\S+) was not found in the cache`)},
	{notCached, regexp.MustCompile(`(?i)network (?:was|is|connectivity is) disabled`)},
	{noNetwork, regexp.MustCompile(`(?i)error sending request|failed to fetch|dns error|connection refused|connection error|timed? ?out|NewConnectionError|Temporary failure in name resolution|Network is unreachable`)},
	{noWheel, regexp.MustCompile(`Because (?:only )?(\S+) has no (?:usable )?wheels`)},
	{noWheel, regexp.MustCompile(`no wheels? with a matching|no usable wheels|no matching wheels`)},
	{notFound, regexp.MustCompile(`Because (\S+) was not found`)},
	{notFound, regexp.MustCompile(`there is no version of (\S+)`)},
	{notFound, regexp.MustCompile(`No matching distribution found for (\S+)`)},
	{notWritable, regexp.MustCompile(`(?i)permission denied|read-only file system`)},
	{malformedLock, regexp.MustCompile(`(?i)couldn't parse|invalid requirement|error: unexpected '`)},
}

// causeError has a cause in it, for those who decide by it.
type causeError struct {
	cause cause
	err   error
}

// Error returns the words of the program.
func (e *causeError) Error() string { return e.err.Error() }

// Unwrap returns the program's failure.
func (e *causeError) Unwrap() error { return e.err }

// causeOf returns what is behind an error of diagnose.
func causeOf(err error) cause {
	var c *causeError
	if errors.As(err, &c) {
		return c.cause
	}
	return unknownCause
}

// diagnose makes an error of a failed program, which says which thing it was and
// what to do.
func diagnose(what string, err error, base *interpreter) error {
	found, pkg := unknownCause, ""
	for _, s := range signs {
		if m := s.sign.FindStringSubmatch(output(err)); m != nil {
			found = s.cause
			if len(m) > 1 {
				pkg = strings.TrimRight(m[1], ".,;:")
			}
			break
		}
	}
	err = &causeError{found, err}
	switch {
	case found == unknownCause:
		return failed("%s: %w", what, err).WithHint("%s", hintFor(found, base))
	case pkg == "" || found == noNetwork || found == diskFull:
		return failed("%s: %s: %w", what, found, err).WithHint("%s", hintFor(found, base))
	}
	return failed("%s: %s %s: %w", what, pkg, found, err).WithHint("%s", hintFor(found, base))
}

func hintFor(found cause, base *interpreter) string {
	switch found {
	case hashMismatch:
		return "it is not the package that was locked, and was not installed: check the package index; if the package is right, make the lock anew (uv pip compile --generate-hashes)"
	case hashMissing:
		return "make the lock with: uv pip compile --generate-hashes; or set python.hashes = false"
	case notCached:
		return "install once with the network, or name a folder of wheels in UV_FIND_LINKS (PIP_FIND_LINKS for pip), or set python.offline = false"
	case noNetwork:
		return "check network and proxy (HTTPS_PROXY, SSL_CERT_FILE), or name another index in UV_DEFAULT_INDEX"
	case noWheel:
		return fmt.Sprintf("it must have a wheel for Python %s on %s: lock another version of it, or set python.interpreter or python.version to another Python",
			minor(base.Version), base.Platform)
	case notFound:
		return "check its name and version in the requirements, and which index is used (UV_DEFAULT_INDEX)"
	case diskFull:
		return "free some space (an environment with DSPy takes 300 MB), or set DSPEX_PYTHON_DIR to a folder on another disk"
	case notWritable:
		return "set DSPEX_PYTHON_DIR or host.data_dir to a folder that this user can write"
	case malformedLock:
		return "python.requirements must be a lock in the form of requirements.txt"
	}
	return "the last lines of the installer are above"
}

// fileFailed is the error for something that could not be done with files.
func fileFailed(what string, err error) error {
	if e := (*shared.Error)(nil); errors.As(err, &e) {
		return err
	}
	e := failed("%s: %w", what, err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return e.WithHint("%s", hintFor(diskFull, nil))
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EROFS):
		return e.WithHint("%s", hintFor(notWritable, nil))
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EEXIST):
		return e.WithHint("something else is in the way: set DSPEX_PYTHON_DIR to a folder of its own")
	}
	return e
}
