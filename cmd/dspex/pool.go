package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

func newPool(c *cli) *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use:   "pool",
		Short: "Show pools",
		Long: `Show the pools of a host: whether they are ready, what they do, and which commands
they have.`,
		Example: `  dspex pool ls
  dspex pool status qa`,
	})
	cmd.AddCommand(newPoolLs(c), newPoolStatus(c))
	return cmd
}

func newPoolLs(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the pools",
		Long: `List the pools, one a line.

READY counts workers that can be called, BUSY those without a free slot, IN-FLIGHT
the calls under way. P50 and P95 are the time in a worker, ERR% the share of calls
that failed; all are since the host started.`,
		Example: `  dspex pool ls
  dspex pool ls --json | jq '.pools[].status'`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				pools, err := host.Pools(ctx)
				if err != nil {
					return err
				}
				return c.show(poolsView{mapList(pools, viewPool)}, func(w io.Writer) {
					t := c.newTable("POOL", "STATUS", "READY", "BUSY", "IN-FLIGHT", "QUEUED", "REQUESTS", "P50", "P95", "ERR%")
					for _, p := range pools {
						s := p.Stats
						t.add(p.Name, p.Status, fmt.Sprintf("%d/%d", s.Ready, s.Workers), count(s.Busy), count(s.InFlight), count(s.Queued),
							count(s.Requests), latency(s.Run.P50), latency(s.Run.P95), percent(s.Errors, s.Requests))
					}
					t.write(w)
				})
			})
		},
	}
	c.addClient(cmd)
	return cmd
}

func newPoolStatus(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status POOL",
		Short: "Show one pool and its commands",
		Long: `Show one pool: why it is not ready, its figures, the verdict of its health rules,
and its commands.`,
		Example: `  dspex pool status qa
  dspex pool status qa --json | jq '.commands[].name'`,
		Args: exactly("pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				p, err := host.PoolStatus(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(viewPool(p), func(w io.Writer) { c.writePool(w, p) })
			})
		},
		ValidArgsFunction: c.completePools,
	}
	c.addClient(cmd)
	return cmd
}

func (c *cli) writePool(w io.Writer, p shared.PoolStatus) {
	s := p.Stats
	f := c.newFacts()
	f.add("Pool", p.Name)
	f.add("Description", p.Description)
	f.add("Status", p.Status)
	f.add("Reason", p.Reason)
	f.add("Health", p.Health.Level)
	f.add("Findings", strings.Join(p.Health.Findings, "\n"))
	f.add("Workers", fmt.Sprintf("%d of %d ready, %d available, %d busy", s.Ready, s.Workers, s.Available, s.Busy))
	f.add("Slots", fmt.Sprintf("%s of %s in use, %s queued", count(s.InFlight), count(s.Slots), count(s.Queued)))
	f.add("Requests", fmt.Sprintf("%s, %s failed (%s timed out in the queue, %s rejected)", count(s.Requests), count(s.Errors), count(s.QueueTimeouts), count(s.Rejected)))
	f.add("Restarts", count(s.Restarts))
	f.add("Run time", quantiles(s.Run))
	f.add("Queue time", quantiles(s.QueueWait))
	f.write(w)
	if len(p.Commands) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := c.newTable("COMMAND", "KIND", "DESCRIPTION")
	for _, command := range p.Commands {
		kind := "call"
		if command.Streaming {
			kind = "stream"
		}
		if command.Idempotent {
			kind += ", idempotent"
		}
		summary, _, _ := strings.Cut(command.Doc, "\n")
		t.add(command.Name, kind, summary)
	}
	t.write(w)
}

// quantiles writes a latency on one line.
func quantiles(l shared.Latency) string {
	if l.Count == 0 {
		return ""
	}
	zero := func(s string) string {
		if s == "" {
			return "0"
		}
		return s
	}
	return fmt.Sprintf("p50 %s, p95 %s, p99 %s, max %s", zero(latency(l.P50)), zero(latency(l.P95)), zero(latency(l.P99)), zero(latency(l.Max)))
}
