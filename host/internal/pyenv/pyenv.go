package pyenv

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/python"
	"github.com/dspex/dspex/shared"
)

// Options say which environment is wanted.
type Options struct {
	// Dir is where environments and the package are kept.
	Dir string
	// Interpreter of the user's own, which has the packages. Empty: dspex makes an
	// environment.
	Interpreter string
	// Version that the interpreter must have, such as ">=3.10,<3.15". Empty is any.
	Version string
	// Requirements is the content of a lock file. Nil is the one that comes with
	// dspex.
	Requirements []byte
	// Hashes requires a hash for each package of the lock.
	Hashes bool
	// Offline forbids downloads.
	Offline bool
	// Path holds folders to import from, before the environment's own.
	Path []string
	// PTH lets .pth files of the environment run.
	PTH bool
	// Modules must be importable.
	Modules []string
	// Progress is told of each step that takes time. It may be nil.
	Progress func(Step)
	// Log may be nil.
	Log hclog.Logger
}

// Step is a part of the making of an environment.
type Step struct {
	// Phase is what is done, such as "install packages".
	Phase  string
	Detail string
	// Elapsed is 0 when the step begins, and its time when it is over.
	Elapsed time.Duration
}

// Environment is where workers run.
type Environment struct {
	// Interpreter is its path.
	Interpreter string
	// Args start a worker: the interpreter, its flags, and the script.
	Args []string
	// PythonPath is what the worker imports from, in order.
	PythonPath []string
	// Key names the environment by its content; empty for a user's own.
	Key string
	// Versions of Python and of the packages that matter.
	Versions map[string]string
}

// Ensure returns the environment, making it if need be. Errors are *shared.Error
// of the reason PYTHON_ENVIRONMENT, and say what to do. It may be called
// concurrently, by several processes too: each environment is made once.
func Ensure(ctx context.Context, opts Options) (*Environment, error) {
	if opts.Progress == nil {
		opts.Progress = func(Step) {}
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, failed("make folder for Python environments: %w", err).
			WithHint("set DSPEX_PYTHON_DIR or host.data_dir to a folder that this user can write")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, failed("find folder for Python environments: %w", err)
	}
	opts.Dir = dir
	pkg, err := extract(opts.Dir, python.Files)
	if err != nil {
		return nil, err
	}
	env := &Environment{}
	var sitePackages []string
	if opts.Interpreter != "" {
		sitePackages, err = useOwn(ctx, &opts, env)
	} else {
		sitePackages, err = useManaged(ctx, &opts, env)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, failed("make Python environment: %w", context.Cause(ctx))
		}
		return nil, err
	}
	env.PythonPath = append([]string{pkg}, opts.Path...)
	// Without -S the environment's site does this itself, and runs .pth files.
	flags := []string{"-I", "-X", "utf8"}
	if !opts.PTH {
		flags = append([]string{"-S"}, flags...)
		env.PythonPath = append(env.PythonPath, sitePackages...)
	}
	env.Args = append(append([]string{env.Interpreter}, flags...), filepath.Join(pkg, "dspex", "_boot.py"))
	return env, nil
}

// failed makes an error of this package's reason.
func failed(format string, args ...any) *shared.Error {
	return shared.Errorf(shared.PythonEnvironment, format, args...)
}

// step runs a part of the work and tells of its begin and end.
func (o *Options) step(phase, detail string, work func() error) error {
	o.Progress(Step{Phase: phase, Detail: detail})
	started := time.Now()
	err := work()
	if err == nil {
		o.Progress(Step{Phase: phase, Detail: detail, Elapsed: max(time.Since(started), time.Millisecond)})
	}
	return err
}
