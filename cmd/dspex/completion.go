package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// completionTimeout is how long a shell waits for names.
const completionTimeout = time.Second

// completePools completes the name of a pool from a running host.
func (c *cli) completePools(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, begun, func(ctx context.Context, host *client.Client) ([]string, error) {
		pools, err := host.Pools(ctx)
		return mapList(pools, func(p shared.PoolStatus) string { return p.Name }), err
	})
}

// completeCall completes a pool, then one of its commands.
func (c *cli) completeCall(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return c.completePools(cmd, args, begun)
	case 1:
		return c.complete(cmd, begun, func(ctx context.Context, host *client.Client) ([]string, error) {
			p, err := host.PoolStatus(ctx, args[0])
			return mapList(p.Commands, func(command shared.Command) string { return command.Name }), err
		})
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// completePrograms completes the name of a program, in --session and global.
func (c *cli) completePrograms(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return c.complete(cmd, begun, func(ctx context.Context, host *client.Client) ([]string, error) {
		programs, err := host.ListPrograms(ctx, "")
		if session, _ := cmd.Flags().GetString("session"); session != "" && err == nil {
			var own []shared.Program
			own, err = host.ListPrograms(ctx, session)
			programs = append(own, programs...)
		}
		return mapList(programs, func(p shared.Program) string { return p.Name }), err
	})
}

// complete offers the names that begin with what was typed, if a host is there.
func (c *cli) complete(cmd *cobra.Command, begun string, names func(context.Context, *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completionTimeout)
	defer cancel()
	host, err := c.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer host.Close()
	all, err := names(ctx, host)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var fitting []string
	for _, name := range all {
		if strings.HasPrefix(name, begun) {
			fitting = append(fitting, name)
		}
	}
	return fitting, cobra.ShellCompDirectiveNoFileComp
}
