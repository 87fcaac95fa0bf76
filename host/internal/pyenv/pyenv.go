package pyenv

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/python"
	"github.com/dspex/dspex/shared"
)

// bootFile is the script that a worker starts with, in the package's folder.
const bootFile = "dspex/_boot.py"

// Options say which environment is wanted.
type Options struct {
	// Dir is where environments and the package are kept. Hosts may share it.
	Dir string
	// Interpreter of the user's own, which has the packages: a path, or a name on
	// PATH. Defaults to none: dspex makes an environment.
	Interpreter string
	// Version that the interpreter must have, such as ">=3.10,<3.15". Defaults to
	// any.
	Version string
	// Requirements is the content of a lock file. Defaults to the one that comes
	// with dspex.
	Requirements []byte
	// Hashes requires a hash for each package of Requirements. The lock that comes
	// with dspex is always held to its hashes.
	Hashes bool
	// Offline forbids downloads.
	Offline bool
	// Path holds folders to import from, before the environment's own. Defaults to
	// none.
	Path []string
	// PTH lets .pth files of the environment run. Defaults to not: each would run
	// its code in every worker.
	PTH bool
	// Modules must be importable. Defaults to none.
	Modules []string
	// Progress is told of each step that takes time. Defaults to nobody.
	Progress func(Step)
	// Env is the environment, as of os.Environ, in which PATH, DSPEX_UV and the
	// settings of uv and pip are looked up. Programs that are run get only the
	// parts of it that they need. Defaults to os.Environ().
	Env []string
	// Log defaults to nowhere.
	Log hclog.Logger

	files   fs.FS  // the package; python.Package() but in tests
	uvLock  []byte // locks uv; ownUV but in tests
	shipped bool   // Requirements is the lock that comes with dspex
}

// Step is a part of the making of an environment.
type Step struct {
	// Phase is what is done, such as "install packages".
	Phase  string
	Detail string
	// Elapsed is 0 when the step begins, and its time when it is over.
	Elapsed time.Duration
}

// Environment is where workers run. It is immutable.
type Environment struct {
	// Interpreter is its path.
	Interpreter string
	// Args start a worker: the interpreter, its flags, and the script. Without PTH
	// the flags are -I -S, and nothing is importable but what PythonPath has. With
	// PTH -S is left out: the interpreter adds its own site-packages and runs the
	// .pth files there before the script begins.
	Args []string
	// PythonPath is what the worker imports from, in order: PackageDir, the pool's
	// own folders, the folders of third-party packages. It goes to the worker as
	// DSPEX_PYTHONPATH, joined with os.PathListSeparator.
	PythonPath []string
	// PackageDir holds the folder dspex, which is the package of this binary.
	PackageDir string
	// Boot is the script in PackageDir that a worker starts with.
	Boot string
	// Key names the environment by what made it; for a user's own, by what was
	// found in it.
	Key string
	// PythonVersion is such as "3.11.7".
	PythonVersion string
	// Versions of the third-party packages by normalized name, and of "python".
	Versions map[string]string
	// Managed reports whether dspex made it.
	Managed bool
}

// Ensure returns the environment, making it if need be, which takes seconds to
// minutes; once it is there, milliseconds. It may be called concurrently, by
// several processes too: each environment is made once, and the others wait.
//
// Errors are *shared.Error of the reason PYTHON_ENVIRONMENT, name what failed and
// say what to do. When ctx ends, the programs that were started are ended, and
// what they made is not used.
func Ensure(ctx context.Context, opts Options) (*Environment, error) {
	env, err := ensure(ctx, &opts)
	if err != nil && ctx.Err() != nil {
		return nil, failed("make Python environment: %w", context.Cause(ctx))
	}
	return env, err
}

func ensure(ctx context.Context, opts *Options) (*Environment, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	base, err := opts.interpreter(ctx)
	if err != nil {
		return nil, err
	}
	env := &Environment{PythonVersion: base.Version}
	if env.PackageDir, err = extract(ctx, opts, base); err != nil {
		return nil, err
	}
	var packages []string
	if opts.Interpreter != "" {
		packages, err = useOwn(ctx, opts, base, env)
	} else {
		packages, err = useManaged(ctx, opts, base, env)
	}
	if err != nil {
		return nil, err
	}
	env.Boot = filepath.Join(env.PackageDir, filepath.FromSlash(bootFile))
	env.PythonPath = opts.pythonPath(env.PackageDir, packages)
	env.Args = append(append([]string{env.Interpreter}, opts.flags()...), env.Boot)
	env.Versions["python"] = base.Version
	return env, nil
}

// complete puts the defaults in, and makes the folder.
func (o *Options) complete() error {
	if o.Progress == nil {
		o.Progress = func(Step) {}
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.files == nil {
		o.files = python.Package()
	}
	if o.uvLock == nil {
		o.uvLock = ownUV
	}
	if o.Requirements == nil {
		o.Requirements, o.Hashes, o.shipped = python.Lock(), true, true
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return failed("find folder for Python environments: %w", err)
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fileFailed("make folder for Python environments", err)
	}
	return nil
}

// interpreter is the user's own Python, or the one that environments are made of.
func (o *Options) interpreter(ctx context.Context) (*interpreter, error) {
	if o.Interpreter != "" {
		return own(ctx, o)
	}
	return find(ctx, o)
}

// flags of the interpreter.
func (o *Options) flags() []string {
	if o.PTH {
		return []string{"-I", "-X", "utf8"}
	}
	return []string{"-I", "-S", "-X", "utf8"}
}

func (o *Options) pythonPath(pkg string, packages []string) []string {
	return unique(append(append([]string{pkg}, o.Path...), packages...))
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

// failed makes an error of this package's reason.
func failed(format string, args ...any) *shared.Error {
	return shared.Errorf(shared.PythonEnvironment, format, args...)
}

func unique(paths []string) []string {
	seen := make(map[string]bool)
	var out []string
	for _, p := range paths {
		if p != "" && !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}
