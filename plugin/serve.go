package plugin

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/dspex/dspex/shared"
)

const (
	// maxMessageVar is the environment variable with the largest gRPC message in
	// bytes.
	maxMessageVar = "DSPEX_MAX_MESSAGE"
	// orphanGraceVar is the environment variable with the seconds that a worker
	// waits without a host before it exits.
	orphanGraceVar = "DSPEX_ORPHAN_GRACE"

	defaultOrphanGrace = 60 * time.Second
	// messageSlack is what a gRPC message may be larger than its payloads.
	messageSlack = 1 << 20
	// drainGrace is how long SIGTERM lets running calls go on.
	drainGrace = 5 * time.Second
	// closeGrace is how long the connection stays open for the last frames to
	// arrive.
	closeGrace = 200 * time.Millisecond
	// streamWindow and connWindow are what the host may send unread: enough for
	// payloads of megabytes not to wait for window updates.
	streamWindow = 4 << 20
	connWindow   = 8 << 20
)

// Serve runs the app as a worker of the host that started this process. It is
// the last call of main: it returns once the host has stopped the worker, after
// SIGTERM, or when no host has been attached for DSPEX_ORPHAN_GRACE seconds (60
// unless set). SIGTERM lets running calls finish for 5 seconds; a second one
// cancels them. DSPEX_MAX_MESSAGE is the largest gRPC message in bytes (64 MiB
// unless set). A host sets both variables; secrets never travel in them.
//
// Serve prints to stderr and exits with status 1 if the app has an error
// ([App.Err]) or if no host started the process.
func Serve(app *App) {
	if err := serve(app); err != nil {
		fmt.Fprintf(os.Stderr, "serve worker %q: %s\n", app.name, err)
		os.Exit(shared.ExitFailed)
	}
}

func serve(app *App) error {
	if err := app.Err(); err != nil {
		return err
	}
	handshake := shared.Handshake()
	if os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		return fmt.Errorf("no host started this program: name it in a pool\n\n"+
			"    pool \"my-pool\" {\n      command = [%q]\n    }", os.Args[0])
	}
	// go-plugin replaces os.Stderr; the log stays on the real one.
	log := hclog.New(&hclog.LoggerOptions{
		Name:       app.name,
		Level:      hclog.Debug,
		Output:     os.Stderr,
		JSONFormat: true,
		TimeFn:     func() time.Time { return time.Now().UTC() },
	})
	maxMessage, err := messageLimit(os.Getenv(maxMessageVar))
	if err != nil {
		return err
	}
	grace, err := orphanGrace(os.Getenv(orphanGraceVar))
	if err != nil {
		return err
	}

	// SIGINT reaches the whole group on Ctrl-C, and only the host shall act on
	// it. SIGPIPE would end the process at its first log line after the host's
	// death; caught, it is an error of that write.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt, syscall.SIGPIPE)
	term := make(chan os.Signal, 2)
	signal.Notify(term, syscall.SIGTERM)

	orphaned := make(chan struct{})
	w := newWorker(app, log, grace, func() { close(orphaned) })
	server := make(chan *grpc.Server, 1)
	served, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		w.stopOn(term, orphaned, served, server)
	}()
	giveStdout()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{
			shared.ProtocolVersion: {shared.PluginName: &shared.WorkerPlugin{Worker: w}},
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(opts, serverOptions(maxMessage)...)...)
			server <- s
			return s
		},
		Logger: log,
	})
	close(served)
	<-stopped
	return nil
}

// stopOn ends the worker in order on the first of the signals, on the loss of
// the host, and when the server has stopped by itself.
func (w *worker) stopOn(term <-chan os.Signal, orphaned, served <-chan struct{}, server <-chan *grpc.Server) {
	select {
	case <-served:
		// The connections are gone: what runs is cancelled and gets its chance
		// to clean up.
		w.shutdown(0, nil)
		return
	case <-term:
		w.log.Info("worker shuts down", "cause", "SIGTERM")
	case <-orphaned:
		w.log.Warn("worker shuts down", "cause", "no host is attached")
	}
	hurry := make(chan struct{})
	go func() {
		select {
		case <-term:
			close(hurry)
		case <-served:
		}
	}()
	w.shutdown(drainGrace, hurry)
	select {
	case s := <-server:
		stopServer(s)
	case <-served:
	}
}

// stopServer closes the server. Its connections have streams of go-plugin that
// never end by themselves, so a graceful stop alone would not end either.
func stopServer(s *grpc.Server) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.GracefulStop()
	}()
	await(done, closeGrace)
	s.Stop()
	<-done
}

func serverOptions(maxMessage int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage + messageSlack),
		grpc.MaxSendMsgSize(maxMessage + messageSlack),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
	}
}

// messageLimit reads DSPEX_MAX_MESSAGE.
func messageLimit(value string) (int, error) {
	if value == "" {
		return shared.MaxMessage, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err == nil && (n <= 0 || n > 1<<31-1-messageSlack) {
		err = errors.New("out of range")
	}
	if err != nil {
		return 0, fmt.Errorf("read %s %q: want a number of bytes: %w", maxMessageVar, value, err)
	}
	return int(n), nil
}

// orphanGrace reads DSPEX_ORPHAN_GRACE.
func orphanGrace(value string) (time.Duration, error) {
	if value == "" {
		return defaultOrphanGrace, nil
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err == nil && !(seconds > 0 && seconds <= 365*24*3600) {
		err = errors.New("out of range")
	}
	if err != nil {
		return 0, fmt.Errorf("read %s %q: want a number of seconds: %w", orphanGraceVar, value, err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
