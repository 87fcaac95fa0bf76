package fakelm

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxBody bounds a request's body.
	maxBody = 16 << 20
	// headerTimeout is how long a client may take to send its headers.
	headerTimeout = 30 * time.Second
	// idleTimeout is how long a connection without a request stays open.
	idleTimeout = 5 * time.Minute
)

// errStopped is why requests end when the server stops.
var errStopped = errors.New("the server stops")

// Server is an offline language model behind HTTP. Make it with New. All its
// methods are safe for concurrent use.
type Server struct {
	script  *script
	stats   *recorder
	routes  *http.ServeMux
	stopCtx context.Context // done once hanging and endless answers must end
	stop    context.CancelCauseFunc
}

// New returns a server. Options out of their range, which Options.Validate
// tells, are used as they are.
func New(options Options) *Server {
	s := &Server{script: newScript(options), routes: http.NewServeMux()}
	s.stats = newRecorder(s.script.initial.KeepRequests)
	s.stopCtx, s.stop = context.WithCancelCause(context.Background())
	for _, prefix := range []string{"/v1", ""} {
		s.routes.HandleFunc("POST "+prefix+"/chat/completions", s.answering(chatAPI{}))
		s.routes.HandleFunc("POST "+prefix+"/responses", s.answering(responsesAPI{}))
		s.routes.HandleFunc("GET "+prefix+"/models", s.counted(s.listModels))
	}
	s.routes.HandleFunc("GET /healthz", s.counted(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	}))
	s.routes.HandleFunc("GET /control", s.counted(s.showSettings))
	s.routes.HandleFunc("POST /control", s.counted(s.changeSettings))
	s.routes.HandleFunc("POST /control/reset", s.counted(s.resetAll))
	s.routes.HandleFunc("GET /control/stats", s.counted(s.showStats))
	s.routes.HandleFunc("/", s.notFound)
	return s
}

// Handler returns the server as an http.Handler, for a listener that the caller
// runs. Such a server counts no connections.
func (s *Server) Handler() http.Handler { return s.routes }

// Serve answers requests on a listener until ctx is done. Then it accepts no
// more, ends the answers that hang or never end, gives the others
// Options.StopGrace, and closes what is left. It closes the listener and returns
// nil after such a stop, else the listener's error. Several listeners may be
// served at once; after the first stop, use a new Server.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.routes,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ConnState:         s.stats.connection,
		// What clients do wrong shows in the statistics.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve fake LM: %w", err)
	case <-ctx.Done():
	}
	s.stop(errStopped)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.script.initial.StopGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve fake LM: %w", err)
	}
	return nil
}

// Stats returns what the server has seen, without the recent requests.
func (s *Server) Stats() Stats { return s.stats.snapshot(false) }

// Requests returns the last model requests, oldest first.
func (s *Server) Requests() []RecordedRequest { return s.stats.snapshot(true).Recent }

// Await returns the statistics once they fulfil a condition, which must not
// block. If ctx is done first, it returns them as they are and ctx's error.
func (s *Server) Await(ctx context.Context, fulfilled func(Stats) bool) (Stats, error) {
	return s.stats.await(ctx, fulfilled)
}

// Apply changes the settings, as POST /control does: all of them, or none and
// an error.
func (s *Server) Apply(change Settings) error { return s.script.apply(change) }

// Reset does what POST /control/reset does.
func (s *Server) Reset() {
	s.script.reset()
	s.stats.reset()
}

// answering returns the function that answers the model requests of one API.
func (s *Server) answering(api dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.stats.path(r.URL.Path)
		v := s.stats.begin()
		err := s.answer(w, r, api, v)
		switch {
		case err == nil:
		case errors.Is(err, errCut), s.stopCtx.Err() != nil:
			v.ended = endedByServer
		default:
			v.ended = endedByClient
		}
		v.end()
		if err != nil {
			// This closes the connection, so that the client sees the answer's end
			// as an error and not as the end of its body.
			panic(http.ErrAbortHandler)
		}
	}
}

// answer answers one model request. An error means that the answer did not end.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, api dialect, v *visit) error {
	w.Header().Set("X-Request-Id", "req_fake_"+strconv.FormatInt(v.id, 10))
	refuse := func(status int, message string) error {
		v.status = status
		reply(w, status, errorBody(status, message))
		return nil
	}
	if key := s.script.requiredKey(); key != "" {
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(given), []byte(key)) != 1 {
			return refuse(http.StatusUnauthorized, "")
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, "")
	} else if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	req, err := api.decode(body)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	own, err := ownBehavior(r.Header, req)
	if err != nil {
		return refuse(http.StatusBadRequest, "asked behavior: "+err.Error())
	}
	v.remember(r, body, req)

	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	d := &delivery{w: w, ctx: ctx, fate: s.script.decide(req, own), api: api, visit: v}
	// A request that merely waits or is being answered may end after the stop;
	// one that would never end may not.
	if !d.fate.endless() {
		d.ctx = r.Context()
	}
	if err := d.pause(d.fate.latency); err != nil {
		return err
	}
	return d.send(newSpeech(v.id, req, compose(req)))
}

// untilStop returns a context that is also done once the server stops.
func (s *Server) untilStop(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	detach := context.AfterFunc(s.stopCtx, func() { cancel(errStopped) })
	return ctx, func() { detach(); cancel(nil) }
}

// counted wraps a function that answers other than model requests.
func (s *Server) counted(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.stats.path(r.URL.Path)
		next(w, r)
	}
}

// notFound answers requests to unknown paths.
func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.stats.path("other")
	reply(w, http.StatusNotFound, errorBody(http.StatusNotFound, "Unknown request: "+r.Method+" "+r.URL.Path))
}

// listModels answers GET /v1/models. Requests may name any other model too.
func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	models := []model{}
	for _, id := range []string{"fakelm", "gpt-4o-mini", "gpt-4o"} {
		models = append(models, model{id, "model", 1_700_000_000, "dspex"})
	}
	reply(w, http.StatusOK, map[string]any{"object": "list", "data": models})
}

// reply sends a JSON body in one write.
func reply(w http.ResponseWriter, status int, body any) {
	text := jsonLine(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_, _ = io.WriteString(w, text)
}
