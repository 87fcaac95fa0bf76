package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

// brokenWriter has deadlines, and a client that has left.
type brokenWriter struct {
	*httptest.ResponseRecorder
	// deadlines tells of each that was set whether it is one.
	deadlines []bool
	err       error
}

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.ResponseRecorder.Write(b)
}

func (w *brokenWriter) SetWriteDeadline(d time.Time) error {
	w.deadlines = append(w.deadlines, !d.IsZero())
	return nil
}

// TestWriteDeadlines checks when they are set: "100 Continue", which net/http writes
// by itself, must not meet the deadline of the answer before, and a stream may be
// silent after a flush.
func TestWriteDeadlines(t *testing.T) {
	t.Parallel()
	w := &brokenWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Expect", "100-continue")
	a := newAnswerWriter(w, r, time.Minute)
	if a.begun {
		t.Error("begun before anything was written")
	}
	_, _ = a.Write([]byte("x"))
	a.Flush()
	if want := []bool{false, true, true, false}; cmp.Diff(want, w.deadlines) != "" || !a.begun {
		t.Errorf("deadlines = %v, want %v", w.deadlines, want)
	}
}

// TestHeartbeatFindsOutThatTheClientLeft cancels a call that is silent.
func TestHeartbeatFindsOutThatTheClientLeft(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.stream = func(ctx context.Context, _ shared.CallRequest, _ func(shared.StreamEvent) error) (*shared.CallResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s, err := New(f, Options{Heartbeat: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "http://localhost/v1/pools/qa/call?stream=1", strings.NewReader(`{"command":"ping"}`))
	s.ServeHTTP(&brokenWriter{ResponseRecorder: httptest.NewRecorder(), err: errors.New("gone")}, r)
	if got := s.inFlight.Load(); got != 0 {
		t.Errorf("%d bytes are still in flight", got)
	}
}

var _ http.ResponseWriter = (*brokenWriter)(nil)
