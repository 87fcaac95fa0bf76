package config

import (
	"encoding/json"
	"fmt"
	"time"
)

// Config is a whole configuration.
type Config struct {
	Host      Host
	Listeners []Listener
	Store     Store
	Session   Session
	// LMs by name.
	LMs      map[string]LM
	Pools    []Pool
	Programs []Program
	// Files that it was read from.
	Files []string
}

// Host is the `host` block.
type Host struct {
	// Name of the host. Defaults to the machine's host name.
	Name string
	// DataDir holds the store, the lock and the Python environments. Defaults to
	// /var/lib/dspex for root, else dspex in $XDG_STATE_HOME or ~/.local/state.
	DataDir string
	// RunDir holds sockets. Defaults to /run/dspex for root, else dspex in
	// $XDG_RUNTIME_DIR, else dspex-UID in the folder for temporary files.
	RunDir string
	// LogLevel is trace, debug, info, warn or error. Defaults to info.
	LogLevel string
	// LogFormat is auto, text or json. Defaults to auto: text on a terminal.
	LogFormat string
	// DrainTimeout is how long a stop waits for running calls. Defaults to 30s.
	DrainTimeout time.Duration
	// StartupConcurrency bounds the starts at once of all pools. Defaults to the
	// number of CPUs.
	StartupConcurrency int
	// MaxWorkers bounds the sum of all pools' sizes. Defaults to 0, no bound.
	MaxWorkers int
}

// Listener is a `listener` block.
type Listener struct {
	// Kind is "tcp" or "unix".
	Kind string
	Name string
	// Address is host:port of a tcp listener, on a loopback address.
	Address string
	// Path and Mode are those of a unix listener's socket. Mode defaults to 0660.
	Path string
	Mode uint32
}

// Store is the `store` block.
type Store struct {
	// Engine is bolt or memory. Defaults to bolt.
	Engine string
	// Path of the file. Defaults to dspex.db in the data folder.
	Path string
}

// Session is the `session` block.
type Session struct {
	// DefaultTTL of a session that asks for none. Defaults to 1h.
	DefaultTTL time.Duration
	// MaxTTL that a session may ask for. Defaults to 7d.
	MaxTTL time.Duration
	// CleanupInterval between two sweeps of expired sessions. Defaults to 60s.
	CleanupInterval time.Duration
	// Sliding says that use extends a session's life. Defaults to true.
	Sliding bool
	// MaxCount of sessions. Defaults to 100000.
	MaxCount int
	// MaxBytes of one session's data. Defaults to 1MiB.
	MaxBytes int64
	// MaxPrograms of one session. Defaults to 100.
	MaxPrograms int
}

// LM is an `lm` block: a language model.
type LM struct {
	Name string
	// Model as DSPy names it, such as openai/gpt-4o-mini.
	Model string
	// APIKey goes to workers after their start. Defaults to empty.
	APIKey Secret
	// APIBase is the URL of the provider's API. Defaults to the provider's own.
	APIBase string
	// ModelType is chat, text or responses. Defaults to chat.
	ModelType string
	// Temperature and MaxTokens. Default to the model's own.
	Temperature *float64
	MaxTokens   *int
	// Timeout of one request. Defaults to 60s.
	Timeout time.Duration
	// NumRetries of one request. Defaults to 3.
	NumRetries int
	// Cache answers in the worker's memory. Defaults to true.
	Cache bool
	// Extra keyword arguments of dspy.LM. Defaults to none.
	Extra map[string]any
}

// Pool is a `pool` block, completed from `defaults`.
type Pool struct {
	Name        string
	Description string
	// Enabled pools are started. Defaults to true.
	Enabled bool
	// Size is the number of workers. Defaults to twice the number of CPUs.
	Size int
	// MinReady workers make the pool ready. Defaults to 1.
	MinReady int
	// StartupTimeout of one worker, to its first answer. Defaults to 30s.
	StartupTimeout time.Duration
	// StartupConcurrency bounds the starts at once. Defaults to the number of CPUs.
	StartupConcurrency int
	// QueueTimeout bounds the wait for a slot. Defaults to 5s.
	QueueTimeout time.Duration
	// ExecutionTimeout of a call that asks for none, its wait included. Defaults
	// to 30s.
	ExecutionTimeout time.Duration
	// CancelGrace is how long a worker may take to end a cancelled call before it
	// is replaced. Defaults to 2s.
	CancelGrace time.Duration
	// Launch is fork or exec: how Python workers are started. Defaults to fork.
	Launch string
	// Module of Python with the pool's own commands. Defaults to none.
	Module string
	// Command is a plugin's program and arguments, in place of Python. Defaults to
	// none.
	Command []string
	// LM is the language model of the pool's programs. Defaults to none.
	LM string
	// Env is set in the workers' environment. Defaults to none.
	Env map[string]string
	// InheritEnv names the host's variables that workers get. Defaults to PATH,
	// locale, time zone, proxies and SSL_CERT_FILE.
	InheritEnv []string
	// Labels are for people and tools. Defaults to none.
	Labels map[string]string
	// Cwd of the workers. Defaults to the host's.
	Cwd string

	Python    Python
	Worker    Worker
	Queue     Queue
	Scheduler Scheduler
	Health    Health
	Restart   Restart
	Recycle   Recycle
}

// Python is the `python` block of a pool.
type Python struct {
	// Interpreter of the user's own, with the packages. Defaults to none: dspex
	// makes an environment.
	Interpreter string
	// Version that the interpreter must have. Defaults to ">=3.10,<3.15".
	Version string
	// Requirements is the path of a lock file. Defaults to the lock that comes
	// with dspex.
	Requirements string
	// Hashes requires a hash for each package. Defaults to true.
	Hashes bool
	// Path holds folders for imports. Defaults to none.
	Path []string
	// Offline forbids downloads. Defaults to false.
	Offline bool
	// PTH lets .pth files of the environment run. Defaults to false.
	PTH bool
}

// Worker is the `worker` block of a pool.
type Worker struct {
	// Concurrency is the number of calls at once in one worker. Defaults to 32.
	Concurrency int
	// Preload names modules to import at the start. Defaults to none.
	Preload []string
	// MaxMessage is the largest payload in bytes. Defaults to 64MiB.
	MaxMessage int64
}

// Queue is the `queue` block of a pool.
type Queue struct {
	// Capacity is the number of calls that may wait. Defaults to 1000.
	Capacity int
	// Order is fifo.
	Order string
}

// Scheduler is the `scheduler` block of a pool.
type Scheduler struct {
	// Strategy is least_busy.
	Strategy string
	// Tie among equally free workers: oldest_idle or newest_idle. Defaults to
	// oldest_idle.
	Tie string
}

// Health is the `health` block of a pool.
type Health struct {
	// Interval between two checks. Defaults to 5s.
	Interval time.Duration
	// Timeout of a check. Defaults to 2s.
	Timeout time.Duration
	// FailAfter failed checks in a row, the worker is replaced. Defaults to 3.
	FailAfter int
	// MaxErrorRate of the last minute above which the pool's health is an error.
	// Defaults to 0.05.
	MaxErrorRate float64
	// WarnQueueTimeouts in the last minute make a warning. Defaults to 1; 0 is
	// never.
	WarnQueueTimeouts int
}

// Restart is the `restart` block of a pool.
type Restart struct {
	// Mode is always, on_failure or never. Defaults to always.
	Mode string
	// Backoff before the first restart of a worker that keeps failing; it doubles.
	// Defaults to 200ms.
	Backoff time.Duration
	// MaxBackoff bounds it. Defaults to 30s.
	MaxBackoff time.Duration
	// Intensity restarts within IntensityIn are allowed; more make the pool
	// degraded. Default to 5 in 60s.
	Intensity   int
	IntensityIn time.Duration
}

// Recycle is the `recycle` block of a pool. Zeros are off, and the default.
type Recycle struct {
	MaxRequests int
	MaxAge      time.Duration
	// MaxRSS in bytes.
	MaxRSS int64
	// Jitter spreads the limits by this share. Defaults to 0.1.
	Jitter float64
}

// Program is a `program` block: a global program.
type Program struct {
	Name string
	Pool string
	// Signature is text, or an object with inputs and outputs.
	Signature any
	// Module of DSPy. Defaults to Predict.
	Module       string
	Instructions string
	LM           string
	// Config of each LM call. Defaults to none.
	Config      map[string]any
	Description string
}

// Secret is text that is not printed.
type Secret string

const hidden = "(sensitive)"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the text.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// MarshalJSON hides the text.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }
