package main

import (
	"encoding/json"
	"time"

	"github.com/dspex/dspex/shared"
)

// The views are the JSON that commands print. They are those of the HTTP API,
// member for member, which a test holds them to.

type poolsView struct {
	Pools []poolView `json:"pools"`
}

type poolView struct {
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	Status      string           `json:"status"`
	Reason      string           `json:"reason,omitempty"`
	Stats       statsView        `json:"stats"`
	Health      healthView       `json:"health"`
	Commands    []shared.Command `json:"commands"`
}

type healthView struct {
	Level    string   `json:"level"`
	Findings []string `json:"findings"`
}

type statsView struct {
	Workers       int         `json:"workers"`
	Ready         int         `json:"ready"`
	Available     int         `json:"available"`
	Busy          int         `json:"busy"`
	Slots         int         `json:"slots"`
	InFlight      int         `json:"in_flight"`
	Queued        int         `json:"queued"`
	Requests      int64       `json:"requests"`
	Errors        int64       `json:"errors"`
	QueueTimeouts int64       `json:"queue_timeouts"`
	Rejected      int64       `json:"rejected"`
	Restarts      int64       `json:"restarts"`
	Run           latencyView `json:"run"`
	QueueWait     latencyView `json:"queue_wait"`
}

type latencyView struct {
	Count int64  `json:"count"`
	P50   millis `json:"p50_ms"`
	P95   millis `json:"p95_ms"`
	P99   millis `json:"p99_ms"`
	Max   millis `json:"max_ms"`
}

type workersView struct {
	Workers []workerView `json:"workers"`
}

type workerView struct {
	ID         string            `json:"id"`
	Pool       string            `json:"pool"`
	State      string            `json:"state"`
	Generation uint64            `json:"generation"`
	PID        int               `json:"pid"`
	Slots      int               `json:"slots"`
	InFlight   int               `json:"in_flight"`
	Calls      int64             `json:"calls"`
	Errors     int64             `json:"errors"`
	Restarts   int64             `json:"restarts"`
	StartedAt  *time.Time        `json:"started_at,omitempty"`
	StartTime  millis            `json:"start_time_ms"`
	RSS        uint64            `json:"rss_bytes"`
	Lag        millis            `json:"lag_ms"`
	LastExit   string            `json:"last_exit,omitempty"`
	Versions   map[string]string `json:"versions"`
	Launch     string            `json:"launch,omitempty"`
}

type hostView struct {
	Version  string               `json:"version"`
	Host     string               `json:"host"`
	Uptime   millis               `json:"uptime_ms"`
	Pools    map[string]statsView `json:"pools"`
	Sessions shared.SessionStats  `json:"sessions"`
}

type sessionsView struct {
	Sessions []sessionView `json:"sessions"`
	More     bool          `json:"more"`
}

type sessionView struct {
	ID        string          `json:"id"`
	Data      json.RawMessage `json:"data,omitempty"`
	TTL       string          `json:"ttl"`
	Revision  uint64          `json:"revision"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	ExpiresAt time.Time       `json:"expires_at"`
	Programs  []string        `json:"programs"`
}

type programsView struct {
	Programs []shared.Program `json:"programs"`
}

type callView struct {
	Result json.RawMessage `json:"result"`
	Worker string          `json:"worker"`
	Queue  millis          `json:"queue_ms"`
	Run    millis          `json:"run_ms"`
}

type runView struct {
	Outputs  json.RawMessage `json:"outputs"`
	Revision uint64          `json:"revision"`
	Worker   string          `json:"worker"`
	Queue    millis          `json:"queue_ms"`
	Run      millis          `json:"run_ms"`
}

func viewPool(p shared.PoolStatus) poolView {
	return poolView{
		Name:        p.Name,
		Description: p.Description,
		Status:      p.Status,
		Reason:      p.Reason,
		Stats:       viewStats(p.Stats),
		Health:      healthView{p.Health.Level, append([]string{}, p.Health.Findings...)},
		Commands:    append([]shared.Command{}, p.Commands...),
	}
}

func viewStats(s shared.PoolStats) statsView {
	return statsView{
		Workers:       s.Workers,
		Ready:         s.Ready,
		Available:     s.Available,
		Busy:          s.Busy,
		Slots:         s.Slots,
		InFlight:      s.InFlight,
		Queued:        s.Queued,
		Requests:      s.Requests,
		Errors:        s.Errors,
		QueueTimeouts: s.QueueTimeouts,
		Rejected:      s.Rejected,
		Restarts:      s.Restarts,
		Run:           viewLatency(s.Run),
		QueueWait:     viewLatency(s.QueueWait),
	}
}

func viewLatency(l shared.Latency) latencyView {
	return latencyView{l.Count, millis(l.P50), millis(l.P95), millis(l.P99), millis(l.Max)}
}

func viewWorker(w shared.WorkerStatus) workerView {
	view := workerView{
		ID:         w.ID,
		Pool:       w.Pool,
		State:      w.State,
		Generation: w.Generation,
		PID:        w.PID,
		Slots:      w.Slots,
		InFlight:   w.InFlight,
		Calls:      w.Calls,
		Errors:     w.Errors,
		Restarts:   w.Restarts,
		StartTime:  millis(w.StartTime),
		RSS:        w.RSS,
		Lag:        millis(w.Lag),
		LastExit:   w.LastExit,
		Versions:   w.Versions,
		Launch:     w.Launch,
	}
	if view.Versions == nil {
		view.Versions = map[string]string{}
	}
	if !w.StartedAt.IsZero() {
		view.StartedAt = &w.StartedAt
	}
	return view
}

func viewHost(s shared.HostStats) hostView {
	view := hostView{
		Version:  s.Version,
		Host:     s.Host,
		Uptime:   millis(s.Uptime),
		Pools:    make(map[string]statsView, len(s.Pools)),
		Sessions: s.Sessions,
	}
	for name, stats := range s.Pools {
		view.Pools[name] = viewStats(stats)
	}
	return view
}

// viewSession leaves the data out if the session came without, as in a list.
func viewSession(s shared.Session) sessionView {
	return sessionView{
		ID:        s.ID,
		Data:      s.Data,
		TTL:       ttl(s.TTL),
		Revision:  s.Revision,
		CreatedAt: s.CreatedAt,
		UpdatedAt: s.UpdatedAt,
		ExpiresAt: s.ExpiresAt,
		Programs:  append([]string{}, s.Programs...),
	}
}

func viewCall(r *shared.CallResult) callView {
	return callView{orNull(r.Result), r.Worker, millis(r.QueueTime), millis(r.RunTime)}
}

func viewRun(r *shared.RunResult) runView {
	return runView{orNull(r.Outputs), r.Revision, r.Worker, millis(r.QueueTime), millis(r.RunTime)}
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// mapList gives a list that is [] in JSON when it is empty, not null.
func mapList[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
