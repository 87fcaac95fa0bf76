package api

import (
	"net/http"
	"time"
)

// answerWriter bounds how long a client may take to accept what is written to it.
// A deadline that a Write sets stays, so that it covers the final flush after the
// request was served; Flush ends it, since a stream may be silent for long.
type answerWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	// begun reports that the status is out, so no error answer can follow.
	begun bool
}

var _ http.Flusher = (*answerWriter)(nil)

func newAnswerWriter(w http.ResponseWriter, r *http.Request, timeout time.Duration) *answerWriter {
	a := &answerWriter{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
	if r.Header.Get("Expect") != "" {
		// net/http writes "100 Continue" by itself, which must not meet the
		// deadline of the answer before.
		_ = a.control.SetWriteDeadline(time.Time{})
	}
	return a
}

// WriteHeader sends the status.
func (a *answerWriter) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write sends bytes, within the timeout.
func (a *answerWriter) Write(b []byte) (int, error) {
	a.begun = true
	_ = a.control.SetWriteDeadline(time.Now().Add(a.timeout)) // not every test writer has deadlines
	return a.ResponseWriter.Write(b)
}

// Flush sends what is buffered, within the timeout.
func (a *answerWriter) Flush() { _ = a.FlushError() }

// FlushError is Flush for those who want to know.
func (a *answerWriter) FlushError() error {
	a.begun = true
	_ = a.control.SetWriteDeadline(time.Now().Add(a.timeout))
	err := a.control.Flush()
	_ = a.control.SetWriteDeadline(time.Time{})
	return err
}

// Unwrap serves http.ResponseController.
func (a *answerWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }
