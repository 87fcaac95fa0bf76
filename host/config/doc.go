// Package config reads pools.hcl: the language in which operators say which
// pools a host runs.
//
//	cfg, diags, files := config.Load(config.Options{Paths: []string{"pools.hcl"}})
//	if cfg == nil {
//		config.WriteDiagnostics(os.Stderr, diags, files, 80, false)
//		os.Exit(2)
//	}
//
// Every mistake is a diagnostic with its place in the source, and all of them
// come in one pass. One table (see [Reference]) says which blocks and attributes
// there are; a name that is not in it is an error, never ignored.
//
// # Concurrency
//
// Load and Parse may be called concurrently. A Config is not changed after it
// was loaded, and must not be changed after it was given to a host.
package config
