package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

func reason(err error) shared.Reason {
	var e *shared.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func mayHaveRun(err error) shared.MayHaveRun {
	var e *shared.Error
	if errors.As(err, &e) {
		return e.MayHaveRun
	}
	return ""
}

func TestExecute(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	result, err := f.pool.Execute(t.Context(), "echo", map[string]any{"x": 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(result.Result), `{"x":1}`; got != want {
		t.Errorf("Result = %s, want %s", got, want)
	}
	if !strings.HasPrefix(result.Worker, "p-") {
		t.Errorf("Worker = %q, want one of pool p", result.Worker)
	}
	f.await(t, shared.CallDone, 1)
	if got := f.pool.Stats(); got.Requests != 1 || got.Errors != 0 || got.Ready != 2 || got.Slots != 4 || got.Run.Count != 1 {
		t.Errorf("Stats() = %+v, want 1 request, 2 ready workers with 4 slots", got)
	}
}

func TestConcurrentCallsSpreadAndOverlap(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	gate := filepath.Join(f.dir, "gate")
	workers := make(chan string, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			result, err := f.pool.Execute(t.Context(), "gate", map[string]string{"file": gate})
			if err != nil {
				t.Error(err)
				return
			}
			workers <- result.Worker
		})
	}
	// All four run at the same time: none could end before the gate opens.
	until(t, "4 calls are in flight", func() bool { return f.pool.Stats().InFlight == 4 })
	if got := f.pool.Stats(); got.Busy != 2 || got.Available != 0 {
		t.Errorf("Stats() = %+v, want both workers busy", got)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	close(workers)
	count := map[string]int{}
	for w := range workers {
		count[w]++
	}
	if count["p-1"] != 2 || count["p-2"] != 2 {
		t.Errorf("calls per worker = %v, want 2 each", count)
	}
}

func TestQueueTimesOutAndOverflows(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) {
		c.Pools[0].Size = 1
		c.Pools[0].Worker.Concurrency = 1
		c.Pools[0].Queue.Capacity = 1
		c.Pools[0].QueueTimeout = 50 * time.Millisecond
	})
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan error, 1)
	go func() { _, err := f.pool.Execute(ctx, "block", nil); held <- err }()
	until(t, "the slot is held", func() bool { return f.pool.Stats().InFlight == 1 })

	queued := make(chan error, 1)
	go func() { _, err := f.pool.Execute(t.Context(), "echo", nil); queued <- err }()
	until(t, "a call is queued or has timed out", func() bool {
		s := f.pool.Stats()
		return s.Queued == 1 || s.QueueTimeouts == 1
	})
	if err := <-queued; reason(err) != shared.QueueTimeout || mayHaveRun(err) != shared.RunNo {
		t.Errorf("queued call: error = %v, want QUEUE_TIMEOUT that did not run", err)
	}

	// With a long wait the queue fills up.
	f.pool.cfg.QueueTimeout = time.Minute
	go func() { _, err := f.pool.Execute(t.Context(), "echo", nil); queued <- err }()
	until(t, "a call is queued", func() bool { return f.pool.Stats().Queued == 1 })
	_, err := f.pool.Execute(t.Context(), "echo", nil)
	var e *shared.Error
	if !errors.As(err, &e) || e.Reason != shared.QueueFull || e.RetryAfter <= 0 {
		t.Errorf("call on a full queue: error = %+v, want QUEUE_FULL with RetryAfter", err)
	}
	// A caller that leaves the queue is gone from it at once.
	cancel()
	if err := <-held; reason(err) != shared.Canceled {
		t.Errorf("held call: error = %v, want CANCELLED", err)
	}
	if err := <-queued; err != nil {
		t.Errorf("the queued call got the slot and failed: %v", err)
	}
	until(t, "no lease is left", func() bool { s := f.pool.Stats(); return s.InFlight == 0 && s.Queued == 0 })
	if s := f.pool.Stats(); s.QueueTimeouts != 1 || s.Rejected != 1 {
		t.Errorf("Stats() = %+v, want 1 queue timeout and 1 rejected", s)
	}
}

func TestCallerLeavesTheQueue(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) {
		c.Pools[0].Size = 1
		c.Pools[0].Worker.Concurrency = 1
	})
	hold, release := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { _, _ = f.pool.Execute(hold, "block", nil); close(done) }()
	until(t, "the slot is held", func() bool { return f.pool.Stats().InFlight == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := f.pool.Execute(ctx, "echo", nil); left <- err }()
	until(t, "the call is queued", func() bool { return f.pool.Stats().Queued == 1 })
	cancel()
	if err := <-left; reason(err) != shared.Canceled || mayHaveRun(err) != shared.RunNo {
		t.Errorf("error = %v, want CANCELLED that did not run", err)
	}
	if got := f.pool.Stats().Queued; got != 0 {
		t.Errorf("Queued = %d, want 0", got)
	}
	release()
	<-done
}

func TestWorkerKilledMidCall(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	results := make(chan error, 4)
	gate := filepath.Join(f.dir, "gate")
	for range 4 {
		go func() {
			_, err := f.pool.Execute(t.Context(), "gate", map[string]string{"file": gate})
			results <- err
		}()
	}
	until(t, "the workers have begun 4 calls", func() bool {
		begun, _ := filepath.Glob(gate + ".begun*")
		return len(begun) == 4
	})
	victim := f.pool.Workers()[0]
	if err := syscall.Kill(victim.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-results; reason(err) != shared.WorkerLost || mayHaveRun(err) != shared.RunMaybe {
			t.Errorf("call on the killed worker: error = %v, want WORKER_LOST that may have run", err)
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("call on the other worker failed: %v", err)
		}
	}
	lost := f.await(t, shared.WorkerLostKind, 1)
	if lost.Worker != victim.ID || lost.Reason != "signal: killed" {
		t.Errorf("lost event = %+v, want worker %s killed", lost, victim.ID)
	}
	f.await(t, shared.WorkerReady, 3)
	now := f.pool.Workers()[0]
	if now.ID != victim.ID || now.Generation != victim.Generation+1 || now.PID == victim.PID {
		t.Errorf("worker after the kill = %+v, want generation %d of %s", now, victim.Generation+1, victim.ID)
	}
	if s := f.pool.Stats(); s.Ready != 2 || s.InFlight != 0 || s.Errors != 2 {
		t.Errorf("Stats() = %+v, want 2 ready, none in flight, 2 errors", s)
	}
}

func TestIdempotentCallIsRunAgain(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	args := map[string]string{"file": filepath.Join(f.dir, "died")}
	result, err := f.pool.Execute(t.Context(), "die-once", args)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(result.Result); got != `"second"` {
		t.Errorf("Result = %s, want the second try's", got)
	}
	// A call that is not idempotent is not.
	if _, err := f.pool.Execute(t.Context(), "die", nil); reason(err) != shared.WorkerLost {
		t.Errorf("error = %v, want WORKER_LOST", err)
	}
}

func TestExecutionTimeout(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	_, err := f.pool.Execute(t.Context(), "block", nil, WithTimeout(30*time.Millisecond))
	// The worker may have said so itself, at the same moment.
	if reason(err) != shared.ExecutionTimeout || mayHaveRun(err) == shared.RunNo {
		t.Errorf("error = %v, want EXECUTION_TIMEOUT that may have run", err)
	}
	// The worker cancelled it: its slot comes back, and the process is the same.
	until(t, "the slot is back", func() bool { return f.pool.Stats().InFlight == 0 })
	if got := f.pool.Stats().Restarts; got != 0 {
		t.Errorf("Restarts = %d, want 0", got)
	}
}

func TestWorkerThatIgnoresCancelIsReplaced(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) {
		c.Pools[0].Size = 1
		c.Pools[0].CancelGrace = 50 * time.Millisecond
		c.Pools[0].ExecutionTimeout = 100 * time.Millisecond
	})
	before := f.pool.Workers()[0]
	if _, err := f.pool.Execute(t.Context(), "stuck", nil); reason(err) != shared.ExecutionTimeout {
		t.Fatalf("error = %v, want EXECUTION_TIMEOUT", err)
	}
	drained := f.await(t, shared.WorkerDraining, 1)
	if !strings.Contains(drained.Reason, "did not react") {
		t.Errorf("reason = %q, want that it did not react to its cancellation", drained.Reason)
	}
	f.await(t, shared.WorkerStopped, 1)
	after := f.pool.Workers()[0]
	if after.Generation != before.Generation+1 || after.State != "ready" {
		t.Errorf("worker = %+v, want generation %d ready", after, before.Generation+1)
	}
	until(t, "the leaked slot is freed", func() bool { return f.pool.Stats().InFlight == 0 })
	if _, err := f.pool.Execute(t.Context(), "echo", nil, WithTimeout(time.Minute)); err != nil {
		t.Errorf("call after the replacement failed: %v", err)
	}
}

func TestRecycleKeepsThePoolsSize(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) {
		c.Pools[0].Size = 1
		c.Pools[0].Recycle.MaxRequests = 10
		c.Pools[0].Recycle.Jitter = 0
	})
	stop := make(chan struct{})
	lowest := 1
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			default:
				lowest = min(lowest, f.pool.Stats().Ready)
			}
		}
	}()
	for f.pool.Workers()[0].Generation < 2 || f.pool.Workers()[0].State != "ready" {
		if _, err := f.pool.Execute(t.Context(), "echo", nil); err != nil {
			t.Fatalf("call during the recycling failed: %v", err)
		}
	}
	f.await(t, shared.WorkerReady, 2)
	close(stop)
	<-watched
	if lowest < 1 {
		t.Errorf("ready workers fell to %d during the recycling, want 1 all the time", lowest)
	}
}

func TestFailedWorkerDoesNotBlockTheOthers(t *testing.T) {
	t.Parallel()
	// The first process to start fails; its worker tries again.
	f := setup(t, "exit-once", func(c *config.Config) {
		c.Pools[0].StartupConcurrency = 1
		c.Host.StartupConcurrency = 1
		c.Pools[0].Restart.Backoff = time.Millisecond
		c.Pools[0].MinReady = 2
	})
	f.await(t, shared.WorkerFailed, 1)
	if got := f.pool.Stats().Ready; got != 2 {
		t.Errorf("Ready = %d, want 2", got)
	}
}

func TestPoolThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ mode, want string }{
		{"exit", "No module named 'acme'"},
		{"silent", "startup_timeout"},
		{"garbage", "not a handshake: hello"},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, tc.mode, func(c *config.Config) {
				c.Pools[0].Restart.Backoff = time.Millisecond
				c.Pools[0].Restart.MaxBackoff = time.Hour
				c.Pools[0].StartupTimeout = 10 * time.Second
				if tc.mode == "garbage" {
					c.Pools[0].Command = []string{"/bin/sh", "-c", "echo hello, I am no plugin; sleep 1000"}
				}
				if tc.mode == "silent" {
					c.Pools[0].StartupTimeout = 300 * time.Millisecond
				}
			})
			err := f.WaitReady(t.Context())
			if reason(err) != shared.NotReady || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("WaitReady() = %v, want NOT_READY with %q", err, tc.want)
			}
			// Callers are told at once, not at the end of a queue timeout.
			_, err = f.pool.Execute(t.Context(), "echo", nil)
			if reason(err) != shared.NotReady || mayHaveRun(err) != shared.RunNo {
				t.Errorf("Execute() = %v, want NOT_READY", err)
			}
			if ok, why := f.Ready(); ok || !strings.Contains(why, `pool "p"`) {
				t.Errorf("Ready() = %t, %q, want false with the pool", ok, why)
			}
			if got := f.pool.Status().Status; got != "degraded" {
				t.Errorf("Status = %q, want degraded", got)
			}
		})
	}
}

func TestCrashLoopDegradesThePool(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) {
		c.Pools[0].Size = 1
		c.Pools[0].Restart.Backoff = time.Millisecond
		c.Pools[0].Restart.MaxBackoff = 20 * time.Millisecond
		c.Pools[0].Restart.Intensity = 2
	})
	for i := range 3 {
		_, _ = f.pool.Execute(t.Context(), "die", nil)
		f.await(t, shared.WorkerReady, i+2)
	}
	f.await(t, shared.PoolDegraded, 1)
	status := f.pool.Status()
	if status.Status != "degraded" || !strings.Contains(status.Reason, "more than 2 restarts") {
		t.Errorf("Status = %q, %q, want degraded for its restarts", status.Status, status.Reason)
	}
	if _, err := f.pool.Execute(t.Context(), "echo", nil); err != nil {
		t.Errorf("a degraded pool with a ready worker refused a call: %v", err)
	}
}

func TestRestartModes(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) {
		c.Pools[0].Size = 1
		c.Pools[0].Restart.Mode = "never"
	})
	_, _ = f.pool.Execute(t.Context(), "die", nil)
	until(t, "the worker is stopped", func() bool { return f.pool.Workers()[0].State == "stopped" })
	if got := f.pool.Stats().Ready; got != 0 {
		t.Errorf("Ready = %d, want 0", got)
	}
	if _, err := f.pool.Execute(t.Context(), "echo", nil); reason(err) != shared.NotReady {
		t.Errorf("Execute() = %v, want NOT_READY at once", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"ok", "ignore-term", "stubborn-child"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := setup(t, mode, func(c *config.Config) { c.Host.DrainTimeout = 100 * time.Millisecond })
			pids := []int{}
			for _, w := range f.pool.Workers() {
				pids = append(pids, w.PID)
			}
			if mode == "stubborn-child" {
				raw, err := os.ReadFile(filepath.Join(f.dir, "marker"))
				if err != nil {
					t.Fatal(err)
				}
				pid, err := strconv.Atoi(string(raw))
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			hang := make(chan error, 1)
			go func() { _, err := f.pool.Execute(t.Context(), "stuck", nil); hang <- err }()
			until(t, "the call is in flight", func() bool { return f.pool.Stats().InFlight == 1 })
			if err := f.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-hang; reason(err) != shared.WorkerLost {
				t.Errorf("call over drain_timeout: error = %v, want WORKER_LOST", err)
			}
			for _, pid := range pids {
				until(t, fmt.Sprintf("process %d is gone", pid), func() bool { return gone(pid) })
			}
			left, err := filepath.Glob(filepath.Join(f.dir, "run", "w-*", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("socket folders left: %v", left)
			}
			if _, err := f.pool.Execute(t.Context(), "echo", nil); reason(err) != shared.Draining {
				t.Errorf("call after Close: error = %v, want DRAINING", err)
			}
		})
	}
}

// gone reports whether a process has ended. A zombie of another parent has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return len(fields) > 0 && fields[0] == "Z"
}

func TestDrainWaitsForRunningCalls(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) { c.Host.DrainTimeout = time.Minute })
	gate := filepath.Join(f.dir, "gate")
	done := make(chan error, 1)
	go func() {
		_, err := f.pool.Execute(t.Context(), "gate", map[string]string{"file": gate})
		done <- err
	}()
	until(t, "the call is in flight", func() bool { return f.pool.Stats().InFlight == 1 })
	closed := make(chan struct{})
	go func() { _ = f.Close(context.Background()); close(closed) }()
	until(t, "the pool drains", func() bool { return f.pool.Status().Status == "draining" })
	select {
	case <-closed:
		t.Fatal("Close returned before the call ended")
	default:
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the running call failed: %v", err)
	}
	<-closed
}

func TestSecondHostOnOneFolder(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	second, err := New(f.cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Start(t.Context())
	if reason(err) != shared.HostLocked || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("Start() of a second host = %v, want HOST_LOCKED with this process", err)
	}
	if _, err := f.pool.Execute(t.Context(), "echo", nil); err != nil {
		t.Errorf("the first host was disturbed: %v", err)
	}
}

func TestSocketsOfAKilledHostAreRemoved(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	stale := filepath.Join(f.socketDir, "plugin-dir-of-a-dead-host")
	if err := os.MkdirAll(stale, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := New(f.cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer next.Close(context.Background())
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", stale, err)
	}
}

func TestBadCallsAreRefusedBeforeAWorker(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok", func(c *config.Config) { c.Pools[0].Worker.MaxMessage = 1 << 10 })
	for _, tc := range []struct {
		name string
		req  shared.CallRequest
		want shared.Reason
	}{
		{"no pool", shared.CallRequest{Pool: "q", Command: "echo"}, shared.PoolNotFound},
		{"no command", shared.CallRequest{Pool: "p"}, shared.InvalidArgument},
		{"unknown command", shared.CallRequest{Pool: "p", Command: "ecko"}, shared.CommandNotFound},
		{"long command", shared.CallRequest{Pool: "p", Command: strings.Repeat("x", 10_000)}, shared.InvalidArgument},
		{"arguments no object", shared.CallRequest{Pool: "p", Command: "echo", Args: json.RawMessage(`[1]`)}, shared.InvalidArgument},
		{"broken JSON", shared.CallRequest{Pool: "p", Command: "echo", Args: json.RawMessage(`{"a":`)}, shared.InvalidArgument},
		{"invalid UTF-8", shared.CallRequest{Pool: "p", Command: "echo", Args: json.RawMessage("{\"a\":\"\xff\"}")}, shared.InvalidArgument},
		{"too deep", shared.CallRequest{Pool: "p", Command: "echo", Args: json.RawMessage(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`)}, shared.InvalidArgument},
		{"too large", shared.CallRequest{Pool: "p", Command: "echo", Args: json.RawMessage(`{"a":"` + strings.Repeat("x", 2<<10) + `"}`)}, shared.PayloadTooLarge},
		{"negative timeout", shared.CallRequest{Pool: "p", Command: "echo", Timeout: -1}, shared.InvalidArgument},
		{"long session", shared.CallRequest{Pool: "p", Command: "echo", Session: strings.Repeat("s", 10_000)}, shared.InvalidArgument},
	} {
		_, err := f.Call(t.Context(), tc.req)
		if reason(err) != tc.want || mayHaveRun(err) != shared.RunNo {
			t.Errorf("%s: error = %v, want %s that did not run", tc.name, err, tc.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: message of %d bytes", tc.name, len(err.Error()))
		}
	}
	for _, w := range f.pool.Workers() {
		if w.Calls != 0 {
			t.Errorf("worker %s ran %d calls, want none", w.ID, w.Calls)
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	var got []string
	result, err := f.CallStream(t.Context(), shared.CallRequest{Pool: "p", Command: "count", Args: json.RawMessage(`{"to":200}`)},
		func(e shared.StreamEvent) error { got = append(got, string(e.Data)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 200 || got[0] != "0" || got[199] != "199" || string(result.Result) != "200" {
		t.Errorf("got %d chunks and result %s, want 200 in order", len(got), result.Result)
	}
	// A reader that leaves ends the call, and the slot comes back.
	_, err = f.CallStream(t.Context(), shared.CallRequest{Pool: "p", Command: "count", Args: json.RawMessage(`{"to":100000}`)},
		func(shared.StreamEvent) error { return errors.New("reader is gone") })
	if reason(err) != shared.Canceled {
		t.Errorf("error = %v, want CANCELLED", err)
	}
	until(t, "the slot is back", func() bool { return f.pool.Stats().InFlight == 0 })
}

func TestPoolHealthRules(t *testing.T) {
	t.Parallel()
	f := setup(t, "ok")
	if got := f.pool.Status().Health; got.Level != "healthy" {
		t.Errorf("health = %+v, want healthy", got)
	}
	for range 10 {
		_, err := f.pool.Execute(t.Context(), "fail", nil)
		var remote *shared.RemoteError
		if !errors.As(err, &remote) || remote.Message != "broken" || mayHaveRun(err) != shared.RunYes {
			t.Fatalf("error = %v, want the worker's own", err)
		}
	}
	if got := f.pool.Status().Health; got.Level != "error" || !strings.Contains(got.Findings[0], "error rate 100.0%") {
		t.Errorf("health = %+v, want an error for its rate", got)
	}
}

func TestCallsQueueWhileThePoolStarts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "ok", func(c *config.Config) { c.Pools[0].QueueTimeout = time.Millisecond })
	if _, err := f.pool.Execute(t.Context(), "echo", nil); err != nil {
		t.Errorf("call before the first worker was ready: %v", err)
	}
}
