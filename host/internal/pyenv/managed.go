package pyenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

const (
	// schema changes when environments are made in another way, so that old ones
	// are not taken for new.
	schema = "2"
	// manifestName is the file that says that an environment is complete.
	manifestName = "dspex-env.json"
)

// manifest describes a complete environment. Paths in it are relative to it.
type manifest struct {
	Key           string    `json:"key"`
	Base          string    `json:"base"`
	PythonVersion string    `json:"python_version"`
	Installer     string    `json:"installer"`
	Created       time.Time `json:"created"`
	Site          []string  `json:"site"`
	// State of the folders in Site, and the packages in them.
	State    string            `json:"state"`
	Versions map[string]string `json:"versions"`
	// Modules that were seen to be importable.
	Modules []string `json:"modules"`
}

// useManaged finds or makes an environment from a lock.
func useManaged(ctx context.Context, o *Options, base *interpreter, env *Environment) (packages []string, err error) {
	env.Managed = true
	env.Key = keyOf(schema, string(o.Requirements), fmt.Sprint(o.Hashes), base.Real, base.Version, base.ABI, base.Platform, runtime.GOARCH)
	place := filepath.Join(o.Dir, "env", env.Key)
	m, err := readManifest(place, env.Key)
	if err != nil || len(lacking(o.Modules, m.Modules)) > 0 {
		if m, err = o.complement(ctx, base, place, env); err != nil {
			return nil, err
		}
	}
	env.Interpreter = filepath.Join(place, "bin", "python")
	env.Versions = maps.Clone(m.Versions)
	return m.folders(place), nil
}

// complement makes an environment, or checks modules that were not checked yet:
// once over all processes.
func (o *Options) complement(ctx context.Context, base *interpreter, place string, env *Environment) (*manifest, error) {
	held, err := o.lock(ctx, place, "Python environment")
	if err != nil {
		return nil, err
	}
	defer held.release()
	m, err := readManifest(place, env.Key)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			o.Log.Warn("Python environment is made anew", "path", place, "reason", err)
		}
		return o.create(ctx, base, place, env, held)
	}
	missing := lacking(o.Modules, m.Modules)
	if err := o.importAll(ctx, filepath.Join(place, "bin", "python"), o.pythonPath(env.PackageDir, m.folders(place)), missing); err != nil {
		return nil, err
	}
	if m.Modules = append(m.Modules, missing...); len(missing) > 0 {
		if err := m.write(place); err != nil {
			o.Log.Debug("what was imported is not kept", "error", err)
		}
	}
	return m, nil
}

// create makes an environment beside its place and moves it there when it is
// complete. Programs find its parts by its own path, so that it can be moved.
func (o *Options) create(ctx context.Context, base *interpreter, place string, env *Environment, held *fileLock) (*manifest, error) {
	if !o.Hashes {
		o.Log.Warn("packages are installed without a check of their hashes (python.hashes = false)")
	}
	with, err := o.findInstaller(ctx, base)
	if err != nil {
		return nil, err
	}
	made := place + ".tmp"
	defer func() { _ = removeAll(made) }()
	work := &job{Options: o, installer: with, base: base, dir: made, held: held, hashes: o.Hashes}
	err = o.step("make environment", fmt.Sprintf("Python %s, %s", base.Version, base.Path), func() error { return work.venv(ctx) })
	if err != nil {
		return nil, err
	}
	if err := o.fill(ctx, work); err != nil {
		return nil, err
	}
	m := &manifest{
		Key: env.Key, Base: base.Path, PythonVersion: base.Version, Installer: with.name(),
		Created: time.Now().UTC().Truncate(time.Second), Modules: o.Modules,
	}
	if err := m.describe(ctx, o, made); err != nil {
		return nil, err
	}
	if n, version, bad := unmet(o.Modules, m.Versions); bad {
		if version == "" {
			version = "does not have it"
		} else {
			version = "has " + version
		}
		return nil, failed("the requirements must have %s: the lock %s", n.requirement(), version).WithHint("add it to the requirements, and make the lock anew")
	}
	if err := o.conflict(ctx, work.check(ctx)); err != nil {
		return nil, err
	}
	if err := o.importAll(ctx, work.python(), o.pythonPath(env.PackageDir, m.folders(made)), o.Modules); err != nil {
		return nil, err
	}
	err = m.write(made)
	if err == nil {
		err = syncAll(made)
	}
	if err == nil {
		err = publish(made, place)
	}
	if err != nil {
		return nil, fileFailed("write Python environment", err)
	}
	return m, nil
}

// fill installs the packages. The step begins when their number is known.
func (o *Options) fill(ctx context.Context, work *job) error {
	started, detail := time.Now(), ""
	work.count = func(packages string) {
		if detail == "" {
			detail = packages
			o.Progress(Step{Phase: "install packages", Detail: packages})
		}
	}
	if work.uv == "" {
		work.count("with pip")
	}
	if err := work.install(ctx, o.Requirements); err != nil {
		return err
	}
	o.Progress(Step{Phase: "install packages", Detail: detail, Elapsed: max(time.Since(started), time.Millisecond)})
	return nil
}

// conflict decides on packages that do not fit together. Who made a lock of their
// own may have overridden something, and is warned.
func (o *Options) conflict(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.shipped {
		return failed("check the lock that comes with dspex: %w", err)
	}
	o.Log.Warn("packages of the lock do not fit together", "error", err)
	return nil
}

func (i *installer) name() string {
	if i.uv == "" {
		return "pip"
	}
	return i.uv
}

// readManifest returns the description of an environment that is complete and
// unchanged.
func readManifest(place, key string) (*manifest, error) {
	raw, err := os.ReadFile(filepath.Join(place, manifestName))
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", manifestName, err)
	}
	if err := executable(filepath.Join(place, "bin", "python")); err != nil {
		return nil, fmt.Errorf("its interpreter has gone: %s", err) //nolint:errorlint // the file that is missing is not the manifest
	}
	versions, state := installed(m.folders(place))
	if m.Key != key || state != m.State || !maps.Equal(versions, m.Versions) {
		return nil, errors.New("its packages were changed")
	}
	return m, nil
}

// describe fills in what is in the environment.
func (m *manifest) describe(ctx context.Context, o *Options, made string) error {
	i, err := o.ask(ctx, filepath.Join(made, "bin", "python"))
	if err != nil {
		return failed("run the new environment: %w", err)
	}
	for _, folder := range i.Site {
		inside, err := filepath.Rel(made, folder)
		if err != nil || strings.HasPrefix(inside, "..") {
			continue
		}
		m.Site = append(m.Site, inside)
	}
	m.Versions, m.State = installed(m.folders(made))
	return nil
}

func (m *manifest) folders(place string) []string {
	out := make([]string, len(m.Site))
	for n, folder := range m.Site {
		out[n] = filepath.Join(place, folder)
	}
	return out
}

func (m *manifest) write(place string) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(place, manifestName), raw, 0o644)
}
