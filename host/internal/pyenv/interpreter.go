package pyenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// candidates are the names under which Python is looked for, the newest first.
var candidates = []string{"python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3", "python"}

// interpreter is what a Python says of itself.
type interpreter struct {
	Path     string `json:"-"`
	Version  string `json:"version"`
	ABI      string `json:"abi"`
	Platform string `json:"platform"`
	Purelib  string `json:"purelib"`
	Platlib  string `json:"platlib"`
	// Site lists further folders of packages, for a user's own interpreter.
	Site    []string `json:"site"`
	HasVenv bool     `json:"has_venv"`
}

const describe = `
import importlib.util, json, platform, site, sys, sysconfig
p = sysconfig.get_paths()
print(json.dumps({
    "version": platform.python_version(),
    "abi": sys.implementation.cache_tag + "-" + str(sysconfig.get_config_var("EXT_SUFFIX")),
    "platform": sysconfig.get_platform(),
    "purelib": p["purelib"], "platlib": p["platlib"],
    "site": [d for d in site.getsitepackages() if d not in (p["purelib"], p["platlib"])],
    "has_venv": all(importlib.util.find_spec(m) for m in ("venv", "ensurepip")),
}))`

// ask runs an interpreter and returns what it says of itself.
func ask(ctx context.Context, path string) (*interpreter, error) {
	out, err := run(ctx, nil, path, "-I", "-c", describe)
	if err != nil {
		return nil, err
	}
	i := &interpreter{Path: path}
	if err := json.Unmarshal(out, i); err != nil {
		return nil, fmt.Errorf("%s is no Python: it printed %q", path, clip(string(out)))
	}
	return i, nil
}

// find returns the newest Python on PATH that fits a version constraint.
func find(ctx context.Context, constraint string) (*interpreter, error) {
	var seen []string
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			continue
		}
		found, err := ask(ctx, path)
		if err != nil {
			seen = append(seen, fmt.Sprintf("%s (%v)", path, err))
			continue
		}
		if ok, err := fits(found.Version, constraint); err != nil {
			return nil, err
		} else if !ok {
			seen = append(seen, fmt.Sprintf("%s (%s)", path, found.Version))
			continue
		}
		return found, nil
	}
	if len(seen) == 0 {
		return nil, failed("find Python: there is none on PATH").
			WithHint("install Python %s (on Debian: apt install python3 python3-venv), or set python.interpreter", constraint)
	}
	return nil, failed("find Python: none on PATH is %s; found %s", constraint, strings.Join(seen, ", ")).
		WithHint("install Python %s, or set python.interpreter, or change python.version", constraint)
}

// fits reports whether a version meets a constraint such as ">=3.10,<3.15".
func fits(version, constraint string) (bool, error) {
	for _, part := range strings.Split(constraint, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		op := strings.TrimRight(part, "0123456789. ")
		cmp, err := compare(version, strings.TrimSpace(part[len(op):]), op == "==" || op == "!=")
		if err != nil {
			return false, failed("read python.version %q: %w", constraint, err)
		}
		ok := false
		switch op {
		case ">=":
			ok = cmp >= 0
		case ">":
			ok = cmp > 0
		case "<=":
			ok = cmp <= 0
		case "<":
			ok = cmp < 0
		case "==", "":
			ok = cmp == 0
		case "!=":
			ok = cmp != 0
		default:
			return false, failed("read python.version %q: %q is no comparison", constraint, op).WithHint(`write it such as ">=3.10,<3.15"`)
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// compare compares versions by their numbers; with prefix, only as many as want
// has.
func compare(version, want string, prefix bool) (int, error) {
	have := strings.Split(version, ".")
	for n, w := range strings.Split(want, ".") {
		b, err := strconv.Atoi(w)
		if err != nil {
			return 0, fmt.Errorf("%q is no version", want)
		}
		a := 0
		if n < len(have) {
			digits := have[n]
			for i, r := range digits {
				if r < '0' || r > '9' {
					digits = digits[:i] // 3.15.0rc1
					break
				}
			}
			a, _ = strconv.Atoi(digits) // empty is 0
		}
		if a != b {
			return a - b, nil
		}
	}
	if !prefix && len(have) > strings.Count(want, ".")+1 {
		for _, rest := range have[strings.Count(want, ".")+1:] {
			if strings.Trim(rest, "0") != "" {
				return 1, nil
			}
		}
	}
	return 0, nil
}

// run runs a program to its end and returns its stdout. The error has the last
// lines of its stderr.
func run(ctx context.Context, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		text := lastLines(stderr.String()+stdout.String(), 12)
		if text == "" {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return stdout.Bytes(), nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}
