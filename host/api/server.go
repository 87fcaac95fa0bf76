package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/shared"
)

const (
	maxHeader         = 64 << 10
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 120 * time.Second
	// maxStreams of one HTTP/2 connection.
	maxStreams = 250
	// pingAfter is the silence on an HTTP/2 connection after which it is probed.
	pingAfter = 30 * time.Second
	// bodyRate in bytes per second earns a slow body more time than BodyTimeout.
	bodyRate = 64 << 10
)

// Options of a Server.
type Options struct {
	// Listeners to serve on. Defaults to none, which serves nothing.
	Listeners []Listener
	// MaxBody is the largest body of a request and the largest RPC message of an
	// answer, in bytes. Defaults to 64 MiB.
	MaxBody int64
	// MaxInFlight bounds the bodies of all running requests together, in bytes.
	// Requests above it are refused with QUEUE_FULL. Defaults to 4 times MaxBody.
	MaxInFlight int64
	// AllowedHosts are further names by which browsers may address the TCP
	// listeners, without a port. Defaults to none: localhost, 127.0.0.1, [::1] and
	// the address that the connection was made to.
	AllowedHosts []string
	// BodyTimeout is the time to receive a body, to which each 64 KiB received
	// adds a second. Defaults to 10 s.
	BodyTimeout time.Duration
	// WriteTimeout is how long a client may take to accept one event of a stream
	// or one answer. Defaults to 60 s.
	WriteTimeout time.Duration
	// Heartbeat is the silence on an event stream after which it carries a
	// comment. Defaults to 15 s.
	Heartbeat time.Duration
	// Version of the host, shown in openapi.yaml. Defaults to "0.0.0".
	Version string
	// Log takes failures that no answer can carry. Defaults to none.
	Log hclog.Logger
}

// Server serves a Backend on listeners. Make one with [New]; a Server serves once.
type Server struct {
	backend     Backend
	options     Options
	log         hclog.Logger
	http        *http.Server
	mux         *http.ServeMux
	rpcErrors   rpcErrorWriter
	crossOrigin http.CrossOriginProtection
	allowed     map[string]bool
	openapi     []byte

	// inFlight counts the bytes of bodies that running requests hold.
	inFlight atomic.Int64
	// work ends when running requests shall end.
	work    context.Context
	endWork context.CancelFunc
	// stopped is closed when Shutdown has ended.
	stopped chan struct{}

	mu        sync.Mutex
	listeners []net.Listener // guarded by mu
	bound     []Listener     // guarded by mu
	stopping  bool           // guarded by mu
}

var _ http.Handler = (*Server)(nil)

// New makes a server. It opens nothing: see Listen.
func New(backend Backend, options Options) (*Server, error) {
	if backend == nil {
		return nil, shared.Errorf(shared.InvalidArgument, "make api server: no backend")
	}
	options = options.withDefaults()
	s := &Server{
		backend: backend,
		options: options,
		log:     options.Log,
		allowed: allowedHosts(options),
		openapi: openAPI(options.Version),
		stopped: make(chan struct{}),
	}
	s.work, s.endWork = context.WithCancel(context.Background())
	s.mux = http.NewServeMux()
	s.mountREST(s.mux)
	s.mountRPC(s.mux)

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:           s,
		Protocols:         protocols,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter},
		BaseContext:       func(net.Listener) context.Context { return s.work },
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	return s, nil
}

// Listen binds all listeners, or none: if one fails the others are closed again.
// Errors are CONFIG_INVALID, or HOST_LOCKED if another process uses an address.
// After it has succeeded once it does nothing.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return shared.Errorf(shared.Draining, "listen: the server was shut down")
	}
	if s.listeners != nil {
		return nil
	}
	for _, l := range s.options.Listeners {
		listener, err := l.bind(s.work)
		if err != nil {
			s.closeListenersLocked()
			return err
		}
		l.Address = listener.Addr().String()
		s.listeners = append(s.listeners, listener)
		s.bound = append(s.bound, l)
		s.log.Info("listening", "listener", l.Name, "address", l.URL())
	}
	return nil
}

// Addrs returns the listeners with the addresses that they are bound to, in the
// order of Options. It is empty before Listen.
func (s *Server) Addrs() []Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Listener(nil), s.bound...)
}

// Serve serves until Shutdown has ended, then returns nil. It calls Listen if that
// was not done. When ctx ends, Serve stops at once: running requests are
// cancelled and their connections closed. If a listener fails, it does the same
// and returns the error.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.mu.Lock()
	listeners := append([]net.Listener(nil), s.listeners...)
	s.mu.Unlock()

	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- s.http.Serve(l) }()
	}
	var result error
	done := ctx.Done()
	if len(listeners) == 0 {
		select {
		case <-done:
			s.kill()
		case <-s.stopped:
		}
	}
	for range listeners {
		var err error
		select {
		case err = <-failed:
		case <-done:
			s.kill()
			err = <-failed
		}
		if !errors.Is(err, http.ErrServerClosed) && result == nil {
			result = err
			s.kill()
		}
	}
	<-s.stopped
	return result
}

// Shutdown stops accepting, waits for running requests until ctx ends, then
// cancels those that are left. It returns the context's error if any were. It may
// be called more than once and before Serve; later calls wait for the first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	s.mu.Unlock()
	if !first {
		select {
		case <-s.stopped:
			return nil
		case <-ctx.Done():
			s.endWork()
			_ = s.http.Close()
			return ctx.Err()
		}
	}
	defer close(s.stopped)
	err := s.http.Shutdown(ctx)
	s.endWork()
	if err != nil {
		_ = s.http.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeListenersLocked()
	return err
}

// kill ends the server without waiting for requests.
func (s *Server) kill() {
	s.endWork()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx)
}

func (s *Server) closeListenersLocked() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.listeners, s.bound = nil, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBody <= 0 {
		o.MaxBody = shared.MaxMessage
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 4 * o.MaxBody
	}
	if o.BodyTimeout <= 0 {
		o.BodyTimeout = 10 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = time.Minute
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Version == "" {
		o.Version = "0.0.0"
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return o
}
