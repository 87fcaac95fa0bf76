package pyenv

import (
	"context"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/renameio/v2"
)

// resolved is the line of uv that says how many packages there are.
var resolved = regexp.MustCompile(`^Resolved (\d+ packages?) in`)

// job is the making of one virtual environment.
type job struct {
	*Options
	*installer
	base   *interpreter
	dir    string
	held   *fileLock
	hashes bool
	// count is told of the number of packages, as soon as it is known. It may be
	// nil.
	count func(string)
}

// venv makes an empty environment. What is there was left by a crash.
func (j *job) venv(ctx context.Context) error {
	if err := removeAll(j.dir); err != nil {
		return fileFailed("remove half-made environment", err)
	}
	path, args := j.uv, []string{"venv", "--no-project", "--relocatable", "--python", j.base.Path, j.dir}
	if j.uv == "" {
		path, args = j.base.Path, []string{"-I", "-m", "venv", j.dir}
	}
	if _, err := j.run(ctx, path, args, nil); err != nil {
		return j.failed(ctx, "make environment with "+j.base.Path, err)
	}
	return nil
}

// install puts exactly the packages of a lock into the environment.
func (j *job) install(ctx context.Context, lock []byte) error {
	file := j.dir + ".txt"
	if err := renameio.WriteFile(file, lock, 0o644); err != nil {
		return fileFailed("write requirements", err)
	}
	defer os.Remove(file)
	path, args := j.uv, []string{"pip", "sync", "--python", j.python(), "--compile-bytecode"}
	if j.uv == "" {
		path, args = j.python(), []string{"-I", "-m", "pip", "install", "--no-deps"}
	}
	args = append(args, "--only-binary", ":all:")
	if j.hashes {
		args = append(args, "--require-hashes")
	}
	switch {
	case j.Offline && j.uv == "":
		args = append(args, "--no-index")
	case j.Offline:
		args = append(args, "--offline")
	}
	if j.uv == "" {
		args = append(args, "-r")
	}
	if _, err := j.run(ctx, path, append(args, file), j.countLine); err != nil {
		return j.failed(ctx, "install packages", err)
	}
	return nil
}

// check returns what does not fit together, if so.
func (j *job) check(ctx context.Context) error {
	path, args := j.uv, []string{"pip", "check", "--python", j.python()}
	if j.uv == "" {
		path, args = j.python(), []string{"-I", "-m", "pip", "check"}
	}
	_, err := j.run(ctx, path, args, nil)
	return err
}

func (j *job) python() string { return filepath.Join(j.dir, "bin", "python") }

func (j *job) run(ctx context.Context, path string, args []string, line func(string)) ([]byte, error) {
	program := j.command(j.installEnv(), path, args...)
	program.lock, program.line = j.held, line
	return program.run(ctx)
}

func (j *job) countLine(line string) {
	if m := resolved.FindStringSubmatch(line); m != nil && j.count != nil {
		j.count(m[1])
	}
}

// failed says what is behind the failure of a program.
func (j *job) failed(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return diagnose(what, err, j.base)
}
