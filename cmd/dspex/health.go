package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// Levels of health, from good to bad.
var healthLevels = []string{"healthy", "warning", "error"}

type healthReport struct {
	Pools []poolHealthView `json:"pools"`
	Level string           `json:"level"`
}

type poolHealthView struct {
	Pool     string   `json:"pool"`
	Status   string   `json:"status"`
	Level    string   `json:"level"`
	Findings []string `json:"findings"`
}

func newHealth(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health [POOL]",
		Short: "Judge the pools by their health rules",
		Long: `Judge all pools, or one, by their health rules: no available worker and queue
timeouts are warnings, an error rate above health.max_error_rate is an error.

The exit code is 1 if a pool is at level error, else 0.`,
		Example: `  dspex health
  dspex health qa --json`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				var pools []shared.PoolStatus
				var err error
				if len(args) > 0 {
					pools = make([]shared.PoolStatus, 1)
					pools[0], err = host.PoolStatus(ctx, args[0])
				} else {
					pools, err = host.Pools(ctx)
				}
				if err != nil {
					return err
				}
				return c.reportHealth(pools)
			})
		},
		ValidArgsFunction: c.completePools,
	}
	c.addClient(cmd)
	return cmd
}

// reportHealth prints the health of pools; it fails if one is at level error.
func (c *cli) reportHealth(pools []shared.PoolStatus) error {
	report := healthReport{Level: healthLevels[0], Pools: []poolHealthView{}}
	for _, p := range pools {
		report.Pools = append(report.Pools, poolHealthView{p.Name, p.Status, p.Health.Level, append([]string{}, p.Health.Findings...)})
		report.Level = worse(report.Level, p.Health.Level)
	}
	err := c.show(report, func(w io.Writer) {
		t := c.newTable("POOL", "HEALTH", "STATUS", "FINDINGS")
		for _, p := range report.Pools {
			t.add(p.Pool, p.Level, p.Status, strings.Join(p.Findings, "; "))
		}
		t.write(w)
	})
	if err == nil && report.Level == "error" {
		return exit(shared.ExitFailed)
	}
	return err
}

// worse returns the worse one of two levels.
func worse(a, b string) string {
	rank := func(level string) int {
		for i, known := range healthLevels {
			if level == known {
				return i
			}
		}
		return len(healthLevels) // of a newer host
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}
