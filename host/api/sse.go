package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/dspex/dspex/shared"
)

// eventStream writes server-sent events. The answer begins with the first of
// them, so that a call which is refused can still be answered with a status.
type eventStream struct {
	flusher *http.ResponseController

	mu    sync.Mutex
	w     http.ResponseWriter // guarded by mu
	begun bool                // guarded by mu
	id    uint64              // guarded by mu
	last  time.Time           // guarded by mu
	err   error               // guarded by mu
}

// streamCall runs a call and writes its events. Errors of calls that surely did
// not run are returned while nothing was written; others become an event.
func (s *Server) streamCall(w http.ResponseWriter, r *http.Request, req shared.CallRequest) error {
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	stream := &eventStream{flusher: http.NewResponseController(w), w: w, last: time.Now()}
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		if stream.beat(ctx, s.options.Heartbeat) != nil {
			leave()
		}
	}()
	result, err := s.callStream(ctx, req, func(event shared.StreamEvent) error {
		return stream.send(string(event.Kind), rawOr(event.Data, "null"))
	})
	leave()
	<-beating

	if err == nil {
		_ = stream.send("result", appendCallResult(nil, result)) // fails only if the client has left
		return nil
	}
	e := asError(err)
	if (e.MayHaveRun == shared.RunNo || e.MayHaveRun == "") && !stream.begun {
		return e
	}
	answer, err := json.Marshal(errorAnswer{errorBodyOf(e)})
	if err != nil {
		return err
	}
	_ = stream.send("error", answer) // fails only if the client has left
	return nil
}

// callStream is the backend's, with a panic as an error, because the stream that
// has begun can still say so.
func (s *Server) callStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (result *shared.CallResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.logPanic("stream of "+req.Pool+"."+req.Command, p)
		}
	}()
	return s.backend.CallStream(ctx, req, sink)
}

// send writes one event and sees that it leaves.
func (s *eventStream) send(event string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id++
	b := make([]byte, 0, len(data)+64)
	b = append(b, "event: "...)
	b = append(b, event...)
	b = append(b, "\nid: "...)
	b = strconv.AppendUint(b, s.id, 10)
	if bytes.IndexByte(data, '\r') >= 0 {
		data = bytes.ReplaceAll(data, []byte{'\r'}, nil) // JSON has line ends only between tokens
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(data, []byte{'\n'}), []byte{'\n'}) {
		b = append(b, "\ndata: "...)
		b = append(b, line...)
	}
	return s.writeLocked(append(b, "\n\n"...))
}

// beat writes a comment whenever the stream was silent for the interval, until ctx
// ends or the client has left.
func (s *eventStream) beat(ctx context.Context, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.ping(interval); err != nil {
				return err
			}
		}
	}
}

func (s *eventStream) ping(interval time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.last) < interval/2 {
		return nil
	}
	return s.writeLocked([]byte(": ping\n\n"))
}

func (s *eventStream) writeLocked(b []byte) error {
	if s.err != nil {
		return s.err
	}
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		h.Set("X-Content-Type-Options", "nosniff")
		s.w.WriteHeader(http.StatusOK)
	}
	if _, s.err = s.w.Write(b); s.err == nil {
		s.err = s.flusher.Flush()
	}
	s.last = time.Now()
	return s.err
}
