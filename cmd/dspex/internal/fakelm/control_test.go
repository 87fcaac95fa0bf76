package fakelm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// statsOf reads /control/stats.
func (f *fixture) statsOf(t *testing.T, query string) (Stats, int) {
	t.Helper()
	got := f.get(t, "/control/stats"+query)
	var stats Stats
	if err := json.Unmarshal([]byte(got.body), &stats); err != nil {
		t.Fatalf("decode %.200q: %v", got.body, err)
	}
	return stats, got.status
}

func TestControlChangesSettings(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{Seed: 3, RequireKey: "initial"})
	f.control(t, `{"latency": "1ms", "error_rate": 0.5, "seed": 9, "require_key": "", "chunk_tokens": 5}`)
	f.control(t, `{"jitter": 0.001, "next": [{"status": 500}, {"latency": "2s"}], "rules": [{"match": "x", "times": 3, "status": 429}]}`)
	want := `{"latency":"1ms","jitter":"1ms","token_delay":"0s","error_rate":0.5,"rate_limit_rate":0,"retry_after":"1s",` +
		`"cut_rate":0,"seed":9,"chunk_tokens":5,"next":[{"status":500},{"latency":"2s"}],` +
		`"rules":[{"match":"x","times":3,"status":429}]}`
	if got := compact(t, f.get(t, "/control").body); got != want {
		t.Errorf("settings: got\n%s, want\n%s", got, want)
	}
	for _, bad := range []string{
		`{"latency": "1ms", "no_such_knob": 1}`, `{"error_rate": 2}`, `{"latency": -1}`, `{"next": [{"status": 99}]}`,
		`{"rules": [{"match": "x", "size": -1}]}`, `{"rules": [{"times": -1}]}`, `{"next": {}}`, `{`, ``, `{} {}`,
	} {
		got := f.doPath(t, "/control", bad)
		if got.status != http.StatusBadRequest || decodeAnswer(t, got.body).Error.Message == "" {
			t.Errorf("POST /control %s: got %d %s, want 400 and an error object", bad, got.status, got.body)
		}
	}
	if got := compact(t, f.get(t, "/control").body); got != want {
		t.Errorf("settings after refused changes: got\n%s, want\n%s", got, want)
	}
	f.control(t, `{"rules": []}`)
	if got := f.get(t, "/control").body; strings.Contains(got, "rules") {
		t.Errorf("settings after empty rules: got %s", got)
	}

	if got := f.doPath(t, "/control/reset", ""); got.status != http.StatusOK {
		t.Errorf("reset: got %d", got.status)
	}
	got := compact(t, f.get(t, "/control").body)
	if !strings.Contains(got, `"seed":3`) || strings.Contains(got, "next") || strings.Contains(got, "initial") {
		t.Errorf("settings after reset: got %s, want the initial ones without the key", got)
	}
	if got := f.do(t, ask("hi")); got.status != http.StatusUnauthorized {
		t.Errorf("request after reset: got %d, want the key required again", got.status)
	}
}

func TestControlIsBounded(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	if err := s.Apply(Settings{Next: make([]Behavior, maxScripted)}); err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if err := s.Apply(Settings{Next: make([]Behavior, 1), Latency: ptr(Duration(time.Second))}); err == nil {
		t.Errorf("Apply of one more behavior: got nil, want an error")
	}
	if err := s.Apply(Settings{Rules: make([]Rule, maxRules+1)}); err == nil {
		t.Errorf("Apply of too many rules: got nil, want an error")
	}
	if got := time.Duration(*s.script.current().Latency); got != 0 {
		t.Errorf("latency after a refused change: got %v, want 0", got)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	f.do(t, ask("hi"))
	f.do(t, ask("one two", `"stream": true`))
	f.do(t, ask("hi"), "X-Fakelm-Status", "429")
	f.doPath(t, "/v1/responses", `{"input": "hi"}`)
	f.get(t, "/nowhere")
	f.get(t, "/healthz")
	stats := f.await(t, "the end", func(s Stats) bool { return s.InFlight == 0 && s.Requests == 4 })
	want := Stats{
		Requests: 4, MaxInFlight: 1, Completed: 4, Streams: 1, Connections: 1, ConnectionsTotal: 1,
		PromptTokens: 4, CompletionTokens: 10,
		Paths:    map[string]int64{"/v1/chat/completions": 3, "/v1/responses": 1, "other": 1, "/healthz": 1},
		Statuses: map[int]int64{200: 3, 429: 1}, Cancellations: []Cancellation{},
	}
	if stats.Since.IsZero() {
		t.Errorf("since: got zero")
	}
	stats.Since = time.Time{}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	over, status := f.statsOf(t, "")
	if over.Requests != 4 || status != http.StatusOK || over.Recent != nil {
		t.Errorf("/control/stats: got %d %+v", status, over)
	}

	f.Reset()
	after := f.Stats()
	if after.Requests != 0 || len(after.Paths) != 0 || after.Connections != 1 || len(f.Requests()) != 0 {
		t.Errorf("stats after reset: got %+v, want only the open connection", after)
	}
}

// TestResetDuringRequest resets while a request hangs: it stays in flight, and
// its end is not counted in the new statistics.
func TestResetDuringRequest(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := f.post(ctx, "/v1/chat/completions", ask("hi"), "X-Fakelm-Hang", "true"); err == nil {
			resp.Body.Close()
		}
	}()
	f.await(t, "the request", func(s Stats) bool { return s.InFlight == 1 })
	f.Reset()
	if got := f.Stats(); got.InFlight != 1 || got.Requests != 0 {
		t.Errorf("stats after reset: got %+v, want one in flight and no requests", got)
	}
	cancel()
	<-ended
	if got := f.await(t, "its end", func(s Stats) bool { return s.InFlight == 0 }); got.Cancelled != 0 {
		t.Errorf("cancelled: got %d, want 0", got.Cancelled)
	}
}

func TestRecentRequests(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{KeepRequests: 3})
	for i := range 5 {
		f.do(t, ask(fmt.Sprint("question ", i)), "Authorization", "Bearer key", "X-Trace", strings.Repeat("t", 300))
	}
	f.do(t, ask(strings.Repeat("long ", 20_000)))
	stats, _ := f.statsOf(t, "?requests=1")
	if len(stats.Recent) != 3 {
		t.Fatalf("recent: got %d, want 3", len(stats.Recent))
	}
	first, last := stats.Recent[0], stats.Recent[2]
	if first.Body != ask("question 3") || first.Model != "m" || first.Path != "/v1/chat/completions" || first.Stream {
		t.Errorf("first: got %+v", first)
	}
	if len(first.Header["X-Trace"]) != maxKeptHeader || first.Header["Authorization"] != "" {
		t.Errorf("headers: got %v, want them clipped and without the key", first.Header)
	}
	if len(last.Body) != maxKeptBody || last.Bytes < 100_000 {
		t.Errorf("long body: got %d of %d bytes, want %d kept", len(last.Body), last.Bytes, maxKeptBody)
	}
	none := setup(t, Options{KeepRequests: -1})
	none.do(t, ask("hi"))
	if got := none.Requests(); len(got) != 0 {
		t.Errorf("KeepRequests -1: got %d requests", len(got))
	}
}

func TestStatsWait(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	waited := make(chan Stats, 1)
	go func() {
		stats, status := f.statsOf(t, "?min_requests=1&max_in_flight=0&min_completed=1&timeout=9s")
		if status != http.StatusOK {
			t.Errorf("waiting: got %d, want 200", status)
		}
		waited <- stats
	}()
	f.do(t, ask("hi"))
	if got := <-waited; got.Requests != 1 || got.Completed != 1 {
		t.Errorf("waited: got %+v, want one completed request", got)
	}
	if got, status := f.statsOf(t, "?min_cancelled=1&timeout=1ms"); status != http.StatusRequestTimeout || got.Requests != 1 {
		t.Errorf("waiting in vain: got %d %+v, want 408 and the statistics", status, got)
	}
	for _, query := range []string{"?timeout=soon", "?min_requests=x"} {
		if got := f.get(t, "/control/stats"+query); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", query, got.status)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Await(ctx, func(Stats) bool { return false }); err == nil {
		t.Errorf("Await with a cancelled context: got nil, want an error")
	}
}
