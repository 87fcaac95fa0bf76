package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Default returns the configuration of an empty file: the default listeners, and
// no pool.
func Default() *Config {
	c := defaultConfig(os.LookupEnv)
	c.complete()
	return c
}

// defaultConfig is Default without what depends on other settings.
func defaultConfig(env func(string) (string, bool)) *Config {
	getenv := func(name string) string { v, _ := env(name); return v }
	return &Config{
		Host: Host{
			Name: hostName(), DataDir: defaultDataDir(getenv), RunDir: DefaultRunDir(getenv), LogLevel: "info", LogFormat: "auto",
			DrainTimeout: 30 * time.Second, StartupConcurrency: cpus(),
		},
		Store: Store{Engine: "bolt"},
		Session: Session{
			DefaultTTL: time.Hour, MaxTTL: 7 * 24 * time.Hour, CleanupInterval: time.Minute, Sliding: true,
			MaxCount: 100_000, MaxBytes: 1 << 20, MaxPrograms: 100,
		},
		LMs: make(map[string]LM),
	}
}

// DefaultPool returns the pool of an empty block.
func DefaultPool(name string) Pool {
	return Pool{
		Name: name, Enabled: true, Size: 2 * cpus(), MinReady: 1,
		StartupTimeout: 30 * time.Second, StartupConcurrency: cpus(), QueueTimeout: 5 * time.Second,
		ExecutionTimeout: 30 * time.Second, CancelGrace: 2 * time.Second, Launch: "fork",
		InheritEnv: []string{
			"PATH", "LANG", "LC_ALL", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
			"http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE",
		},
		Python:    Python{Version: ">=3.10,<3.15", Hashes: true},
		Worker:    Worker{Concurrency: 32, MaxMessage: 64 << 20},
		Queue:     Queue{Capacity: 1000, Order: "fifo"},
		Scheduler: Scheduler{Strategy: "least_busy", Tie: "oldest_idle"},
		Health:    Health{Interval: 5 * time.Second, Timeout: 2 * time.Second, FailAfter: 3, MaxErrorRate: 0.05, WarnQueueTimeouts: 1},
		Restart:   Restart{Mode: "always", Backoff: 200 * time.Millisecond, MaxBackoff: 30 * time.Second, Intensity: 5, IntensityIn: time.Minute},
		Recycle:   Recycle{Jitter: 0.1},
	}
}

// DefaultRunDir is the run folder where neither a configuration nor an
// environment variable of dspex names one.
func DefaultRunDir(getenv func(string) string) string {
	if os.Geteuid() == 0 {
		return "/run/dspex"
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "dspex")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("dspex-%d", os.Geteuid()))
}

// complete fills in what depends on other settings.
func (c *Config) complete() {
	if c.Store.Path == "" {
		c.Store.Path = filepath.Join(c.Host.DataDir, "dspex.db")
	}
	if len(c.Listeners) == 0 {
		c.Listeners = []Listener{
			{Kind: "unix", Name: "default"},
			{Kind: "tcp", Name: "default", Address: "127.0.0.1:4680"},
		}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Kind == "unix" {
			if l.Path == "" {
				l.Path = filepath.Join(c.Host.RunDir, "api.sock")
			}
			if l.Mode == 0 {
				l.Mode = 0o660
			}
		}
	}
}

func defaultDataDir(getenv func(string) string) string {
	if os.Geteuid() == 0 {
		return "/var/lib/dspex"
	}
	if dir := getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "dspex")
	}
	home := getenv("HOME")
	if home == "" {
		return filepath.Join(os.TempDir(), fmt.Sprintf("dspex-state-%d", os.Geteuid()))
	}
	return filepath.Join(home, ".local", "state", "dspex")
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// cpus is the number of CPUs that this process may use.
func cpus() int { return runtime.GOMAXPROCS(0) }
