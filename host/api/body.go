package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/dspex/dspex/shared"
)

// envelopePrefix is the number of bytes before a message in gRPC and in Connect
// streams.
const envelopePrefix = 5

// requestBody enforces what a body may cost: its size, its share of the bytes in
// flight, and the time that it takes to arrive. The first violation ends it with
// the same error for every later Read.
type requestBody struct {
	server   *Server
	source   io.ReadCloser
	control  *http.ResponseController
	limit    int64
	started  time.Time
	reserved int64
	read     int64
	// timed bodies must arrive; the others are streams that may be silent.
	timed bool
	rpc   bool
	err   error
}

// guardBody wraps the body of r. The time for it to arrive begins, also for a
// request that is refused: net/http reads the rest before it answers.
func (s *Server) guardBody(w http.ResponseWriter, r *http.Request) *requestBody {
	limit := s.options.MaxBody
	rpc := s.isRPC(r)
	contentType := r.Header.Get("Content-Type")
	if rpc && (strings.HasPrefix(contentType, "application/grpc") || strings.HasPrefix(contentType, "application/connect+")) {
		limit += envelopePrefix
	}
	b := &requestBody{
		server:  s,
		source:  http.MaxBytesReader(w, r.Body, limit),
		control: http.NewResponseController(w),
		limit:   limit,
		started: time.Now(),
		timed:   !strings.HasPrefix(r.URL.Path, "/grpc.reflection."),
		rpc:     rpc,
	}
	b.extend()
	return b
}

// admit refuses a body whose announced length is too much, before a byte of it is
// read. A length of -1 is unknown.
func (b *requestBody) admit(length int64) *shared.Error {
	if length > b.limit {
		return b.server.bodyTooLarge()
	}
	if !b.reserve(max(length, 0)) {
		return b.server.bodiesTooLarge()
	}
	return nil
}

// Read reads from the body.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.source.Read(p)
	b.read += int64(n)
	if b.read > b.reserved && !b.reserve(b.read-b.reserved) {
		err = b.wrap(b.server.bodiesTooLarge())
	}
	if err != nil {
		// The deadline stays. After the end it does no harm: net/http lifts it when it
		// begins to wait for the client's departure. After a failure there is no use in
		// the rest of the body.
		b.err = b.explain(err)
	} else {
		b.extend()
	}
	return n, b.err
}

// Close closes the body.
func (b *requestBody) Close() error { return b.source.Close() }

// extend allows the body the time that its length so far has earned.
func (b *requestBody) extend() {
	if b.timed {
		patience := b.server.options.BodyTimeout + time.Duration(b.read/bodyRate)*time.Second
		_ = b.control.SetReadDeadline(b.started.Add(patience)) // not every test writer has deadlines
	}
}

// reserve takes n more bytes of what all requests share.
func (b *requestBody) reserve(n int64) bool {
	if b.server.inFlight.Add(n) > b.server.options.MaxInFlight {
		b.server.inFlight.Add(-n)
		return false
	}
	b.reserved += n
	return true
}

// release gives the bytes back when the request was served.
func (b *requestBody) release() { b.server.inFlight.Add(-b.reserved) }

// explain turns an error of the connection into one for the client.
func (b *requestBody) explain(err error) error {
	tooLarge := new(http.MaxBytesError)
	switch {
	case err == io.EOF:
		return err
	case errors.As(err, &tooLarge):
		return b.wrap(b.server.bodyTooLarge())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return b.wrap(shared.Errorf(shared.DeadlineExceeded, "the body did not arrive in time: %d bytes in %s",
			b.read, time.Since(b.started).Round(time.Millisecond)))
	}
	return err
}

// wrap gives an error the form that passes through connect unchanged.
func (b *requestBody) wrap(e *shared.Error) error {
	if b.rpc {
		return connectError(e, false)
	}
	return e
}

func (s *Server) bodyTooLarge() *shared.Error {
	return shared.Errorf(shared.PayloadTooLarge, "the body is larger than %d bytes", s.options.MaxBody).
		WithHint("send less, or raise max_message")
}

func (s *Server) bodiesTooLarge() *shared.Error {
	e := shared.Errorf(shared.QueueFull, "the bodies of all running requests would be larger than %d bytes", s.options.MaxInFlight)
	e.RetryAfter = time.Second
	return e
}
