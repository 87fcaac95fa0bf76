package fakelm

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxCancellations bounds the cancellations that are remembered.
	maxCancellations = 1_000
	// maxKeptBody is how much of a request body is remembered.
	maxKeptBody = 64 << 10
	// maxKeptHeaders and maxKeptHeader bound a remembered request's headers.
	maxKeptHeaders = 32
	maxKeptHeader  = 256
)

// secretHeaders are never remembered.
var secretHeaders = []string{"Authorization", "Proxy-Authorization", "Api-Key", "X-Api-Key", "Cookie"}

// Stats is what the server has seen since New or the last reset. The counts are
// of model requests: control, health and model-list requests count in Paths only.
type Stats struct {
	// Since is when counting began.
	Since time.Time `json:"since"`
	// Requests is how many model requests have arrived.
	Requests int64 `json:"requests"`
	// InFlight is how many of them are not answered yet; MaxInFlight is its peak.
	InFlight    int64 `json:"in_flight"`
	MaxInFlight int64 `json:"max_in_flight"`
	// Completed is how many answers were sent in full, error answers included.
	Completed int64 `json:"completed"`
	// Cancelled is how many clients closed their request before its answer ended.
	Cancelled int64 `json:"cancelled"`
	// Cut is how many answers the server broke off on purpose.
	Cut int64 `json:"cut"`
	// Streams is how many requests asked for a stream.
	Streams int64 `json:"streams"`
	// Connections is how many connections are open; ConnectionsTotal is how many
	// were opened. Both are 0 for a handler that is not run by Serve.
	Connections      int64 `json:"connections"`
	ConnectionsTotal int64 `json:"connections_total"`
	// PromptTokens and CompletionTokens are those of the answers that were sent,
	// or were being sent when they were cancelled or cut.
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	// Paths counts requests by path, unknown paths as "other"; Statuses counts
	// answers to model requests by HTTP status.
	Paths    map[string]int64 `json:"paths"`
	Statuses map[int]int64    `json:"statuses"`
	// Cancellations are the last 1000 of them, oldest first.
	Cancellations []Cancellation `json:"cancellations"`
	// Recent are the last requests, oldest first. They are filled by Requests
	// and by /control/stats?requests=1 only.
	Recent []RecordedRequest `json:"recent,omitempty"`
}

// Cancellation is a request whose client went away.
type Cancellation struct {
	// ID is the request's number, which its answer's X-Request-Id ends with.
	ID int64 `json:"id"`
	// At is when the server noticed.
	At time.Time `json:"at"`
	// After is how long after its arrival that was.
	After Duration `json:"after"`
	// Chunks is how many chunks of a stream were sent by then.
	Chunks int64 `json:"chunks"`
}

// RecordedRequest is a model request as it arrived.
type RecordedRequest struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Path   string    `json:"path"`
	Model  string    `json:"model"`
	Stream bool      `json:"stream"`
	// Header holds the request's headers, clipped, without keys and cookies.
	Header map[string]string `json:"header"`
	// Body is the first 64 KiB of the body, which had Bytes bytes.
	Body  string `json:"body"`
	Bytes int    `json:"bytes"`
}

// recorder keeps the statistics. It is safe for concurrent use.
type recorder struct {
	keep int // immutable; how many requests are remembered

	mu      sync.Mutex
	stats   Stats             // guarded by mu
	recent  []RecordedRequest // guarded by mu
	lastID  int64             // guarded by mu; never reset, so numbers stay unique
	epoch   int64             // guarded by mu; counts resets
	changed chan struct{}     // guarded by mu; closed on the next change; nil if nobody waits
}

// visit is one model request in flight.
type visit struct {
	recorder *recorder
	id       int64
	epoch    int64
	began    time.Time
	status   int
	chunks   int64
	usage    Usage
	ended    ending
}

// ending is how a visit ended.
type ending int

const (
	// endedFully: the whole answer was sent.
	endedFully ending = iota
	// endedByClient: the client closed the request first.
	endedByClient
	// endedByServer: the server cut the answer, or stopped.
	endedByServer
)

// newRecorder returns a recorder that remembers keep requests.
func newRecorder(keep int) *recorder {
	r := &recorder{keep: keep}
	r.stats = emptyStats()
	return r
}

// reset forgets everything but what is going on: open connections and requests
// in flight.
func (r *recorder) reset() {
	r.update(func(s *Stats) {
		inFlight, connections := s.InFlight, s.Connections
		*s = emptyStats()
		s.InFlight, s.MaxInFlight, s.Connections = inFlight, inFlight, connections
		r.recent = nil
		r.epoch++
	})
}

// snapshot returns a copy of the statistics.
func (r *recorder) snapshot(withRequests bool) Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshotLocked(withRequests)
}

// await returns the statistics once they fulfil a condition, or as they are,
// with the context's error, once the context is done.
func (r *recorder) await(ctx context.Context, fulfilled func(Stats) bool) (Stats, error) {
	for {
		r.mu.Lock()
		now := r.snapshotLocked(false)
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if fulfilled(now) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
}

// path counts a request to a path.
func (r *recorder) path(path string) {
	r.update(func(s *Stats) { s.Paths[path]++ })
}

// connection counts the connections of an http.Server.
func (r *recorder) connection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		r.update(func(s *Stats) { s.Connections++; s.ConnectionsTotal++ })
	case http.StateClosed, http.StateHijacked:
		r.update(func(s *Stats) { s.Connections-- })
	}
}

// begin counts a model request.
func (r *recorder) begin() *visit {
	v := &visit{recorder: r, began: time.Now(), status: http.StatusOK}
	r.update(func(s *Stats) {
		r.lastID++
		v.id, v.epoch = r.lastID, r.epoch
		s.Requests++
		s.InFlight++
		s.MaxInFlight = max(s.MaxInFlight, s.InFlight)
	})
	return v
}

// remember keeps the request for later inspection.
func (v *visit) remember(req *http.Request, body []byte, read *request) {
	kept := RecordedRequest{
		ID: v.id, At: v.began, Path: req.URL.Path, Model: read.model, Stream: read.stream,
		Header: keptHeader(req.Header), Bytes: len(body), Body: string(body[:min(len(body), maxKeptBody)]),
	}
	v.recorder.update(func(s *Stats) {
		if read.stream {
			s.Streams++
		}
		r := v.recorder
		if r.keep == 0 {
			return
		}
		if len(r.recent) == r.keep {
			r.recent = slices.Delete(r.recent, 0, 1)
		}
		r.recent = append(r.recent, kept)
	})
}

// end counts how the request ended.
func (v *visit) end() {
	v.recorder.update(func(s *Stats) {
		s.InFlight--
		if v.epoch != v.recorder.epoch {
			return // it belongs to what a reset forgot
		}
		s.PromptTokens += v.usage.PromptTokens
		s.CompletionTokens += v.usage.CompletionTokens
		switch v.ended {
		case endedFully:
			s.Completed++
			s.Statuses[v.status]++
		case endedByServer:
			s.Cut++
		case endedByClient:
			s.Cancelled++
			if len(s.Cancellations) == maxCancellations {
				s.Cancellations = slices.Delete(s.Cancellations, 0, 1)
			}
			now := time.Now()
			s.Cancellations = append(s.Cancellations,
				Cancellation{ID: v.id, At: now, After: Duration(now.Sub(v.began)), Chunks: v.chunks})
		}
	})
}

// update changes the statistics and wakes those who wait for that.
func (r *recorder) update(change func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.stats)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// snapshotLocked copies the statistics.
func (r *recorder) snapshotLocked(withRequests bool) Stats {
	s := r.stats
	s.Paths, s.Statuses = maps.Clone(s.Paths), maps.Clone(s.Statuses)
	s.Cancellations = slices.Clone(s.Cancellations)
	if withRequests {
		s.Recent = slices.Clone(r.recent)
	}
	return s
}

// emptyStats returns statistics that begin now.
func emptyStats() Stats {
	return Stats{
		Since: time.Now(), Paths: map[string]int64{}, Statuses: map[int]int64{}, Cancellations: []Cancellation{},
	}
}

// keptHeader clips a request's headers and drops the secret ones.
func keptHeader(header http.Header) map[string]string {
	kept := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if slices.Contains(secretHeaders, name) || len(kept) == maxKeptHeaders {
			continue
		}
		value := strings.Join(header[name], ", ")
		kept[name] = value[:min(len(value), maxKeptHeader)]
	}
	return kept
}
