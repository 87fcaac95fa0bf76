package fakelm

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// defaultStatsTimeout and maxStatsTimeout bound how long /control/stats waits.
	defaultStatsTimeout = 5 * time.Second
	maxStatsTimeout     = time.Minute
)

// showSettings answers GET /control.
func (s *Server) showSettings(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.script.current())
}

// changeSettings answers POST /control with the settings after the change.
func (s *Server) changeSettings(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		reply(w, http.StatusBadRequest, errorBody(http.StatusBadRequest, "read settings: "+err.Error()))
		return
	}
	var change Settings
	err = decodeStrict(body, &change)
	if err == nil {
		err = s.script.apply(change)
	}
	if err != nil {
		reply(w, http.StatusBadRequest, errorBody(http.StatusBadRequest, "change settings: "+err.Error()))
		return
	}
	s.showSettings(w, r)
}

// resetAll answers POST /control/reset.
func (s *Server) resetAll(w http.ResponseWriter, r *http.Request) {
	s.Reset()
	s.showSettings(w, r)
}

// showStats answers GET /control/stats, at once or when its conditions hold.
func (s *Server) showStats(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	timeout := defaultStatsTimeout
	if text := query.Get("timeout"); text != "" {
		parsed, err := time.ParseDuration(text)
		if err != nil || parsed < 0 {
			reply(w, http.StatusBadRequest, errorBody(http.StatusBadRequest, "timeout: not a duration such as 500ms"))
			return
		}
		timeout = min(parsed, maxStatsTimeout)
	}
	fulfilled, problem := conditions(query)
	if problem != "" {
		reply(w, http.StatusBadRequest, errorBody(http.StatusBadRequest, problem))
		return
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, timeout)
	defer cancelTimeout()
	status := http.StatusOK
	stats, err := s.stats.await(ctx, fulfilled)
	if err != nil {
		status = http.StatusRequestTimeout
	}
	if wanted, _ := strconv.ParseBool(query.Get("requests")); wanted {
		stats.Recent = s.Requests()
	}
	reply(w, status, stats)
}

// conditions reads the conditions of a statistics request; problem says which
// one is not a number.
func conditions(query url.Values) (fulfilled func(Stats) bool, problem string) {
	var all []func(Stats) bool
	for name, holds := range map[string]func(Stats, int64) bool{
		"min_requests":    func(s Stats, n int64) bool { return s.Requests >= n },
		"min_cancelled":   func(s Stats, n int64) bool { return s.Cancelled >= n },
		"min_completed":   func(s Stats, n int64) bool { return s.Completed >= n },
		"min_in_flight":   func(s Stats, n int64) bool { return s.InFlight >= n },
		"max_in_flight":   func(s Stats, n int64) bool { return s.InFlight <= n },
		"max_connections": func(s Stats, n int64) bool { return s.Connections <= n },
	} {
		text := query.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, name + ": not a number"
		}
		all = append(all, func(s Stats) bool { return holds(s, n) })
	}
	return func(s Stats) bool {
		for _, holds := range all {
			if !holds(s) {
				return false
			}
		}
		return true
	}, ""
}
