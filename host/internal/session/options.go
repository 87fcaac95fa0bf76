package session

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/shared"
)

// minTTL keeps lifetimes above what a write to the disk takes.
const minTTL = time.Millisecond

// maxGlobalPrograms bounds the programs that belong to no session.
const maxGlobalPrograms = 10_000

// Options are the rules of Sessions.
type Options struct {
	// DefaultTTL is the lifetime of sessions created without one. Defaults to 1h.
	DefaultTTL time.Duration
	// MaxTTL is the longest lifetime that a caller may ask for. Defaults to 7 days.
	MaxTTL time.Duration
	// CleanupInterval is how often the records of expired sessions are deleted.
	// Defaults to 60s.
	CleanupInterval time.Duration
	// Sliding restarts a session's lifetime with each use. Without it only Put,
	// Patch, Update and Touch do. Defaults to false.
	Sliding bool
	// MaxCount is how many sessions there may be. Defaults to 100,000.
	MaxCount int
	// MaxBytes is how much one session may hold: its data and, as stored, its
	// programs. Defaults to 1 MiB.
	MaxBytes int
	// MaxPrograms is how many programs one session may have. Defaults to 100.
	MaxPrograms int
	// OnEvent gets an event for each session created, updated, deleted and expired,
	// and each program stored and deleted, after the fact and without a lock. The
	// call that caused it waits for OnEvent to return. Defaults to nothing.
	OnEvent func(shared.Event)
	// Log gets what goes wrong in the background. Defaults to nothing.
	Log hclog.Logger

	// boot tells the time since the machine's start, for tests. Defaults to the
	// operating system's.
	boot func() (bootTime, bool)
}

func (o Options) withDefaults() Options {
	defaultTo(&o.DefaultTTL, time.Hour)
	defaultTo(&o.MaxTTL, 7*24*time.Hour)
	defaultTo(&o.CleanupInterval, time.Minute)
	defaultTo(&o.MaxCount, 100_000)
	defaultTo(&o.MaxBytes, 1<<20)
	defaultTo(&o.MaxPrograms, 100)
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.boot == nil {
		o.boot = systemBoot
	}
	return o
}

func defaultTo[T time.Duration | int](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

func (o Options) validate() error {
	switch {
	case o.DefaultTTL < minTTL || o.MaxTTL < o.DefaultTTL:
		return shared.Errorf(shared.ConfigInvalid, "session: default_ttl %s: want %s to max_ttl, which is %s", o.DefaultTTL, minTTL, o.MaxTTL)
	case o.CleanupInterval < 0:
		return shared.Errorf(shared.ConfigInvalid, "session: cleanup_interval %s is negative", o.CleanupInterval)
	case o.MaxCount < 0 || o.MaxBytes < 0 || o.MaxPrograms < 0:
		return shared.Errorf(shared.ConfigInvalid, "session: a limit is negative")
	}
	return nil
}

// ttl returns the lifetime that a request asks for, or an error.
func (o Options) ttl(id string, want, unset time.Duration) (time.Duration, error) {
	switch {
	case want == 0:
		return unset, nil
	case want < minTTL || want > o.MaxTTL:
		return 0, shared.Errorf(shared.InvalidArgument, "session %s: TTL %s: want %s to %s", quote(id), want, minTTL, o.MaxTTL)
	}
	return want, nil
}
