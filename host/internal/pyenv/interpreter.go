package pyenv

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// probeTimeout bounds the questions to an interpreter, which take some 50 ms.
const probeTimeout = 30 * time.Second

// candidates are the names under which Python is looked for, the newest first.
var candidates = []string{"python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3", "python"}

//go:embed probe.py
var probeScript string

// saysVersion is what `python --version` prints, whatever its age.
var saysVersion = regexp.MustCompile(`Python (\d[^\s]*)`)

// interpreter is what a Python says of itself.
type interpreter struct {
	// Path is what it runs as. Real is the file behind the links.
	Path string `json:"path"`
	Real string `json:"real"`
	// Implementation is such as "CPython"; Tag such as "cpython-311" is in the
	// names of its bytecode, ABI in those of its extension modules.
	Implementation string `json:"implementation"`
	Version        string `json:"version"`
	Tag            string `json:"tag"`
	ABI            string `json:"abi"`
	Platform       string `json:"platform"`
	// Site are its folders of packages, in order. Venv is the folder of the
	// virtual environment that it is in; empty if it is in none.
	Site []string `json:"site"`
	Venv string   `json:"venv"`
	// HasVenv reports whether it can make virtual environments with pip.
	HasVenv bool `json:"has_venv"`
}

// versionError is a Python of another version than is wanted.
type versionError struct{ found, wanted string }

// Error says which was found.
func (e *versionError) Error() string {
	return fmt.Sprintf("it is Python %s, and python.version wants %s", e.found, e.wanted)
}

// ask runs an interpreter, and returns what it says of itself if its version
// fits.
func (o *Options) ask(ctx context.Context, path string) (*interpreter, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, fmt.Errorf("no answer within %v", probeTimeout))
	defer cancel()
	question := o.command(o.probeEnv(), path, "-I", "-S", "-X", "utf8", "-c", probeScript)
	out, err := question.run(ctx)
	i := &interpreter{}
	if err == nil && (json.Unmarshal(out, i) != nil || i.Version == "") {
		err = fmt.Errorf("it is no Python: it printed %q", clip(string(out)))
	}
	if err != nil {
		// One so old that it cannot run the question still has a version.
		question.args = []string{"--version"}
		var said string
		question.line = func(line string) { said += line + "\n" }
		if out, again := question.run(ctx); again == nil {
			if m := saysVersion.FindStringSubmatch(said + string(out)); m != nil {
				if ok, bad := fits(m[1], o.Version); bad == nil && !ok {
					err = &versionError{m[1], o.Version}
				}
			}
		}
		return nil, err
	}
	ok, err := fits(i.Version, o.Version)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &versionError{i.Version, o.Version}
	}
	if i.Implementation != "CPython" {
		return nil, fmt.Errorf("it is %s, and the packages are built for CPython", i.Implementation)
	}
	if i.Path == "" {
		i.Path = path
	}
	if i.Real, err = filepath.EvalSymlinks(i.Path); err != nil {
		return nil, err
	}
	return i, nil
}

// find returns the newest Python on PATH whose version fits. What it finds is
// kept, as long as PATH leads to the same files.
func find(ctx context.Context, o *Options) (*interpreter, error) {
	if _, err := fits("3.10", o.Version); err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range candidates {
		if path, ok := o.lookPath(name); ok {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil, failed("find Python: there is none on PATH").
			WithHint("install Python %s (on Debian: apt install python3 python3-venv), or set python.interpreter", o.Version)
	}
	key := o.knownKey("find", paths)
	if i := o.recall(key); i != nil {
		return i, nil
	}
	var refused []string
	for _, path := range paths {
		i, err := o.ask(ctx, path)
		switch old := (*versionError)(nil); {
		case err == nil:
			o.remember(key, i)
			return i, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.As(err, &old):
			refused = append(refused, fmt.Sprintf("%s is %s", path, old.found))
		default:
			refused = append(refused, fmt.Sprintf("%s fails: %s", path, oneLine(err.Error())))
		}
	}
	return nil, failed("find Python: none on PATH fits %q: %s", o.Version, strings.Join(refused, "; ")).
		WithHint("install Python %s, or set python.interpreter, or change python.version", o.Version)
}

// own returns the interpreter that the user named.
func own(ctx context.Context, o *Options) (*interpreter, error) {
	const hint = "set python.interpreter to the path of a Python, or remove it, and dspex finds one"
	path := o.Interpreter
	if !strings.ContainsRune(path, filepath.Separator) {
		found, ok := o.lookPath(path)
		if !ok {
			return nil, failed("find interpreter %q: there is no such program on PATH", path).WithHint(hint)
		}
		path = found
	}
	path, err := filepath.Abs(path)
	if err == nil {
		err = executable(path)
	}
	if err != nil {
		return nil, failed("find interpreter %q: %w", o.Interpreter, err).WithHint(hint)
	}
	key := o.knownKey("own", []string{path})
	if i := o.recall(key); i != nil {
		return i, nil
	}
	i, err := o.ask(ctx, path)
	if old := (*versionError)(nil); errors.As(err, &old) {
		return nil, failed("use interpreter %q: %w", o.Interpreter, err).WithHint("name another interpreter, or change python.version")
	}
	if err != nil {
		return nil, failed("run interpreter %q: %w", o.Interpreter, err).WithHint(hint)
	}
	o.remember(key, i)
	return i, nil
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

func oneLine(s string) string { return clip(strings.Join(strings.Fields(s), " ")) }
