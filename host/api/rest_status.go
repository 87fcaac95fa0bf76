package api

import (
	"net/http"
	"time"

	"github.com/dspex/dspex/shared"
)

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

// readyView is the answer of /readyz. Error is there when the host is not ready,
// so that a client which knows only the error form can read it.
type readyView struct {
	Status string                   `json:"status"`
	Reason string                   `json:"reason,omitempty"`
	Pools  map[string]poolReadyView `json:"pools"`
	Error  *errorBody               `json:"error,omitempty"`
}

type poolReadyView struct {
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Ready   int    `json:"ready"`
	Workers int    `json:"workers"`
}

func (s *Server) getPools(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string][]poolView{"pools": mapList(s.backend.Pools(), viewPool)})
	return nil
}

func (s *Server) getPool(w http.ResponseWriter, r *http.Request) error {
	pool, err := s.backend.PoolStatus(r.PathValue("pool"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, viewPool(pool))
	return nil
}

func (s *Server) getPoolWorkers(w http.ResponseWriter, r *http.Request) error {
	return s.writeWorkers(w, r.PathValue("pool"))
}

func (s *Server) getWorkers(w http.ResponseWriter, _ *http.Request) error {
	return s.writeWorkers(w, "")
}

func (s *Server) writeWorkers(w http.ResponseWriter, pool string) error {
	workers, err := s.backend.Workers(pool)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]workerView{"workers": mapList(workers, viewWorker)})
	return nil
}

func (s *Server) getStats(w http.ResponseWriter, _ *http.Request) error {
	stats := s.backend.Stats()
	view := hostView{
		Version:  stats.Version,
		Host:     stats.Host,
		Uptime:   millis(stats.Uptime),
		Pools:    make(map[string]statsView, len(stats.Pools)),
		Sessions: stats.Sessions,
	}
	for name, pool := range stats.Pools {
		view.Pools[name] = viewStats(pool)
	}
	writeJSON(w, http.StatusOK, view)
	return nil
}

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

func (s *Server) getReady(w http.ResponseWriter, _ *http.Request) error {
	view := readyView{Status: "ready", Pools: make(map[string]poolReadyView)}
	for _, pool := range s.backend.Pools() {
		view.Pools[pool.Name] = poolReadyView{pool.Status, pool.Reason, pool.Stats.Ready, pool.Stats.Workers}
	}
	ready, reason := s.backend.Ready()
	if ready {
		writeJSON(w, http.StatusOK, view)
		return nil
	}
	view.Status, view.Reason = "not_ready", reason
	e := errorBodyOf(&shared.Error{Reason: shared.NotReady, Message: reason, MayHaveRun: shared.RunNo})
	view.Error = &e
	writeJSON(w, shared.NotReady.HTTPStatus(), view)
	return nil
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

// mapList gives a list that is [] in JSON when it is empty, not null.
func mapList[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
