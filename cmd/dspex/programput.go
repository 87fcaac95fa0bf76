package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// specFlags are the parts of a program's definition that have a flag.
var specFlags = []struct{ name, usage string }{
	{"signature", `inputs and outputs, such as "context: list[str], question -> answer"`},
	{"module", "Predict or ChainOfThought (default Predict)"},
	{"instructions", "what the program shall do"},
	{"pool", "pool to run in"},
	{"lm", "lm block to use (default the pool's)"},
	{"description", "for people"},
}

func newProgramPut(c *cli) *cobra.Command {
	var (
		session, file string
		settings      []string
	)
	cmd := &cobra.Command{
		Use:   "put PROGRAM [@spec.json | -]",
		Short: "Store a program",
		Long: `Store a program: create it, or replace it. Its definition comes from flags, from a
JSON file (@spec.json, -f spec.json, or - for standard input), or from both: then
the flags win.

Without --session the program is global.`,
		Example: `  dspex program put qa --signature "question -> answer" --instructions "Answer concisely."
  dspex program put qa --session user-1 --signature "question -> answer" --config temperature:=0.2
  dspex program put extract @extract.json --if-revision 3`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("PROGRAM is missing")
			}
			return atMost(2)(nil, args)
		},
		ValidArgsFunction: c.completePrograms,
	}
	flags := cmd.Flags()
	values := make(map[string]*string, len(specFlags))
	for _, f := range specFlags {
		values[f.name] = flags.String(f.name, "", f.usage)
	}
	flags.StringArrayVar(&settings, "config", nil, "a setting of each LM call, such as temperature:=0.2 (repeatable)")
	flags.StringVar(&session, "session", "", "session that shall own the program")
	flags.StringVarP(&file, "file", "f", "", "JSON file with the definition")
	revision := revisionFlag(cmd, "store only at this revision; 0: only if there is none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source := ""
		switch {
		case len(args) == 2 && file != "":
			return usagef("both %q and --file give the definition", args[1])
		case len(args) == 2 && args[1] != "-" && args[1][:min(1, len(args[1]))] != "@":
			return &usageError{message: fmt.Sprintf("argument %q is no file", args[1]), hint: "write @" + args[1] + " for a file, or - for standard input"}
		case len(args) == 2:
			source = args[1]
		case file != "":
			source = "@" + file
		}
		var members []member
		for _, f := range specFlags {
			if given(cmd.Flags(), f.name) {
				raw, err := encodeText(*values[f.name])
				if err != nil {
					return err
				}
				members = append(members, member{f.name, raw})
			}
		}
		spec, err := c.programSpec(source, settings, members)
		if err != nil {
			return err
		}
		req := shared.PutProgramRequest{Session: session, Name: args[0], Spec: spec, IfRevision: revision()}
		return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
			p, created, err := host.PutProgram(ctx, req)
			if err != nil {
				return err
			}
			return c.show(p, func(w io.Writer) { fmt.Fprintf(w, "%s program %q (revision %d)\n", wrote(created), p.Name, p.Revision) })
		})
	}
	c.addClient(cmd)
	return cmd
}

// programSpec puts a definition together from a file and what flags gave.
func (c *cli) programSpec(source string, settings []string, members []member) (json.RawMessage, error) {
	var spec json.RawMessage
	if source != "" {
		raw, err := c.readArgument(source)
		if err != nil {
			return nil, err
		}
		if spec, err = compactObject(source, raw); err != nil {
			return nil, err
		}
	}
	if len(settings) > 0 {
		config, err := c.parseObject(settings)
		if err != nil {
			return nil, err
		}
		members = append(members, member{"config", config})
	}
	if spec == nil && len(members) == 0 {
		return nil, &usageError{message: "the program has no definition", hint: `give --signature "question -> answer", or a file as @spec.json`}
	}
	return mergeMembers(spec, members)
}

// wrote says what a write has done.
func wrote(created bool) string {
	if created {
		return "created"
	}
	return "updated"
}
