package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := New("acme")
		app.Command("wait", func(ctx *Context, _ json.RawMessage) (any, error) {
			<-ctx.Done()
			return nil, nil
		})
		stream, stop := attachInMemory(t, newWorker(app, hclog.NewNullLogger(), 0, nil), &workerv1.ConfigureRequest{HeartbeatMs: 250})
		defer stop()
		start := time.Now()
		stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{
			{Id: 1, Command: "wait", RemainingMs: 60_000},
			{Id: 2, Command: "wait", RemainingMs: 600},
		}})
		type beat struct {
			Seq      uint64
			InFlight uint32
			At       time.Duration
		}
		var got []beat
		for len(got) < 3 {
			hb := (<-stream.out).GetHeartbeat()
			if hb == nil {
				continue
			}
			got = append(got, beat{hb.GetSeq(), hb.GetInFlight(), time.Since(start)})
			if hb.GetLagMs() != 0 {
				t.Errorf("got lag %d ms in a bubble, want 0", hb.GetLagMs())
			}
			if hb.GetRssBytes() < 1<<20 {
				t.Errorf("got RSS %d, want more than a megabyte", hb.GetRssBytes())
			}
		}
		want := []beat{{1, 2, 250 * time.Millisecond}, {2, 2, 500 * time.Millisecond}, {3, 1, 750 * time.Millisecond}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("heartbeats (-want +got):\n%s", diff)
		}
	})
}

func TestNoHeartbeatsUnlessConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stream, stop := attachInMemory(t, newWorker(New("acme"), hclog.NewNullLogger(), 0, nil), &workerv1.ConfigureRequest{})
		defer stop()
		select {
		case resp := <-stream.out:
			t.Errorf("got %v, want nothing", resp)
		case <-time.After(time.Hour):
		}
	})
}

func TestLag(t *testing.T) {
	t.Parallel()
	due := time.Unix(1000, 0)
	for late, want := range map[time.Duration]uint32{
		-time.Second: 0, 0: 0, 1500 * time.Microsecond: 1, 3 * time.Second: 3000, 1 << 62: 1<<32 - 1,
	} {
		if got := lag(due, due.Add(late)); got != want {
			t.Errorf("%s late: got %d ms, want %d", late, got, want)
		}
	}
}

func TestOrphan(t *testing.T) {
	t.Parallel()
	const grace = 60 * time.Second
	// Each step attaches or leaves at a time; want is when the worker gives up.
	type step struct {
		at     time.Duration
		attach bool
	}
	tests := map[string]struct {
		steps []step
		want  time.Duration
	}{
		"nobody ever came":       {nil, grace},
		"host came and went":     {[]step{{30 * time.Second, true}, {500 * time.Second, false}}, 560 * time.Second},
		"host came back in time": {[]step{{0, true}, {10 * time.Second, false}, {69 * time.Second, true}, {100 * time.Second, false}}, 160 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				lost := make(chan time.Duration, 2)
				w := newWorker(New("acme"), hclog.NewNullLogger(), grace, func() { lost <- time.Since(start) })
				leave := func() {}
				for _, s := range test.steps {
					<-time.After(s.at - time.Since(start))
					if s.attach {
						_, leave = attachInMemory(t, w, &workerv1.ConfigureRequest{})
					} else {
						leave()
					}
				}
				if got := <-lost; got != test.want {
					t.Errorf("got lost at %s, want %s", got, test.want)
				}
			})
		})
	}
}

// A second stream takes over without a gap in which the worker is an orphan.
func TestOrphanWatchSurvivesTakeOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := make(chan struct{}, 1)
		w := newWorker(New("acme"), hclog.NewNullLogger(), time.Minute, func() { lost <- struct{}{} })
		_, leave := attachInMemory(t, w, &workerv1.ConfigureRequest{})
		synctest.Wait()
		_, leaveSecond := attachInMemory(t, w, &workerv1.ConfigureRequest{})
		synctest.Wait()
		leave()
		select {
		case <-lost:
			t.Error("got an orphan while the second stream is attached")
		case <-time.After(time.Hour):
		}
		leaveSecond()
		<-lost
	})
}

// A timer that fires while the host attaches comes too late.
func TestLateOrphanTimer(t *testing.T) {
	t.Parallel()
	lost := 0
	var o orphanWatch
	o.init(time.Hour, func() { lost++ })
	turn := o.turn
	o.attached()
	o.expire(turn)
	if lost != 0 {
		t.Errorf("got lost %d times, want 0", lost)
	}
	o.detached()
	o.expire(o.turn)
	o.expire(o.turn)
	if lost != 1 {
		t.Errorf("got lost %d times, want 1", lost)
	}
	o.stop()
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		work  time.Duration // that the call needs unless cancelled
		hurry time.Duration // when a second signal comes; 0 is never
		want  string        // result or reason
		took  time.Duration
	}{
		"call finishes":      {2 * time.Second, 0, `"done"`, 2 * time.Second},
		"call is too long":   {time.Hour, 0, "WORKER_LOST", 5 * time.Second},
		"signal comes again": {time.Hour, time.Second, "WORKER_LOST", time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				app := New("acme")
				app.Command("work", func(ctx *Context, _ json.RawMessage) (any, error) {
					select {
					case <-time.After(test.work):
						return "done", nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
				w := newWorker(app, hclog.NewNullLogger(), time.Minute, func() {})
				if _, err := w.Configure(t.Context(), &workerv1.ConfigureRequest{}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				stream := newTestStream(ctx)
				ended := make(chan error, 1)
				go func() { ended <- w.Attach(stream) }()
				outcomes := make(map[uint64]string)
				read := make(chan struct{})
				go func() {
					defer close(read)
					for {
						select {
						case resp := <-stream.out:
							for _, r := range resp.GetResults() {
								outcomes[r.GetCallId()] += string(r.GetResult())
							}
							for _, f := range resp.GetFailures() {
								outcomes[f.GetCallId()] += f.GetReason()
							}
							for _, f := range resp.GetRefusals() {
								outcomes[f.GetCallId()] += f.GetReason()
							}
						case <-ctx.Done():
							return
						}
					}
				}()
				stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{{Id: 1, Command: "work", RemainingMs: 10_000_000}}})
				synctest.Wait()

				start := time.Now()
				hurry, done := make(chan struct{}), make(chan struct{})
				if test.hurry > 0 {
					time.AfterFunc(test.hurry, func() { close(hurry) })
				}
				go func() {
					defer close(done)
					w.shutdown(drainGrace, hurry)
				}()
				synctest.Wait()
				stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{{Id: 2, Command: "ping", RemainingMs: 1000}}})
				<-done
				if took := time.Since(start); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				if err := <-ended; status.Code(err) != codes.Unavailable {
					t.Errorf("stream ended with %v, want %s", err, codes.Unavailable)
				}
				if err := w.Attach(stream); status.Code(err) != codes.Unavailable {
					t.Errorf("Attach after the end: got %v, want %s", err, codes.Unavailable)
				}
				cancel()
				<-read
				want := map[uint64]string{1: test.want, 2: string(shared.Draining)}
				if diff := cmp.Diff(want, outcomes); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A command that does not heed its context delays the end, but not for ever.
func TestShutdownDoesNotWaitForTheDeaf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		app := New("acme")
		app.Command("deaf", func(*Context, json.RawMessage) (any, error) {
			<-release
			return nil, nil
		})
		w := newWorker(app, hclog.NewNullLogger(), 0, nil)
		stream, stop := attachInMemory(t, w, &workerv1.ConfigureRequest{})
		stream.write(&workerv1.AttachRequest{Calls: []*workerv1.Call{{Id: 1, Command: "deaf", RemainingMs: 10_000_000}}})
		go func() {
			for range stream.out {
			}
		}()
		synctest.Wait()
		start := time.Now()
		w.shutdown(drainGrace, nil)
		if took, most := time.Since(start), drainGrace+3*flushGrace; took > most {
			t.Errorf("took %s, want at most %s", took, most)
		}
		close(release)
		stop()
		close(stream.out)
	})
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"": time.Minute, "5": 5 * time.Second, "0.25": 250 * time.Millisecond} {
		if got, err := orphanGrace(value); err != nil || got != want {
			t.Errorf("orphanGrace(%q): got %s, %v; want %s", value, got, err, want)
		}
	}
	for _, value := range []string{"0", "-1", "NaN", "Inf", "1e300", "10s", "x"} {
		if got, err := orphanGrace(value); err == nil {
			t.Errorf("orphanGrace(%q): got %s, want an error", value, got)
		}
	}
	for value, want := range map[string]int{"": shared.MaxMessage, "1000": 1000} {
		if got, err := messageLimit(value); err != nil || got != want {
			t.Errorf("messageLimit(%q): got %d, %v; want %d", value, got, err, want)
		}
	}
	for _, value := range []string{"0", "-1", "64MiB", "2147483647", "99999999999999999999"} {
		if got, err := messageLimit(value); err == nil {
			t.Errorf("messageLimit(%q): got %d, want an error", value, got)
		}
	}
}

func TestAppReportsItsProblems(t *testing.T) {
	t.Parallel()
	run := func(*Context, json.RawMessage) (any, error) { return nil, nil }
	app := New("no good")
	app.Command("twice", run)
	app.Command("twice", run)
	app.Command("with space", run)
	app.Command("none", nil)
	app.Stream("none", nil)
	Command[struct{}, int](app, "none", nil)
	app.Command("schema", run, Schema([]byte("{"), nil))
	Command(app, "array", func(*Context, []int) (int, error) { return 0, nil })
	want := `name app "no good": must match ^[A-Za-z_][A-Za-z0-9_.-]{0,127}$
add command "twice": was added before
add command "with space": must match ^[A-Za-z_][A-Za-z0-9_.-]{0,127}$
add command "none": has no function
add command "none": has no function
add command "none": has no function
add command "schema": read arguments schema: is not valid JSON
add command "array": arguments must be a struct or a map with string keys`
	if diff := cmp.Diff(want, app.Err().Error()); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if _, err := ServeTest(t.Context(), app); !errors.Is(err, app.problems[0]) {
		t.Errorf("ServeTest: got %v, want the problems", err)
	}
}
