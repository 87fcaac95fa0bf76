package pyenv

import (
	"context"
	_ "embed"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// uvVersion is the uv that is installed where there is none: the one of
	// uv-requirements.lock.
	uvVersion = "0.13.9"
	// uvLeast is the oldest uv that has every option used here.
	uvLeast = "0.5"
)

// ownUV locks uv, with the hashes of its wheels.
//
//go:embed uv-requirements.lock
var ownUV []byte

// saysUV is what `uv --version` prints.
var saysUV = regexp.MustCompile(`^uv (\d[^\s]*)`)

// installer makes environments: with uv, or with pip where there is no uv.
type installer struct {
	uv string // path; empty for pip
}

// findInstaller returns uv: the one that DSPEX_UV names, else one on PATH, else
// one of our own, which is installed with pip. Where that does not go, it is pip.
func (o *Options) findInstaller(ctx context.Context, base *interpreter) (*installer, error) {
	if name := o.getenv("DSPEX_UV"); name != "" {
		path := name
		if found, ok := o.lookPath(name); ok && !strings.ContainsRune(name, filepath.Separator) {
			path = found
		}
		if err := o.checkUV(ctx, path); err != nil {
			return nil, failed("use uv of DSPEX_UV=%s: %w", name, err).WithHint("set DSPEX_UV to the path of uv %s or newer, or unset it", uvLeast)
		}
		return &installer{uv: path}, nil
	}
	if path, ok := o.lookPath("uv"); ok {
		err := o.checkUV(ctx, path)
		if err == nil {
			return &installer{uv: path}, nil
		}
		o.Log.Warn("uv on PATH is not used", "path", path, "error", err)
	}
	path, err := o.ownUV(ctx, base)
	switch {
	case err == nil:
		return &installer{uv: path}, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !base.HasVenv, causeOf(err) == hashMismatch:
		return nil, err
	}
	o.Log.Warn("uv cannot be installed: using pip, which is slower", "error", err)
	return &installer{}, nil
}

// checkUV returns why a uv is not used, if so.
func (o *Options) checkUV(ctx context.Context, path string) error {
	if err := executable(path); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out, err := o.command(o.probeEnv(), path, "--version").run(ctx)
	if err != nil {
		return err
	}
	m := saysUV.FindStringSubmatch(string(out))
	if m == nil {
		return errors.New("it is no uv: it printed " + oneLine(string(out)))
	}
	if cmp, err := compare(m[1], uvLeast, false); err != nil || cmp < 0 {
		return errors.New("it is uv " + m[1] + ", and dspex needs " + uvLeast + " or newer")
	}
	return nil
}

// ownUV returns the uv in Dir, installing it if need be.
func (o *Options) ownUV(ctx context.Context, base *interpreter) (string, error) {
	place := filepath.Join(o.Dir, "uv", uvVersion)
	path := filepath.Join(place, "bin", "uv")
	if executable(path) == nil {
		return path, nil
	}
	if !base.HasVenv {
		return "", failed("make environment: there is no uv, and %s has no venv module", base.Path).
			WithHint("install the module (on Debian: apt install python%s-venv), or install uv, or set python.interpreter to one that has the packages",
				minor(base.Version))
	}
	held, err := o.lock(ctx, place, "uv")
	if err != nil {
		return "", err
	}
	defer held.release()
	if executable(path) == nil {
		return path, nil // by another process meanwhile
	}
	made := place + ".tmp"
	defer func() { _ = removeAll(made) }()
	pip := &installer{}
	err = o.step("install uv", uvVersion, func() error {
		job := &job{Options: o, installer: pip, base: base, dir: made, held: held, hashes: true}
		if err := job.venv(ctx); err != nil {
			return err
		}
		return job.install(ctx, o.uvLock)
	})
	if err != nil {
		return "", err
	}
	// The script beside it names the interpreter by the old path; uv does not.
	if err := publish(made, place); err != nil {
		return "", fileFailed("install uv", err)
	}
	return path, nil
}

func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
