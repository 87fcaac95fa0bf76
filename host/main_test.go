package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/plugin"
	"github.com/dspex/dspex/shared"
)

// fakeMode, in the environment, makes the test binary a worker.
const fakeMode = "DSPEX_TEST_WORKER"

func TestMain(m *testing.M) {
	if mode := os.Getenv(fakeMode); mode != "" {
		runFakeWorker(mode)
		return
	}
	code := m.Run()
	if left := children(); left != "" {
		fmt.Fprintf(os.Stderr, "processes left by the tests:\n%s", left)
		code = 1
	}
	os.Exit(code)
}

// children lists the child processes of this one that are no zombies.
func children() string {
	out, _ := exec.Command("ps", "-o", "pid=,stat=,args=", "--ppid", fmt.Sprint(os.Getpid())).Output()
	var left strings.Builder
	for _, line := range strings.Split(string(out), "\n") {
		if strings.TrimSpace(line) != "" && !strings.Contains(line, "ps -o") && !strings.Contains(line, "<defunct>") {
			left.WriteString(line + "\n")
		}
	}
	return left.String()
}

// runFakeWorker plays a worker in a mode: what goes wrong is in its name.
func runFakeWorker(mode string) {
	switch mode {
	case "exit":
		fmt.Fprintln(os.Stderr, "ModuleNotFoundError: No module named 'acme'")
		os.Exit(3)
	case "silent":
		select {}
	case "exit-once":
		// Fails unless the marker is there, which it makes.
		marker := os.Getenv("MARKER")
		if _, err := os.Stat(marker); err != nil {
			_ = os.WriteFile(marker, nil, 0o600)
			os.Exit(1)
		}
	case "ignore-term":
		signal.Ignore(syscall.SIGTERM)
	case "stubborn-child":
		child := exec.Command("sleep", "1000")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if child.Start() == nil {
			_ = os.WriteFile(os.Getenv("MARKER"), []byte(fmt.Sprint(child.Process.Pid)), 0o600)
		}
	}
	app := plugin.New("fake")
	app.Command("echo", func(_ *plugin.Context, args json.RawMessage) (any, error) { return args, nil }, plugin.Idempotent())
	app.Command("block", func(ctx *plugin.Context, _ json.RawMessage) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	app.Command("stuck", func(*plugin.Context, json.RawMessage) (any, error) { select {} })
	app.Command("gate", func(ctx *plugin.Context, args json.RawMessage) (any, error) {
		// Waits until the file that the arguments name is there.
		var a struct{ File string }
		if err := json.Unmarshal(args, &a); err != nil {
			return nil, err
		}
		begun, err := os.CreateTemp(filepath.Dir(a.File), filepath.Base(a.File)+".begun")
		if err != nil {
			return nil, err
		}
		_ = begun.Close()
		for tick := time.NewTicker(2 * time.Millisecond); ; {
			if _, err := os.Stat(a.File); err == nil {
				return map[string]any{"worker": ctx.WorkerID()}, nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	})
	app.Command("die", func(*plugin.Context, json.RawMessage) (any, error) { os.Exit(9); return nil, nil })
	app.Command("die-once", func(_ *plugin.Context, args json.RawMessage) (any, error) {
		var a struct{ File string }
		_ = json.Unmarshal(args, &a)
		if _, err := os.Stat(a.File); err != nil {
			_ = os.WriteFile(a.File, nil, 0o600)
			os.Exit(9)
		}
		return "second", nil
	}, plugin.Idempotent())
	app.Command("fail", func(*plugin.Context, json.RawMessage) (any, error) { return nil, errors.New("broken") })
	app.Stream("count", func(_ *plugin.Context, args json.RawMessage, send func(any) error) (any, error) {
		var a struct{ To int }
		_ = json.Unmarshal(args, &a)
		for i := range a.To {
			if err := send(i); err != nil {
				return nil, err
			}
		}
		return a.To, nil
	})
	plugin.Serve(app)
}

// fixture is a running host with one pool, "p", of fake workers.
type fixture struct {
	*Host
	pool *Pool
	dir  string

	mu     sync.Mutex
	events []shared.Event // guarded by mu
	noted  chan struct{}  // guarded by mu; closed and replaced at each event
}

// setup starts a host whose pool is changed by the given functions.
func setup(t *testing.T, mode string, change ...func(*config.Config)) *fixture {
	t.Helper()
	f := newFixture(t, mode, change...)
	if err := f.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// newFixture is setup without waiting for readiness.
func newFixture(t *testing.T, mode string, change ...func(*config.Config)) *fixture {
	t.Helper()
	// Short, since the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "h")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool := config.DefaultPool("p")
	pool.Command = []string{exe}
	pool.Size = 2
	pool.Env = map[string]string{fakeMode: mode, "MARKER": filepath.Join(dir, "marker")}
	pool.Worker.Concurrency = 2
	pool.MinReady = 0 // all, unless a test says otherwise
	pool.StartupTimeout = time.Minute
	pool.ExecutionTimeout = time.Minute
	cfg := config.Default()
	cfg.Host.DataDir, cfg.Host.RunDir = filepath.Join(dir, "data"), filepath.Join(dir, "run")
	cfg.Host.DrainTimeout = 5 * time.Second
	cfg.Store.Engine = "memory"
	cfg.Pools = []config.Pool{pool}
	for _, c := range change {
		c(cfg)
	}
	if p := &cfg.Pools[0]; p.MinReady == 0 {
		p.MinReady = p.Size
	}
	f := &fixture{dir: dir, noted: make(chan struct{})}
	log := hclog.New(&hclog.LoggerOptions{Output: logTo{t}, Level: hclog.Debug})
	if f.Host, err = New(cfg, Options{Log: log, OnEvent: f.note}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(context.Background()) })
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.pool = f.pools[0]
	return f
}

type logTo struct{ t *testing.T }

func (l logTo) Write(b []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Logf("%s", strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func (f *fixture) note(e shared.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
	close(f.noted)
	f.noted = make(chan struct{})
}

// await waits for the nth event, from 1, of a kind, and returns it.
func (f *fixture) await(t *testing.T, kind shared.EventKind, n int) shared.Event {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		f.mu.Lock()
		seen, noted := 0, f.noted
		for _, e := range f.events {
			if e.Kind == kind {
				if seen++; seen == n {
					f.mu.Unlock()
					return e
				}
			}
		}
		f.mu.Unlock()
		select {
		case <-noted:
		case <-deadline:
			t.Fatalf("no event %d of kind %s; seen: %+v", n, kind, f.events)
		}
	}
}

// until waits for a condition that no event tells of.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for tick := time.NewTicker(2 * time.Millisecond); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
