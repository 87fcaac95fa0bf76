package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host"
	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	config    configFlags
	paths     []string
	listen    []string
	logLevel  string
	logFormat string
}

func newServe(c *cli) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a host",
		Long: `Run the pools of a configuration and serve them until it is told to stop.

-c names files, or folders whose *.hcl files are read together; the default is
` + defaultConfig + ` in this folder.

` + variablesHelp + `

SIGTERM or Ctrl-C stops it: it takes no more calls, waits for the running ones for
at most host.drain_timeout, and ends its workers. A second signal stops it at once.

Logs go to standard error: text on a terminal, else JSON, a line each.

Environment:
  DSPEX_ADDR        address to listen on, in place of the TCP listener's (host:port)
                    or of the unix listener's (unix:///path)
  DSPEX_DATA_DIR    wins over host.data_dir
  DSPEX_RUN_DIR     wins over host.run_dir
  DSPEX_PYTHON_DIR  where Python environments are kept (default data_dir/python)`,
		Example: `  dspex serve
  dspex serve -c pools.hcl --var size=4
  dspex serve -c /etc/dspex --log-level debug
  dspex serve --listen 127.0.0.1:8080 --listen unix:///run/dspex/api.sock`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.paths, "config", "c", nil, "configuration file or folder (repeatable, default "+defaultConfig+")")
	flags.StringArrayVar(&f.listen, "listen", nil, "address to listen on, in place of all listeners of the configuration (repeatable)")
	flags.Var(&choice{&f.logLevel, []string{"trace", "debug", "info", "warn", "error"}}, "log-level", "trace, debug, info, warn or error (default host.log_level)")
	flags.Var(&choice{&f.logFormat, []string{"auto", "text", "json"}}, "log-format", "auto, text or json (default host.log_format)")
	f.config.add(cmd)
	_ = cmd.MarkFlagFilename("config", "hcl")
	return cmd
}

// serve runs a host until a signal ends it.
func (c *cli) serve(ctx context.Context, f serveFlags) error {
	started := time.Now()
	paths, err := configPaths(f.paths)
	if err != nil {
		return err
	}
	cfg, diags, files := f.config.load(c, paths)
	if err := c.writeDiagnostics(c.stderr, diags, files); err != nil {
		return err
	}
	if cfg == nil {
		return exit(shared.ExitUsage)
	}
	if f.logLevel != "" {
		cfg.Host.LogLevel = f.logLevel
	}
	if f.logFormat != "" {
		cfg.Host.LogFormat = f.logFormat
	}
	listeners, err := listenersOf(cfg, f.listen, c.env("DSPEX_ADDR"))
	if err != nil {
		return err
	}

	line := newStatusLine(c.stderr, isTerminal(c.stderr))
	defer line.close()
	log := c.newLog(cfg, line)
	events := newEventLog(log)
	defer events.close()
	h, err := host.New(cfg, host.Options{
		Log:       log,
		Version:   viewVersion().Version,
		OnEvent:   events.take,
		Progress:  pythonProgress(line, log),
		PythonDir: c.env("DSPEX_PYTHON_DIR"),
	})
	if err != nil {
		return err
	}
	server, err := api.New(h, api.Options{
		Listeners: listeners, MaxBody: maxBody(cfg), Version: viewVersion().Version, Log: log.Named("api"),
	})
	if err != nil {
		return err
	}
	s := &service{cfg: cfg, log: log, host: h, server: server, started: started}
	return s.run(ctx)
}

// service is a host and its listeners, from start to stop.
type service struct {
	cfg     *config.Config
	log     hclog.Logger
	host    *host.Host
	server  *api.Server
	started time.Time
}

// run starts, serves until a signal or a failure, and stops.
func (s *service) run(ctx context.Context) error {
	stopping, forced, release := s.watchSignals(ctx)
	defer release()
	s.log.Info("starting", "version", viewVersion().Version, "pid", os.Getpid(), "data_dir", s.cfg.Host.DataDir, "run_dir", s.cfg.Host.RunDir)
	if err := s.host.Start(stopping); err != nil {
		if stopping.Err() != nil {
			s.log.Info("stopped before it was ready")
			return forcedExit(forced)
		}
		return err
	}
	if err := s.server.Listen(); err != nil {
		_ = s.host.Close(forced) // the reason to stop is more telling
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(forced) }()
	go s.awaitReady(stopping)

	var failed error
	select {
	case <-stopping.Done():
	case failed = <-served:
		served <- nil
		s.log.Error("stopping: a listener failed", "error", failed)
	}
	if err := s.stop(forced); failed == nil {
		failed = err
	}
	<-served
	if failed != nil {
		return fmt.Errorf("serve: %w", failed)
	}
	s.log.Info("stopped", "uptime", time.Since(s.started).Round(time.Millisecond).String())
	return forcedExit(forced)
}

// stop drains for at most drain_timeout, less if forced ends.
func (s *service) stop(forced context.Context) error {
	ctx, cancel := context.WithTimeout(forced, s.cfg.Host.DrainTimeout)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "drain_timeout", s.cfg.Host.DrainTimeout.String())
	}
	return s.host.Close(ctx)
}

// awaitReady logs when every pool is ready, or why one cannot be.
func (s *service) awaitReady(ctx context.Context) {
	err := s.host.WaitReady(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		e := shared.AsError(err)
		s.log.Error("not ready", "error", e.Error(), "hint", e.Hint)
		return
	}
	ready, workers := 0, 0
	for _, p := range s.host.Pools() {
		ready += p.Stats.Ready
		workers += p.Stats.Workers
	}
	s.log.Info("ready", "pools", len(s.cfg.Pools), "workers_ready", ready, "workers", workers, "elapsed", time.Since(s.started).Round(time.Millisecond).String())
}

// watchSignals returns a context that ends with the first signal to stop, and one
// that ends with the second.
func (s *service) watchSignals(ctx context.Context) (stopping, forced context.Context, release func()) {
	signals := make(chan os.Signal, 4)
	// SIGPIPE is taken so that a log reader that has gone does not end the host.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	stopping, stop := context.WithCancel(ctx)
	forced, force := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case sig := <-signals:
				switch {
				case sig == syscall.SIGPIPE:
				case sig == syscall.SIGHUP:
					s.log.Warn("ignored SIGHUP: this version cannot reload; restart it to apply changes")
				case stopping.Err() == nil:
					s.log.Info("stopping", "signal", sig.String(), "drain_timeout", s.cfg.Host.DrainTimeout.String())
					stop()
				default:
					s.log.Warn("stopping at once", "signal", sig.String())
					force()
				}
			}
		}
	}()
	return stopping, forced, func() {
		signal.Stop(signals)
		close(done)
		stop()
		force()
	}
}

// forcedExit is the exit of a host that a second signal stopped.
func forcedExit(forced context.Context) error {
	if forced.Err() != nil {
		return exit(shared.ExitInterrupted)
	}
	return nil
}

// maxBody is the largest request that a pool's workers take; 0 is the default.
func maxBody(cfg *config.Config) int64 {
	largest := int64(0)
	for _, p := range cfg.Pools {
		largest = max(largest, p.Worker.MaxMessage)
	}
	if largest <= shared.MaxMessage {
		return 0
	}
	return largest
}
