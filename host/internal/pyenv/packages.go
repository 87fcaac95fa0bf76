package pyenv

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// need is what dspex needs of a package that workers import.
type need struct {
	pkg string
	// least is the oldest version, below the first that is too new; empty is any.
	least, below string
	// withdrawn is a version that its authors took back.
	withdrawn string
}

// needs by module. The generated code runs with protobuf 6.31.1 to 7; grpcio
// 1.78.1 was withdrawn over its behaviour after a fork.
var needs = map[string]need{
	"grpc":            {pkg: "grpcio", least: "1.76", withdrawn: "1.78.1"},
	"google.protobuf": {pkg: "protobuf", least: "6.31.1", below: "8"},
	"dspy":            {pkg: "dspy", least: "3.2"},
}

// separators are what a package's name may have in place of a hyphen.
var separators = regexp.MustCompile(`[-_.]+`)

// requirement is the need in the words of pip.
func (n need) requirement() string {
	out, comma := n.pkg, ""
	for _, part := range [][2]string{{">=", n.least}, {"<", n.below}, {"!=", n.withdrawn}} {
		if part[1] != "" {
			out += comma + part[0] + part[1]
			comma = ","
		}
	}
	return out
}

// met reports whether a version meets the need.
func (n need) met(version string) bool {
	atLeast, err := compare(version, n.least, false)
	if n.least != "" && (err != nil || atLeast < 0) {
		return false
	}
	if n.below != "" {
		if cmp, err := compare(version, n.below, false); err != nil || cmp >= 0 {
			return false
		}
	}
	return version != n.withdrawn
}

// unmet returns the first need of the modules that the packages do not meet; its
// version is empty if it is not there.
func unmet(modules []string, versions map[string]string) (n need, version string, bad bool) {
	for _, module := range modules {
		n, ok := needs[module]
		if ok && !n.met(versions[n.pkg]) {
			return n, versions[n.pkg], true
		}
	}
	return need{}, "", false
}

// installed returns the versions of the packages in folders, by normalized name,
// and the state of the folders, which changes when something is added, removed or
// upgraded. Of a package that is in two, the first counts, as in an import.
func installed(folders []string) (versions map[string]string, state string) {
	versions = make(map[string]string)
	var all []string
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		all = append(all, "in", filepath.Base(folder))
		for _, e := range entries {
			if e.Name() == "__pycache__" {
				continue // root's Pythons add to it
			}
			all = append(all, e.Name())
			name, version, ok := distribution(e)
			if _, has := versions[name]; ok && !has {
				versions[name] = version
			}
		}
	}
	return versions, keyOf(all...)
}

// distribution reads the name of a folder or file that describes a package.
func distribution(e fs.DirEntry) (name, version string, ok bool) {
	base, isInfo := strings.CutSuffix(e.Name(), ".dist-info")
	if !isInfo {
		if base, ok = strings.CutSuffix(e.Name(), ".egg-info"); !ok {
			return "", "", false
		}
	}
	name, version, ok = strings.Cut(base, "-")
	version, _, _ = strings.Cut(version, "-py") // of an .egg-info
	return strings.ToLower(separators.ReplaceAllString(name, "-")), version, ok
}
