// Package python holds the Python package of dspex and the lock of what it
// needs, so that a host and its workers are always of one version.
package python

import "embed"

// Files of the package, below "dspex". The patterns name files, because a
// pattern that names a folder leaves out those that begin with an underscore.
//
//go:embed dspex/*.py dspex/_proto/*.py dspex/py.typed
var Files embed.FS

// Lock is the requirements.lock that comes with dspex: exact versions, each
// with its hashes.
//
//go:embed requirements.lock
var Lock []byte
