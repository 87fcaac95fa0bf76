package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dspex/dspex/host/config"
)

// Groups of commands in the help.
const (
	groupHost   = "host"
	groupUse    = "use"
	groupConfig = "config"
)

// newRoot makes the command tree.
func newRoot(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "dspex",
		Short: "Run pools of DSPy workers",
		Long: `dspex runs pools of Python workers for DSPy programs, and calls them.

A host reads pools.hcl and serves it; every other command talks to that host.`,
		Example: `  dspex serve -c pools.hcl
  dspex call qa ping x=1
  dspex run capital question="What is the capital of France?"
  dspex pool ls`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	c.group(root)
	root.PersistentFlags().VarP(&choice{&c.color, []string{colorAuto, colorAlways, colorNever}}, "color", "", "auto, always or never")
	root.AddGroup(
		&cobra.Group{ID: groupUse, Title: "Calls and what they leave:"},
		&cobra.Group{ID: groupHost, Title: "The host:"},
		&cobra.Group{ID: groupConfig, Title: "Configuration:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(groupUse, newCall(c), newRun(c), newProgram(c), newSession(c))
	add(groupHost, newServe(c), newPool(c), newWorker(c), newStats(c), newHealth(c))
	add(groupConfig, newValidate(c), newFmt(c))
	root.AddCommand(newDemo(c), newFakeLM(c), newVersion(c))
	root.AddCommand(topics()...)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{message: err.Error(), hint: cmd.CommandPath() + " --help"}
	})
	return root
}

// group makes a command that only has commands: alone it prints its help, and
// with an unknown word it says so.
func (c *cli) group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		e := &usageError{message: fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])}
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			e.hint = fmt.Sprintf("did you mean %q?", cmd.CommandPath()+" "+near[0])
		}
		return e
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// exactly wants these arguments, which the error names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s is missing", strings.ToUpper(names[len(args)]))
		}
		if len(args) > len(names) {
			return usagef("argument %q is too many", args[len(names)])
		}
		return nil
	}
}

// atLeast is exactly with more behind.
func atLeast(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return exactly(names...)(cmd, args[:min(len(args), len(names))])
	}
}

// atMost takes one argument or none.
func atMost(most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > most {
			return usagef("argument %q is too many", args[most])
		}
		return nil
	}
}

// parseDuration reads a flag's duration, as the configuration does.
func parseDuration(s string) (time.Duration, error) {
	d, err := config.ParseDuration(s)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is not positive", s)
	}
	return d, err
}

// revisionFlag adds --if-revision and returns a function for its value, nil
// unless it was given.
func revisionFlag(cmd *cobra.Command, usage string) func() *uint64 {
	revision := cmd.Flags().Uint64("if-revision", 0, usage)
	return func() *uint64 {
		if !given(cmd.Flags(), "if-revision") {
			return nil
		}
		return revision
	}
}

func given(flags *pflag.FlagSet, name string) bool {
	f := flags.Lookup(name)
	return f != nil && f.Changed
}
