package pyenv

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// uvVersion is the uv that is installed where there is none.
const uvVersion = "0.13.9"

// findUV returns a uv: the one that DSPEX_UV names, else one on PATH, else one of
// our own, which is installed with pip.
func findUV(ctx context.Context, opts *Options, base *interpreter) (string, error) {
	if path := os.Getenv("DSPEX_UV"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", failed("find uv: DSPEX_UV names %q: %w", path, err)
		}
		return path, nil
	}
	if path, err := exec.LookPath("uv"); err == nil {
		if out, err := run(ctx, nil, path, "--version"); err == nil {
			fields := strings.Fields(string(out))
			if len(fields) >= 2 {
				if cmp, err := compare(fields[1], "0.5", false); err == nil && cmp >= 0 {
					return path, nil
				}
			}
		}
	}
	dir := filepath.Join(opts.Dir, "uv", uvVersion)
	path := filepath.Join(dir, "bin", "uv")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if opts.Offline {
		return "", failed("find uv: there is none on PATH, and python.offline = true").WithHint("install uv, or set DSPEX_UV")
	}
	if !base.HasVenv {
		return "", failed("make environment: %s has no venv module", base.Path).
			WithHint("install it (on Debian: apt install python3-venv), or install uv, or set python.interpreter to one that has the packages")
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", failed("install uv: %w", err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := removeAll(dir); err != nil {
		return "", failed("install uv: %w", err)
	}
	err = opts.step("install uv", uvVersion, func() error {
		if _, err := run(ctx, nil, base.Path, "-m", "venv", dir); err != nil {
			return err
		}
		// The binary appears at the end of the installation: a crash before leaves none.
		_, err := run(ctx, nil, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"--only-binary", ":all:", "uv=="+uvVersion)
		return err
	})
	if err != nil {
		_ = removeAll(dir)
		return "", failed("install uv: %w", err).WithHint("%s", diagnose(err, base))
	}
	return path, nil
}

// uvEnvironment is what uv gets beside the user's own settings, which count.
func uvEnvironment(opts *Options) []string {
	// An interpreter would come from a host outside the package index.
	env := []string{"UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1"}
	if os.Getenv("UV_CACHE_DIR") == "" {
		if cache, err := os.UserCacheDir(); err != nil || !writable(cache) {
			env = append(env, "UV_CACHE_DIR="+filepath.Join(opts.Dir, "uv-cache"))
		}
	}
	return env
}

// writable reports whether a folder can be made in dir, or dir itself.
func writable(dir string) bool {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false
	}
	probe, err := os.MkdirTemp(dir, ".dspex-probe")
	if err != nil {
		return false
	}
	return os.Remove(probe) == nil
}
