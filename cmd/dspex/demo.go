package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

const (
	// demoLatency is how long the fake LM takes for an answer.
	demoLatency = 300 * time.Millisecond
	// demoStopTime is how long the demo's host may take to end.
	demoStopTime = 45 * time.Second
	// longestTemp is the longest folder for temporary files that leaves room for
	// the sockets of workers.
	longestTemp = 40
)

// demo runs a host of its own, with the examples.
type demo struct {
	cli     *cli
	config  configFlags
	paths   []string
	pool    string
	real    bool
	timeout time.Duration

	dir     string
	workers int // that the pools of the configuration have
	python  string
	fakeLM  string // its URL, without /v1; empty with --real
	url     string // of the host
	lm      *child
	serve   *child
	host    *client.Client
	line    *statusLine
}

func newDemo(c *cli) *cobra.Command {
	d := &demo{cli: c}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a host with a fake language model, and the examples",
		Long: `Start a host on a free port, with folders of its own, and a fake language model;
call it in every way; load it; stop it; and look that no process is left. Each
figure is measured in this run. Any failure gives a non-zero exit code.

The configuration must have a pool of Python workers with an lm block, and the
variables lm_api_base and lm_api_key, which lead it to the fake language model.
With --real it is used as it is, and the provider in it is asked.

Python environments are kept in $DSPEX_PYTHON_DIR, else in the data folder of the
configuration, so that the next run has them.`,
		Example: `  dspex demo
  dspex demo -c pools.hcl --pool qa
  dspex demo --real --var lm_model=openai/gpt-4o-mini`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&d.paths, "config", "c", nil, "configuration file or folder (repeatable, default "+defaultConfig+")")
	flags.StringVar(&d.pool, "pool", "", "pool to show (default the first that can run programs)")
	flags.BoolVar(&d.real, "real", false, "ask the provider of the configuration, in place of a fake language model")
	d.timeout = 5 * time.Minute
	timeoutFlag(cmd, &d.timeout, "timeout", "time for all of it")
	d.config.add(cmd)
	_ = cmd.MarkFlagFilename("config", "hcl")
	return cmd
}

// run is the whole demo.
func (d *demo) run(parent context.Context) (err error) {
	parent, stopSignals := signal.NotifyContext(parent, syscall.SIGINT, syscall.SIGTERM)
	defer stopSignals()
	ctx, cancel := context.WithTimeoutCause(parent, d.timeout, fmt.Errorf("the demo did not end within %s", ttl(d.timeout)))
	defer cancel()

	if d.paths, err = configPaths(d.paths); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return err
	}
	d.line = newStatusLine(d.cli.stdout, isTerminal(d.cli.stdout))
	defer func() {
		d.line.close()
		d.cleanUp()
		if err != nil && parent.Err() == nil {
			d.writeLogs()
		}
	}()

	fmt.Fprintln(d.line, "dspex demo")
	if err := d.start(ctx); err != nil {
		return explain(ctx, err)
	}
	// What the steps do ends when the host does.
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-d.serve.done:
			abort(fmt.Errorf("dspex serve ended: %w", d.serve.ended()))
		case <-ctx.Done():
		}
	}()
	for _, step := range []func(context.Context) error{
		d.showPing, d.showAnalyze, d.showPrograms, d.showGlobalProgram, d.showSessionData,
		d.loadPings, d.loadPrograms, d.showStats, d.showHealth,
	} {
		if err := step(ctx); err != nil {
			return explain(ctx, err)
		}
	}
	abort(nil)
	<-watched
	return d.stop()
}

// explain prefers the reason why a context ended to what followed from it.
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// prepare reads the configuration and makes the demo's folder.
func (d *demo) prepare() error {
	flags := d.config
	if !d.real {
		flags.vars = append(append([]string{}, flags.vars...), fakeVars("http://127.0.0.1:1")...)
	}
	cfg, diags, files := flags.load(d.cli, d.paths)
	if cfg == nil {
		if err := d.cli.writeDiagnostics(d.cli.stderr, diags, files); err != nil {
			return err
		}
		return exit(shared.ExitUsage)
	}
	if err := d.choosePool(cfg); err != nil {
		return err
	}
	for _, p := range cfg.Pools {
		if p.Enabled {
			d.workers += p.Size
		}
	}
	var err error
	if d.python = d.cli.env("DSPEX_PYTHON_DIR"); d.python == "" {
		d.python = filepath.Join(cfg.Host.DataDir, "python")
	}
	if d.python, err = filepath.Abs(d.python); err != nil {
		return fmt.Errorf("find folder of Python environments: %w", err)
	}
	temp := os.TempDir()
	if len(temp) > longestTemp {
		temp = "/tmp"
	}
	if d.dir, err = os.MkdirTemp(temp, "dspex-demo-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

// choosePool finds a pool that runs programs.
func (d *demo) choosePool(cfg *config.Config) error {
	for _, p := range cfg.Pools {
		runs := p.Enabled && len(p.Command) == 0 && p.LM != ""
		if runs && (d.pool == "" || d.pool == p.Name) {
			d.pool = p.Name
			return nil
		}
	}
	if d.pool != "" {
		return usagef("pool %q is not one of Python workers with an lm", d.pool)
	}
	return &usageError{message: "the configuration has no pool of Python workers with an lm", hint: "add an lm block, and lm = its name in a pool"}
}

// fakeVars lead a configuration to the fake language model.
func fakeVars(url string) []string {
	return []string{"lm_api_base=" + url + "/v1", "lm_api_key=demo"}
}

// stop ends the host as an operator does, and looks for what is left.
func (d *demo) stop() error {
	d.title("stop")
	d.host.Close() // the host would wait for connections that were never used
	started := time.Now()
	d.line.begin("waiting for dspex serve to end")
	err := d.serve.stop(demoStopTime)
	d.line.end()
	if err != nil {
		return fmt.Errorf("stop dspex serve: %w", err)
	}
	d.fact("SIGTERM", "dspex serve ended after %s with exit code 0", latency(time.Since(started)))
	if d.lm != nil {
		if err := d.lm.stop(demoStopTime); err != nil {
			return fmt.Errorf("stop the fake LM: %w", err)
		}
	}
	left := leftovers(d.dir)
	if len(left) > 0 {
		return shared.Errorf(shared.Internal, "processes are left behind: %s", left)
	}
	d.fact("processes", "%s, 0 left", plural(d.serve.seen(), "worker process"))
	return nil
}

// cleanUp ends what still runs and removes the demo's folder.
func (d *demo) cleanUp() {
	if d.host != nil {
		d.host.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if d.serve != nil {
		_ = d.serve.stop(demoStopTime) // after a failure, which is what is reported
	}
	if d.lm != nil {
		_ = d.lm.stop(demoStopTime)
	}
	if d.dir == "" {
		return
	}
	// Only a host that was killed leaves any: they would end by themselves later.
	for _, p := range leftovers(d.dir) {
		if syscall.Kill(p.pid, syscall.SIGKILL) == nil {
			fmt.Fprintf(d.cli.stderr, "ended process %s, which the host has left behind\n", p)
		}
	}
	_ = os.RemoveAll(d.dir)
}
