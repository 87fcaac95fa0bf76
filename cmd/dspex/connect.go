package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
)

// addAddr gives a command the flag that says which host it talks to.
func (c *cli) addAddr(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.addr, "addr", "", "host to talk to: unix:///path/api.sock or host:port (default $DSPEX_ADDR, else the socket in the run folder, else 127.0.0.1:4680)")
}

// addClient gives a command all that talking to a host needs.
func (c *cli) addClient(cmd *cobra.Command) {
	c.addAddr(cmd)
	c.addOutput(cmd)
}

// connect makes the client of the host that flags and environment name.
func (c *cli) connect() (*client.Client, error) {
	addr := c.addr
	if addr == "" {
		addr = client.DefaultAddr(c.env, "")
	}
	return client.New(addr)
}

// talk runs f with a client and a context that ends when the user interrupts:
// then the host cancels what it does for f.
func (c *cli) talk(ctx context.Context, f func(context.Context, *client.Client) error) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	host, err := c.connect()
	if err != nil {
		return err
	}
	defer host.Close()
	return f(ctx, host)
}

// timeoutFlag is a duration that must have a unit and be positive.
func timeoutFlag(cmd *cobra.Command, value *time.Duration, name, usage string) {
	cmd.Flags().Var(&positive{value}, name, usage)
}

// positive is a flag that takes a duration above zero.
type positive struct{ value *time.Duration }

// String returns the duration, or nothing if none was given.
func (p *positive) String() string {
	if p.value == nil || *p.value == 0 {
		return ""
	}
	return ttl(*p.value)
}

// Set takes a duration such as "30s" or "7d".
func (p *positive) Set(s string) error {
	d, err := parseDuration(s)
	if err != nil {
		return err
	}
	*p.value = d
	return nil
}

// Type is shown in help.
func (p *positive) Type() string { return "duration" }
