package shared

import "time"

// PoolStatus is the state of a pool at one moment.
type PoolStatus struct {
	Name        string
	Description string
	// Status is "starting", "ready", "degraded", "draining", "stopped" or
	// "disabled".
	Status string
	// Reason says why it is not ready.
	Reason   string
	Stats    PoolStats
	Health   PoolHealth
	Commands []Command
}

// PoolStats counts a pool's workers and calls.
type PoolStats struct {
	// Workers configured; of these Ready ones; of these Available ones with a
	// free slot, and Busy ones with none.
	Workers   int `json:"workers"`
	Ready     int `json:"ready"`
	Available int `json:"available"`
	Busy      int `json:"busy"`
	// Slots of ready workers, and calls InFlight that hold one.
	Slots    int `json:"slots"`
	InFlight int `json:"in_flight"`
	// Queued calls wait for a slot.
	Queued int `json:"queued"`
	// Requests accepted since the host started, and of these the Errors.
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
	// QueueTimeouts and Rejected calls never ran; both count as Errors.
	QueueTimeouts int64 `json:"queue_timeouts"`
	Rejected      int64 `json:"rejected"`
	// Restarts of workers since the host started.
	Restarts int64 `json:"restarts"`
	// Run is the time in a worker, QueueWait the time before.
	Run       Latency `json:"run"`
	QueueWait Latency `json:"queue_wait"`
}

// Latency holds quantiles over all calls since the host started.
type Latency struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50"`
	P95   time.Duration `json:"p95"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// PoolHealth is the verdict of the pool's health rules.
type PoolHealth struct {
	// Level is "healthy", "warning" or "error".
	Level    string   `json:"level"`
	Findings []string `json:"findings,omitempty"`
}

// WorkerStatus is the state of a worker at one moment.
type WorkerStatus struct {
	ID   string
	Pool string
	// State is "starting", "ready", "unhealthy", "draining" or "stopped".
	State string
	// Generation counts the processes of the worker, from 1.
	Generation uint64
	// PID of the current process; 0 if there is none.
	PID      int
	Slots    int
	InFlight int
	Calls    int64
	Errors   int64
	Restarts int64
	// StartedAt is when the current process was started, StartTime how long it
	// took until it had answered.
	StartedAt time.Time
	StartTime time.Duration
	// RSS in bytes and Lag of its event loop, as of its last heartbeat.
	RSS uint64
	Lag time.Duration
	// LastExit says why the process before ended.
	LastExit string
	Versions map[string]string
	// Launch says how the process was started: "exec".
	Launch string
}

// HostStats sums up a host.
type HostStats struct {
	Version  string
	Host     string
	Uptime   time.Duration
	Pools    map[string]PoolStats
	Sessions SessionStats
}
