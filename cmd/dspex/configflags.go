package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host"
	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/shared"
)

// defaultConfig is read where no file is named.
const defaultConfig = "pools.hcl"

// diagnosticWidth wraps the text of diagnostics.
const diagnosticWidth = 80

// configFlags say which configuration to read, with which variables.
type configFlags struct {
	vars     []string
	varFiles []string
	noFS     bool
}

// add gives a command the flags for variables.
func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.vars, "var", nil, "set a variable, as name=value (repeatable)")
	cmd.Flags().StringArrayVar(&f.varFiles, "var-file", nil, "read variables from a file (repeatable)")
	_ = cmd.MarkFlagFilename("var-file")
}

// variablesHelp is the part of the help texts about variables.
const variablesHelp = `A variable gets its value from --var, else --var-file, else DSPEX_VAR_name in the
environment, else *.auto.dspexvars beside the configuration, else its default.`

// load reads a configuration. The signatures of its programs are checked too.
func (f *configFlags) load(c *cli, paths []string) (*config.Config, hcl.Diagnostics, map[string]*hcl.File) {
	return config.Load(config.Options{
		Paths:    paths,
		Vars:     f.vars,
		VarFiles: f.varFiles,
		Env:      c.getenv,
		NoFS:     f.noFS,
		CheckProgram: func(p config.Program) error {
			_, err := host.ProgramSpec(p)
			return err
		},
	})
}

// configPaths returns the paths to read: those given, else pools.hcl here.
func configPaths(given []string) ([]string, error) {
	if len(given) > 0 {
		return given, nil
	}
	if _, err := os.Stat(defaultConfig); err != nil {
		dir, dirErr := filepath.Abs(".")
		if dirErr != nil {
			dir = "."
		}
		return nil, shared.Errorf(shared.ConfigInvalid, "there is no %s in %s", defaultConfig, dir).
			WithHint(`name one with -c; the smallest has one line: pool "echo" {}`)
	}
	return []string{defaultConfig}, nil
}

// writeDiagnostics prints what is wrong with a configuration, with its lines.
func (c *cli) writeDiagnostics(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	if err := config.WriteDiagnostics(w, diags, files, diagnosticWidth, c.colored(w)); err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}
