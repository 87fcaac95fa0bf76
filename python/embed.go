// Package python holds the Python package of dspex and the lock of what it
// needs, so that a host and its workers are always of one version.
package python

import (
	"embed"
	"io/fs"
)

// files are named by patterns for files, because a pattern that names a folder
// leaves out those that begin with an underscore.
//
//go:embed dspex/*.py dspex/*/*.py dspex/py.typed
var files embed.FS

//go:embed requirements.lock
var lock string

// Package returns the files of the Python package, below the folder "dspex".
func Package() fs.FS { return files }

// Lock returns a copy of the requirements.lock that comes with dspex: exact
// versions, each with its hashes.
func Lock() []byte { return []byte(lock) }
