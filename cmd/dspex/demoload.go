package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dspex/dspex/shared"
)

const (
	demoPings = 1000
	demoRuns  = 100
)

// load is what many calls at once came to.
type load struct {
	took  time.Duration
	times []time.Duration // of those that succeeded, sorted
	err   error           // the first one
}

// atOnce does something n times at the same moment.
func atOnce(n int, do func(i int) error) load {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		l     load
		start = make(chan struct{})
		begun time.Time
	)
	for i := range n {
		wg.Go(func() {
			<-start
			began := time.Now()
			err := do(i)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				l.times = append(l.times, took)
			} else if l.err == nil {
				l.err = err
			}
		})
	}
	begun = time.Now()
	close(start)
	wg.Wait()
	l.took = time.Since(begun)
	slices.Sort(l.times)
	return l
}

// quantile returns the time that a share of the calls did not exceed.
func (l load) quantile(share float64) time.Duration {
	if len(l.times) == 0 {
		return 0
	}
	return l.times[min(int(share*float64(len(l.times))), len(l.times)-1)]
}

// report prints the figures, and fails if not all succeeded.
func (d *demo) report(l load, n int, what string) error {
	d.fact("ok", "%s/%s", count(len(l.times)), count(n))
	d.fact("took", "%s, %s %s/s", latency(l.took), count(int64(float64(n)/l.took.Seconds())), what)
	d.fact("latency", "p50 %s, p99 %s", latency(l.quantile(0.50)), latency(l.quantile(0.99)))
	if l.err != nil {
		return fmt.Errorf("%d of %d %s failed: %w", n-len(l.times), n, what, l.err)
	}
	return nil
}

func (d *demo) loadPings(ctx context.Context) error {
	d.title(count(demoPings) + " pings at once")
	l := atOnce(demoPings, func(i int) error {
		_, err := d.host.Call(ctx, shared.CallRequest{Pool: d.pool, Command: "ping", Args: fmt.Appendf(nil, `{"id":%d,"data":"load_test"}`, i)})
		return err
	})
	return d.report(l, demoPings, "pings")
}

// loadPrograms runs a program with as many different questions, so that no
// answer can come from a cache.
func (d *demo) loadPrograms(ctx context.Context) error {
	d.title(count(demoRuns) + " program runs at once, no two alike")
	if d.fakeLM != "" {
		if err := d.control(ctx, http.MethodPost, "/control/reset", nil); err != nil {
			return err
		}
	}
	l := atOnce(demoRuns, func(i int) error {
		result, err := d.host.RunProgram(ctx, shared.RunRequest{
			Name: "shared_qa_program", Inputs: fmt.Appendf(nil, `{"question":"What is %d plus 1000?"}`, i), Timeout: time.Minute,
		})
		if err != nil {
			return err
		}
		if want := fmt.Sprint(1000 + i); d.fakeLM != "" && !strings.Contains(string(result.Outputs), want) {
			return fmt.Errorf("asked for %d plus 1000 and got %s", i, result.Outputs)
		}
		return nil
	})
	if err := d.report(l, demoRuns, "runs"); err != nil || d.fakeLM == "" {
		return err
	}
	var seen struct {
		Requests    int `json:"requests"`
		MaxInFlight int `json:"max_in_flight"`
	}
	if err := d.control(ctx, http.MethodGet, "/control/stats", &seen); err != nil {
		return err
	}
	d.fact("fake LM", "saw %s requests, at most %s at once; one by one they would take %s",
		count(seen.Requests), count(seen.MaxInFlight), latency(demoRuns*demoLatency))
	if seen.Requests < demoRuns {
		return fmt.Errorf("the fake LM saw %d requests for %d runs", seen.Requests, demoRuns)
	}
	return nil
}

// control asks the fake language model about itself.
func (d *demo) control(ctx context.Context, method, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, d.fakeLM+path, nil)
	if err != nil {
		return fmt.Errorf("ask the fake LM: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the fake LM: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the fake LM: status %d of %s", resp.StatusCode, path)
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("ask the fake LM: %w", err)
	}
	return nil
}
