package pyenv

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// minimums are the oldest versions of packages that the generated protocol code
// works with.
var minimums = map[string]string{"grpcio": "1.76", "protobuf": "6.31.1"}

// packagesOf maps modules to the packages that bring them.
var packagesOf = map[string]string{"grpc": "grpcio", "google.protobuf": "protobuf", "dspy": "dspy"}

const versions = `
import importlib.metadata as m, json, sys
out = {}
for name in sys.argv[1:]:
    try: out[name] = m.version(name)
    except m.PackageNotFoundError: out[name] = ""
print(json.dumps(out))`

// useOwn checks an interpreter that the user named. Nothing is installed.
func useOwn(ctx context.Context, opts *Options, env *Environment) (sitePackages []string, err error) {
	path := opts.Interpreter
	if !strings.ContainsRune(path, filepath.Separator) {
		if path, err = exec.LookPath(path); err != nil {
			return nil, failed("find interpreter %q: %w", opts.Interpreter, err).WithHint("set python.interpreter to the path of a Python")
		}
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return nil, failed("find interpreter %q: it is not there, or not executable", opts.Interpreter).WithHint("set python.interpreter to the path of a Python")
	}
	found, err := ask(ctx, path)
	if err != nil {
		return nil, failed("run interpreter %q: %w", path, err)
	}
	if ok, err := fits(found.Version, opts.Version); err != nil {
		return nil, err
	} else if !ok {
		return nil, failed("interpreter %q is Python %s, and python.version wants %s", path, found.Version, opts.Version).
			WithHint("name another interpreter, or change python.version")
	}
	names := []string{}
	for _, module := range opts.Modules {
		if name := packagesOf[module]; name != "" {
			names = append(names, name)
		}
	}
	out, err := run(ctx, nil, path, append([]string{"-I", "-c", versions}, names...)...)
	if err != nil {
		return nil, failed("look for packages of %q: %w", path, err)
	}
	if err := json.Unmarshal(out, &env.Versions); err != nil {
		return nil, failed("look for packages of %q: %w", path, err)
	}
	for _, name := range names {
		have, least := env.Versions[name], minimums[name]
		if have == "" {
			return nil, failed("interpreter %q does not have the package %s", path, name).
				WithHint("install it: %s -m pip install %s; or remove python.interpreter, and dspex makes an environment", path, requirement(name, least))
		}
		if least != "" {
			if cmp, err := compare(have, least, false); err == nil && cmp < 0 {
				return nil, failed("interpreter %q has %s %s, and dspex needs %s or newer", path, name, have, least).
					WithHint("install it: %s -m pip install %s", path, requirement(name, least))
			}
		}
	}
	env.Interpreter = path
	env.Versions["python"] = found.Version
	return unique(append([]string{found.Purelib, found.Platlib}, found.Site...)), nil
}

func requirement(name, least string) string {
	if least == "" {
		return name
	}
	return "'" + name + ">=" + least + "'"
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
