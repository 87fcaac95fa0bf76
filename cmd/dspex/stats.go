package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

func newStats(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show what a host has done",
		Long: `Show what a host has done since it started: the calls of each pool, and the
sessions and programs that it keeps.`,
		Example: `  dspex stats
  dspex stats --json | jq '.pools.qa.queue_timeouts'`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				stats, err := host.Stats(ctx)
				if err != nil {
					return err
				}
				return c.show(viewHost(stats), func(w io.Writer) { c.writeStats(w, stats) })
			})
		},
	}
	c.addClient(cmd)
	return cmd
}

func (c *cli) writeStats(w io.Writer, stats shared.HostStats) {
	f := c.newFacts()
	f.add("Host", stats.Host)
	f.add("Version", stats.Version)
	f.add("Uptime", age(stats.Uptime))
	f.add("Sessions", fmt.Sprintf("%s, %s expired", count(stats.Sessions.Sessions), count(stats.Sessions.Expired)))
	f.add("Programs", fmt.Sprintf("%s in sessions, %s global", count(stats.Sessions.Programs), count(stats.Sessions.GlobalPrograms)))
	f.add("Stored", size(stats.Sessions.Bytes))
	f.write(w)
	fmt.Fprintln(w)
	t := c.newTable("POOL", "WORKERS", "AVAILABLE", "BUSY", "QUEUED", "REQUESTS", "ERRORS", "QUEUE-TIMEOUTS", "REJECTED", "RESTARTS", "P50", "P95", "P99")
	for _, name := range slices.Sorted(maps.Keys(stats.Pools)) {
		s := stats.Pools[name]
		t.add(name, count(s.Workers), count(s.Available), count(s.Busy), count(s.Queued), count(s.Requests), count(s.Errors),
			count(s.QueueTimeouts), count(s.Rejected), count(s.Restarts), latency(s.Run.P50), latency(s.Run.P95), latency(s.Run.P99))
	}
	t.write(w)
}
