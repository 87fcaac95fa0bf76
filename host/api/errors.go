package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/dspex/dspex/shared"
)

// Reasons of REST answers that are about the URL itself. They are not in the table
// of package shared: RPC clients cannot meet them.
const (
	pathNotFound     = "PATH_NOT_FOUND"
	methodNotAllowed = "METHOD_NOT_ALLOWED"
)

// errorBody is the JSON form of an error.
type errorBody struct {
	Code         string              `json:"code"`
	Reason       string              `json:"reason"`
	Message      string              `json:"message"`
	Hint         string              `json:"hint"`
	Retryable    bool                `json:"retryable"`
	MayHaveRun   shared.MayHaveRun   `json:"may_have_run"`
	Remote       *shared.RemoteError `json:"remote,omitempty"`
	RetryAfterMS *millis             `json:"retry_after_ms,omitempty"`
}

type errorAnswer struct {
	Error errorBody `json:"error"`
}

// asError gives any error of a request the one form that leaves the host.
func asError(err error) *shared.Error {
	if e := new(shared.Error); errors.As(err, &e) {
		return e
	}
	switch {
	case errors.Is(err, context.Canceled):
		return &shared.Error{Reason: shared.Canceled, Message: "the caller left", MayHaveRun: shared.RunMaybe, Cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &shared.Error{Reason: shared.ExecutionTimeout, Message: "the caller's deadline has passed", MayHaveRun: shared.RunMaybe, Cause: err}
	}
	return shared.AsError(err)
}

func errorBodyOf(e *shared.Error) errorBody {
	body := errorBody{
		Code:       e.Reason.CodeName(),
		Reason:     string(e.Reason),
		Message:    e.Error(),
		Hint:       e.Hint,
		Retryable:  e.Retryable(),
		MayHaveRun: e.MayHaveRun,
		Remote:     e.Remote,
	}
	if body.MayHaveRun == "" {
		body.MayHaveRun = shared.RunNo
	}
	if e.RetryAfter > 0 {
		ms := millis(e.RetryAfter)
		body.RetryAfterMS = &ms
	}
	return body
}

// writeError answers a REST request with an error.
func writeError(w http.ResponseWriter, err error) {
	e := asError(err)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", retryAfterSeconds(e.RetryAfter))
	}
	writeJSON(w, e.Reason.HTTPStatus(), errorAnswer{errorBodyOf(e)})
}

// retryAfterSeconds rounds up: a client that is early is refused once more.
func retryAfterSeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(math.Ceil(d.Seconds()))), 10)
}

func writePathNotFound(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusNotFound, errorAnswer{errorBody{
		Code:       shared.PoolNotFound.CodeName(),
		Reason:     pathNotFound,
		Message:    "there is nothing at " + clip(r.URL.Path),
		Hint:       "see /openapi.yaml for the paths",
		MayHaveRun: shared.RunNo,
	}})
}

func writeMethodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	writeJSON(w, http.StatusMethodNotAllowed, errorAnswer{errorBody{
		Code:       shared.Unsupported.CodeName(),
		Reason:     methodNotAllowed,
		Message:    clip(r.URL.Path) + " does not take " + clip(r.Method),
		Hint:       "use " + allow,
		MayHaveRun: shared.RunNo,
	}})
}

// writeJSON answers a REST request. It escapes nothing that JSON need not.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		b.Reset()
		e := shared.Errorf(shared.Internal, "encode answer: %w", err).WithRun(shared.RunMaybe)
		status = e.Reason.HTTPStatus()
		_ = enc.Encode(errorAnswer{errorBodyOf(e)}) // has no part that could fail
	}
	writeBody(w, status, "application/json", b.Bytes())
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has left
}

// clip bounds text of a client that an error repeats.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
