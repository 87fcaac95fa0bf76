// Package pyenv finds or makes the Python environment of a pool.
//
// The workers' own code is not installed: [Ensure] writes the package that is
// embedded in the binary to a folder named by its digest, and checks it at every
// start. Third-party packages come from a virtual environment that is made by uv
// from a lock with hashes, in a folder named by the digest of everything that
// made it; or from an interpreter that the user names. Both kinds of folder are
// never changed once they are there: they may be shared by hosts, and a crash
// leaves nothing half made.
//
// Below Options.Dir:
//
//	pkg/KEY/           the dspex package, read-only, with bytecode
//	env/KEY/           an environment; dspex-env.json says that it is complete
//	uv/VERSION/        the uv that is installed where there is none
//	known/KEY.json     what was learned of interpreters, so that no start asks twice
//	uv-cache/          uv's cache, where the user has no place for one
//	.../KEY.lock       held while one of the folders is made
package pyenv
