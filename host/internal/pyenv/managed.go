package pyenv

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/dspex/dspex/python"
)

const (
	// schema changes when environments are made in another way, so that old ones
	// are not taken for new.
	schema = "1"
	// manifestName is the file that says that an environment is complete.
	manifestName = "dspex-env.json"
)

// manifest describes a complete environment.
type manifest struct {
	Interpreter string   `json:"interpreter"`
	Base        string   `json:"base"`
	Site        []string `json:"site"`
	// Modules that were seen to be importable.
	Modules  []string          `json:"modules"`
	Versions map[string]string `json:"versions"`
}

// remembered is what was learned of the Python on PATH, so that the next start
// asks nobody.
type remembered struct {
	Path    string      `json:"path"`
	Size    int64       `json:"size"`
	ModTime int64       `json:"mod_time"`
	Found   interpreter `json:"found"`
}

// useManaged finds or makes an environment from a lock.
func useManaged(ctx context.Context, opts *Options, env *Environment) (sitePackages []string, err error) {
	base, err := findRemembered(ctx, opts)
	if err != nil {
		return nil, err
	}
	requirements := opts.Requirements
	if requirements == nil {
		requirements = python.Lock
	}
	digest := sha256.New()
	for _, part := range []string{schema, base.Path, base.Version, base.ABI, base.Platform, fmt.Sprint(opts.Hashes), string(requirements)} {
		fmt.Fprintf(digest, "%d:%s,", len(part), part)
	}
	env.Key = hex.EncodeToString(digest.Sum(nil))[:16]
	dir := filepath.Join(opts.Dir, "env", env.Key)
	m, err := readManifest(dir)
	if err != nil {
		if m, err = create(ctx, opts, base, dir, requirements); err != nil {
			return nil, err
		}
	}
	if missing := lacking(m, opts.Modules); len(missing) > 0 {
		if err := probe(ctx, m.Interpreter, missing); err != nil {
			return nil, err
		}
	}
	env.Interpreter, env.Versions = m.Interpreter, m.Versions
	return m.Site, nil
}

// findRemembered is find, unless the Python found last time is still the same
// file, and would be found again.
func findRemembered(ctx context.Context, opts *Options) (*interpreter, error) {
	key := sha256.Sum256([]byte(os.Getenv("PATH") + "\x00" + opts.Version))
	path := filepath.Join(opts.Dir, "interpreter-"+hex.EncodeToString(key[:])[:16]+".json")
	var memory remembered
	if raw, err := os.ReadFile(path); err == nil && json.Unmarshal(raw, &memory) == nil {
		if info, err := os.Stat(memory.Path); err == nil && info.Size() == memory.Size && info.ModTime().UnixNano() == memory.ModTime {
			memory.Found.Path = memory.Path
			return &memory.Found, nil
		}
	}
	found, err := find(ctx, opts.Version)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(found.Path); err == nil {
		raw, _ := json.Marshal(remembered{found.Path, info.Size(), info.ModTime().UnixNano(), *found}) // plain values
		if err := renameio.WriteFile(path, raw, 0o644); err != nil {
			opts.Log.Debug("interpreter not remembered", "error", err)
		}
	}
	return found, nil
}

func readManifest(dir string) (*manifest, error) {
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, err
	}
	_, err = os.Stat(m.Interpreter)
	return m, err
}

// create makes an environment, once over all processes. What is there without a
// manifest was left by a crash.
func create(ctx context.Context, opts *Options, base *interpreter, dir string, requirements []byte) (*manifest, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, failed("make Python environment: %w", err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if m, err := readManifest(dir); err == nil {
		return m, nil
	}
	if err := removeAll(dir); err != nil {
		return nil, failed("remove half-made environment: %w", err)
	}
	uv, err := findUV(ctx, opts, base)
	if err != nil {
		return nil, err
	}
	if err := install(ctx, opts, uv, base, dir, requirements); err != nil {
		_ = removeAll(dir)
		return nil, err
	}
	made, err := ask(ctx, filepath.Join(dir, "bin", "python"))
	if err != nil {
		return nil, failed("run the new environment: %w", err)
	}
	m := &manifest{Interpreter: made.Path, Base: base.Path, Site: unique([]string{made.Purelib, made.Platlib}), Modules: opts.Modules}
	if err := opts.step("check imports", strings.Join(opts.Modules, ", "), func() error { return probe(ctx, m.Interpreter, opts.Modules) }); err != nil {
		return nil, err
	}
	out, err := run(ctx, nil, m.Interpreter, "-I", "-c", versions, "grpcio", "protobuf", "dspy")
	if err == nil {
		err = json.Unmarshal(out, &m.Versions)
	}
	if err != nil {
		return nil, failed("look for packages: %w", err)
	}
	m.Versions["python"] = made.Version
	raw, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = renameio.WriteFile(filepath.Join(dir, manifestName), raw, 0o644)
	}
	if err != nil {
		return nil, failed("write %s: %w", manifestName, err)
	}
	return m, nil
}

func install(ctx context.Context, opts *Options, uv string, base *interpreter, dir string, requirements []byte) error {
	lockFile := dir + ".txt"
	if err := renameio.WriteFile(lockFile, requirements, 0o644); err != nil {
		return failed("write requirements: %w", err)
	}
	defer os.Remove(lockFile)
	env := uvEnvironment(opts)
	err := opts.step("make environment", "Python "+base.Version, func() error {
		_, err := run(ctx, env, uv, "venv", "--quiet", "--no-project", "--no-config", "--python", base.Path, dir)
		return err
	})
	if err != nil {
		return failed("make environment with %s: %w", base.Path, err).WithHint("%s", diagnose(err, base))
	}
	args := []string{"pip", "sync", "--quiet", "--python", filepath.Join(dir, "bin", "python"), "--compile-bytecode", "--only-binary", ":all:"}
	if opts.Hashes {
		args = append(args, "--require-hashes")
	}
	if opts.Offline {
		args = append(args, "--offline")
	}
	err = opts.step("install packages", fmt.Sprintf("%d packages", countPackages(requirements)), func() error {
		_, err := run(ctx, env, uv, append(args, lockFile)...)
		return err
	})
	if err != nil {
		return failed("install packages: %w", err).WithHint("%s", diagnose(err, base))
	}
	return nil
}

// requirementLine begins a package in a lock.
var requirementLine = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*\s*==`)

func countPackages(requirements []byte) int {
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(requirements)); lines.Scan(); {
		if requirementLine.Match(lines.Bytes()) {
			n++
		}
	}
	return n
}

// probe imports modules, each in the way that workers will.
func probe(ctx context.Context, path string, modules []string) error {
	for _, module := range modules {
		if _, err := run(ctx, []string{"LITELLM_LOCAL_MODEL_COST_MAP=true"}, path, "-I", "-c", "import "+module); err != nil {
			return failed("import %s with %s: %w", module, path, err).
				WithHint("the requirements must have the package %s", packagesOf[module])
		}
	}
	return nil
}

func lacking(m *manifest, modules []string) []string {
	have := make(map[string]bool)
	for _, name := range m.Modules {
		have[name] = true
	}
	var missing []string
	for _, name := range modules {
		if !have[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

// diagnose says what to do about a failed installation.
func diagnose(err error, base *interpreter) string {
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "hash mismatch"), strings.Contains(text, "hashes are required"), strings.Contains(text, "hash"):
		return "the package is not the one that was locked: make the lock anew from a source that you trust (uv pip compile --generate-hashes), or set python.hashes = false"
	case strings.Contains(text, "no space left"):
		return "the disk is full"
	case strings.Contains(text, "--offline"), strings.Contains(text, "network was disabled"):
		return "python.offline = true allows only packages that uv has in its cache: install once with the network"
	case strings.Contains(text, "dns"), strings.Contains(text, "connect"), strings.Contains(text, "timed out"), strings.Contains(text, "timeout"):
		return "the package index cannot be reached: check the network and proxy settings"
	case strings.Contains(text, "no wheels"), strings.Contains(text, "only-binary"), strings.Contains(text, "no usable wheels"):
		return "a package has no wheel for Python " + base.Version + " on " + base.Platform + ": use another Python, or another version of the package"
	case strings.Contains(text, "permission denied"):
		return "this user cannot write there"
	}
	return "run it by hand to see more: uv pip install -r requirements.lock"
}
