package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// readyPoll is the time between two looks at whether the workers are ready.
const readyPoll = 10 * time.Millisecond

// setHere are the variables that the demo sets for its host itself.
var setHere = []string{"DSPEX_ADDR", "DSPEX_DATA_DIR", "DSPEX_RUN_DIR", "DSPEX_PYTHON_DIR"}

// start starts the fake language model and the host, and waits until all workers
// are ready.
func (d *demo) start(ctx context.Context) error {
	env := slices.DeleteFunc(d.cli.environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(setHere, name)
	})
	env = append(env, "DSPEX_DATA_DIR="+d.dir+"/data", "DSPEX_RUN_DIR="+d.dir+"/run", "DSPEX_PYTHON_DIR="+d.python)
	if !d.real {
		if err := d.startFakeLM(ctx, env); err != nil {
			return err
		}
	}
	return d.startHost(ctx, env)
}

func (d *demo) startFakeLM(ctx context.Context, env []string) error {
	url := make(chan string, 1)
	var err error
	d.lm, err = startChild(env, func(line string) {
		if strings.HasPrefix(line, "http://") {
			select {
			case url <- strings.TrimSuffix(line, "/v1"):
			default:
			}
		}
	}, "fakelm", "--addr", "127.0.0.1:0", "--latency", demoLatency.String())
	if err != nil {
		return err
	}
	select {
	case d.fakeLM = <-url:
	case <-d.lm.done:
		return fmt.Errorf("the fake LM ended: %w", d.lm.ended())
	case <-ctx.Done():
		return ctx.Err()
	}
	d.fact("fake LM", "%s/v1, %s an answer", d.fakeLM, latency(demoLatency))
	return nil
}

// startup follows the log of a host that starts.
type startup struct {
	demo   *demo
	listen chan string

	mu      sync.Mutex
	install time.Duration // guarded by mu; what making the Python environment took
}

// follow takes a line of the log.
func (s *startup) follow(line string) {
	entry, ok := parseLog(line)
	if !ok {
		return
	}
	switch entry.message {
	case "python environment":
		step := "Python environment: " + entry.text("step") + ", " + entry.text("detail")
		took, err := time.ParseDuration(entry.text("elapsed"))
		if err != nil {
			s.demo.line.begin(step)
			return
		}
		s.demo.line.end()
		s.mu.Lock()
		s.install += took
		s.mu.Unlock()
		s.demo.fact("Python", "%s, %s: %s", entry.text("step"), entry.text("detail"), latency(took))
	case "listening":
		if addr := entry.text("address"); strings.HasPrefix(addr, "http://") {
			select {
			case s.listen <- addr:
			default:
			}
		}
	}
}

func (d *demo) startHost(ctx context.Context, env []string) error {
	args := []string{"serve", "--log-format", "json", "--log-level", "info", "--listen", "unix://" + d.dir + "/run/api.sock", "--listen", "127.0.0.1:0"}
	for _, path := range d.paths {
		args = append(args, "--config", path)
	}
	vars := d.config.vars
	if !d.real {
		vars = append(append([]string{}, vars...), fakeVars(d.fakeLM)...)
	}
	for _, v := range vars {
		args = append(args, "--var", v)
	}
	for _, path := range d.config.varFiles {
		args = append(args, "--var-file", path)
	}
	log := &startup{demo: d, listen: make(chan string, 1)}
	started := time.Now()
	var err error
	if d.serve, err = startChild(env, log.follow, args...); err != nil {
		return err
	}
	select {
	case d.url = <-log.listen:
	case <-d.serve.done:
		return fmt.Errorf("dspex serve ended before it listened: %w", d.serve.ended())
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.host, err = client.New(d.url); err != nil {
		return err
	}
	d.fact("dspex serve", "%s, pool %q", d.url, d.pool)
	d.line.begin(fmt.Sprintf("starting %s", plural(d.workers, "worker")))
	ready, err := d.awaitWorkers(ctx)
	d.line.end()
	if err != nil {
		return err
	}
	took := time.Since(started)
	log.mu.Lock()
	install := log.install
	log.mu.Unlock()
	text := fmt.Sprintf("%d of %s, %s after the start of dspex serve", ready, plural(d.workers, "worker"), latency(took))
	if install > 0 {
		text += fmt.Sprintf(" (%s of it made the Python environment, once)", latency(install))
	}
	d.fact("ready", "%s", text)
	return nil
}

// awaitWorkers waits until every worker of every pool is ready, and counts them.
func (d *demo) awaitWorkers(ctx context.Context) (int, error) {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		pools, err := d.host.Pools(ctx)
		if err != nil {
			return 0, err
		}
		ready, workers := 0, 0
		for _, p := range pools {
			ready += p.Stats.Ready
			workers += p.Stats.Workers
			if p.Status == "degraded" {
				return 0, shared.Errorf(shared.NotReady, "pool %q: %s", p.Name, p.Reason)
			}
		}
		if ready == workers && workers == d.workers {
			return ready, nil
		}
		select {
		case <-ticker.C:
		case <-d.serve.done:
			return 0, fmt.Errorf("dspex serve ended: %w", d.serve.ended())
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
