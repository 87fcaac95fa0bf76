package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

func newWorker(c *cli) *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use:   "worker",
		Short: "Show workers",
		Long:  "Show the workers of a host: their processes, and what they do.",
		Example: `  dspex worker ls
  dspex worker status qa-3`,
	})
	cmd.AddCommand(newWorkerLs(c), newWorkerStatus(c))
	return cmd
}

func newWorkerLs(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls [POOL]",
		Aliases: []string{"list"},
		Short:   "List the workers",
		Long: `List the workers of a pool, or of all pools, one a line.

A worker keeps its ID when its process is replaced: PID, AGE and RSS are of the
process that it has now, CALLS and RESTARTS of the worker.`,
		Example: `  dspex worker ls
  dspex worker ls qa -o jsonl`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pool := ""
			if len(args) > 0 {
				pool = args[0]
			}
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				workers, err := host.Workers(ctx, pool)
				if err != nil {
					return err
				}
				return c.show(workersView{mapList(workers, viewWorker)}, func(w io.Writer) {
					t := c.newTable("WORKER", "PID", "STATE", "CALLS", "IN-FLIGHT", "AGE", "RSS", "RESTARTS")
					for _, worker := range workers {
						t.add(worker.ID, pid(worker.PID), worker.State, count(worker.Calls), count(worker.InFlight),
							since(worker.StartedAt), memory(worker.RSS), count(worker.Restarts))
					}
					t.write(w)
				})
			})
		},
		ValidArgsFunction: c.completePools,
	}
	c.addClient(cmd)
	return cmd
}

func newWorkerStatus(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status WORKER",
		Short: "Show one worker",
		Long: `Show one worker and its process. WORKER is its ID, or the beginning of it if no
other worker's begins so.`,
		Example: `  dspex worker status qa-3
  dspex worker status qa-3 --json | jq .versions`,
		Args: exactly("worker"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				workers, err := host.Workers(ctx, "")
				if err != nil {
					return err
				}
				worker, err := findWorker(workers, args[0])
				if err != nil {
					return err
				}
				return c.show(viewWorker(worker), func(w io.Writer) { c.writeWorker(w, worker) })
			})
		},
	}
	c.addClient(cmd)
	return cmd
}

// findWorker returns the worker of an ID, else the only one whose ID begins with
// it.
func findWorker(workers []shared.WorkerStatus, id string) (shared.WorkerStatus, error) {
	var found []shared.WorkerStatus
	for _, w := range workers {
		if w.ID == id {
			return w, nil
		}
		if strings.HasPrefix(w.ID, id) {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return shared.WorkerStatus{}, shared.Errorf(shared.WorkerNotFound, "no worker %q", id).WithHint("list them with: dspex worker ls")
	}
	ids := mapList(found, func(w shared.WorkerStatus) string { return w.ID })
	return shared.WorkerStatus{}, shared.Errorf(shared.InvalidArgument, "%q could be any of %d workers", id, len(ids)).
		WithHint("write more of it: %s", strings.Join(ids[:min(8, len(ids))], ", "))
}

func (c *cli) writeWorker(w io.Writer, worker shared.WorkerStatus) {
	f := c.newFacts()
	f.add("Worker", worker.ID)
	f.add("Pool", worker.Pool)
	f.add("State", worker.State)
	f.add("Process", pid(worker.PID))
	f.add("Generation", count(worker.Generation))
	if !worker.StartedAt.IsZero() {
		f.add("Started", fmt.Sprintf("%s ago, ready after %s", since(worker.StartedAt), latency(worker.StartTime)))
	}
	f.add("Launch", worker.Launch)
	f.add("Slots", fmt.Sprintf("%d of %d in use", worker.InFlight, worker.Slots))
	f.add("Calls", fmt.Sprintf("%s, %s failed", count(worker.Calls), count(worker.Errors)))
	f.add("Restarts", count(worker.Restarts))
	f.add("Memory", memory(worker.RSS))
	f.add("Loop lag", latency(worker.Lag))
	f.add("Last exit", worker.LastExit)
	for _, name := range slices.Sorted(maps.Keys(worker.Versions)) {
		f.add("Version of "+name, worker.Versions[name])
	}
	f.write(w)
}

func pid(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return age(time.Since(t))
}

func memory(bytes uint64) string {
	if bytes == 0 {
		return ""
	}
	return size(bytes)
}
