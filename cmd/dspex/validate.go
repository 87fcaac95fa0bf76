package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

func newValidate(c *cli) *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "validate [PATH]...",
		Short: "Check a configuration",
		Long: `Check configuration files, or the *.hcl files of folders: syntax, names, values,
references, files, and the signatures of programs. All problems are shown at once.
Nothing is started. Without a path it checks ` + defaultConfig + `.

` + variablesHelp + `

With --json the output is that of "terraform validate -json", which editors know.
The exit code is 0 if the configuration is valid, else 2.`,
		Example: `  dspex validate
  dspex validate pools.hcl --var size=4
  dspex validate --json /etc/dspex`,
		RunE: func(_ *cobra.Command, args []string) error {
			paths, err := configPaths(args)
			if err != nil {
				return err
			}
			cfg, diags, files := flags.load(c, paths)
			if c.output == formatJSON {
				report, err := config.DiagnosticsJSON(diags, files)
				if err != nil {
					return fmt.Errorf("encode diagnostics: %w", err)
				}
				fmt.Fprintf(c.stdout, "%s\n", report)
			} else {
				if err := c.writeDiagnostics(c.stderr, diags, files); err != nil {
					return err
				}
				if cfg != nil {
					writeSummary(c.stdout, cfg)
				}
			}
			if cfg == nil {
				return exit(shared.ExitUsage)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&flags.noFS, "no-fs", false, "read no file but the configuration, and look for none")
	c.addJSON(cmd, "print diagnostics as JSON")
	return cmd
}

// writeSummary says what a valid configuration would run.
func writeSummary(w io.Writer, cfg *config.Config) {
	pools, workers := 0, 0
	for _, p := range cfg.Pools {
		if p.Enabled {
			pools++
			workers += p.Size
		}
	}
	fmt.Fprintf(w, "valid: %s, %s, %s\n", plural(pools, "pool"), plural(workers, "worker"), plural(len(cfg.Programs), "program"))
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "s") {
		return count(n) + " " + thing + "es"
	}
	return count(n) + " " + thing + "s"
}
