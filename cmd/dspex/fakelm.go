package main

import (
	"context"
	"fmt"
	"net"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/cmd/dspex/internal/fakelm"
	"github.com/dspex/dspex/shared"
)

func newFakeLM(c *cli) *cobra.Command {
	var (
		options fakelm.Options
		addr    string
	)
	cmd := &cobra.Command{
		Use:   "fakelm",
		Short: "Serve a fake language model, for tests",
		Long: `Serve a language model that needs no network and no key: it speaks the APIs of
OpenAI, and answers prompts of DSPy in the form that they ask for. The same prompt
always gets the same answer. It prints its URL, which is the api_base of an lm
block, and serves until it is interrupted.

GET /control/stats shows what it has seen; POST /control changes how it behaves.`,
		Example: `  dspex fakelm
  dspex fakelm --addr 127.0.0.1:0 --latency 300ms --jitter 100ms
  dspex fakelm --error-rate 0.1 --rate-limit-rate 0.05 --seed 7`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := options.Validate(); err != nil {
				return usagef("%s", oneLine(err.Error()))
			}
			return c.serveFakeLM(cmd.Context(), addr, options)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&addr, "addr", "127.0.0.1:4690", "host:port to listen on; port 0 takes a free one")
	flags.DurationVar(&options.Latency, "latency", 0, "time before the first byte of each answer")
	flags.DurationVar(&options.Jitter, "jitter", 0, "random time below this on top of it")
	flags.DurationVar(&options.TokenDelay, "token-delay", 0, "time before each chunk of a stream")
	flags.Float64Var(&options.ErrorRate, "error-rate", 0, "share of requests that fail with status 500, from 0 to 1")
	flags.Float64Var(&options.RateLimitRate, "rate-limit-rate", 0, "share of requests that are refused with status 429")
	flags.DurationVar(&options.RetryAfter, "retry-after", 0, "what those ask for in Retry-After (default 1s)")
	flags.Float64Var(&options.CutRate, "cut-rate", 0, "share of answers that are cut in the middle")
	flags.Uint64Var(&options.Seed, "seed", 0, "decides which requests the rates hit")
	flags.StringVar(&options.RequireKey, "require-key", "", "API key that requests must carry (default any or none)")
	flags.DurationVar(&options.StopGrace, "stop-grace", 0, "how long running requests may take when it stops (default 5s)")
	return cmd
}

func (c *cli) serveFakeLM(ctx context.Context, addr string, options fakelm.Options) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return shared.Errorf(shared.Internal, "listen on %s: %w", addr, err).WithHint("choose another address with --addr; port 0 takes a free one")
	}
	if _, err := fmt.Fprintf(c.stdout, "http://%s/v1\n", listener.Addr()); err != nil {
		_ = listener.Close()
		return fmt.Errorf("write output: %w", err)
	}
	return fakelm.New(options).Serve(ctx, listener)
}
