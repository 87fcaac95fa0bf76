package pyenv

import (
	"context"
	"path/filepath"
	"strings"
)

// useOwn checks the interpreter that the user named. Nothing is installed, and
// nothing is asked again until it or its packages change.
func useOwn(ctx context.Context, o *Options, i *interpreter, env *Environment) (packages []string, err error) {
	env.Interpreter = i.Path
	if strings.ContainsRune(o.Interpreter, filepath.Separator) {
		// Exactly what was named: it may be a script that sets things up.
		if env.Interpreter, err = filepath.Abs(o.Interpreter); err != nil {
			return nil, failed("find interpreter %q: %w", o.Interpreter, err)
		}
	}
	versions, state := installed(i.Site)
	if n, version, bad := unmet(o.Modules, versions); bad {
		return nil, lacksPackage(env.Interpreter, n, version)
	}
	key := keyOf("imports", env.Interpreter, i.Real, strings.Join(i.Site, "\n"))
	var seen checked
	if !o.readKnown(key, &seen) || seen.State != state {
		seen = checked{State: state}
	}
	if missing := lacking(o.Modules, seen.Modules); len(missing) > 0 {
		if err := o.importAll(ctx, env.Interpreter, o.pythonPath(env.PackageDir, i.Site), missing); err != nil {
			return nil, err
		}
		seen.Modules = append(seen.Modules, missing...)
		o.writeKnown(key, seen)
	}
	env.Key = keyOf("own", env.Interpreter, i.Real, i.Version, i.ABI, state)
	env.Versions = versions
	return i.Site, nil
}

// lacksPackage is the error for a package that is missing, or of a version that
// does not do.
func lacksPackage(path string, n need, version string) error {
	const hint = "install it: %s -m pip install '%s'; or remove python.interpreter, and dspex makes an environment"
	if version == "" {
		return failed("interpreter %q does not have the package %s", path, n.pkg).WithHint(hint, path, n.requirement())
	}
	return failed("interpreter %q has %s %s, and dspex needs %s", path, n.pkg, version, n.requirement()).WithHint(hint, path, n.requirement())
}
