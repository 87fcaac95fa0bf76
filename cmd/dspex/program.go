package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// deletedView says what is no longer there.
type deletedView struct {
	Deleted []string `json:"deleted"`
}

func newProgram(c *cli) *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use:   "program",
		Short: "Store, show and run DSPy programs",
		Long: `Store, show and run DSPy programs: in a session, or global, which any session can
run.`,
		Example: `  dspex program put qa --signature "question -> answer" --instructions "Answer concisely."
  dspex program run qa question="What is DSPy?"
  dspex program ls`,
	})
	cmd.AddCommand(newProgramLs(c), newProgramGet(c), newProgramPut(c), newProgramRm(c), newProgramRun(c))
	return cmd
}

func newProgramLs(c *cli) *cobra.Command {
	var session string
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List programs",
		Long:    "List the global programs or, with --session, those of a session.",
		Example: `  dspex program ls
  dspex program ls --session user-1`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				programs, err := host.ListPrograms(ctx, session)
				if err != nil {
					return err
				}
				return c.show(programsView{append([]shared.Program{}, programs...)}, func(w io.Writer) {
					t := c.newTable("PROGRAM", "MODULE", "SIGNATURE", "POOL", "REVISION", "UPDATED")
					for _, p := range programs {
						t.add(p.Name, p.Spec.Module, signatureText(p.Spec.Signature), p.Spec.Pool, count(p.Revision), ago(p.UpdatedAt))
					}
					t.write(w)
				})
			})
		},
	}
	cmd.Flags().StringVar(&session, "session", "", "list those of this session")
	c.addClient(cmd)
	return cmd
}

func newProgramGet(c *cli) *cobra.Command {
	var session string
	cmd := &cobra.Command{
		Use:   "get PROGRAM",
		Short: "Show a program",
		Long:  "Show a global program or, with --session, one of exactly that session.",
		Example: `  dspex program get qa
  dspex program get qa --session user-1 --json | jq .spec > qa.json`,
		Args: exactly("program"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				p, err := host.GetProgram(ctx, session, args[0])
				if err != nil {
					return err
				}
				return c.show(p, func(w io.Writer) { c.writeProgram(w, p) })
			})
		},
		ValidArgsFunction: c.completePrograms,
	}
	cmd.Flags().StringVar(&session, "session", "", "session that has the program")
	c.addClient(cmd)
	return cmd
}

func newProgramRm(c *cli) *cobra.Command {
	var session string
	cmd := &cobra.Command{
		Use:     "rm PROGRAM",
		Aliases: []string{"delete"},
		Short:   "Delete a program",
		Long:    "Delete a global program or, with --session, one of exactly that session.",
		Example: `  dspex program rm qa
  dspex program rm qa --session user-1 --if-revision 3`,
		Args:              exactly("program"),
		ValidArgsFunction: c.completePrograms,
	}
	cmd.Flags().StringVar(&session, "session", "", "session that has the program")
	revision := revisionFlag(cmd, "delete only at this revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
			if err := host.DeleteProgram(ctx, session, args[0], revision()); err != nil {
				return err
			}
			return c.show(deletedView{args}, func(w io.Writer) { fmt.Fprintf(w, "deleted program %q\n", args[0]) })
		})
	}
	c.addClient(cmd)
	return cmd
}

func (c *cli) writeProgram(w io.Writer, p shared.Program) {
	f := c.newFacts()
	f.add("Program", p.Name)
	f.add("Session", p.Session)
	f.add("Description", p.Spec.Description)
	f.add("Module", p.Spec.Module)
	f.add("Signature", signatureText(p.Spec.Signature))
	f.add("Instructions", p.Spec.Instructions)
	f.add("Pool", p.Spec.Pool)
	f.add("LM", p.Spec.LM)
	f.add("Config", prettyJSON(p.Spec.Config))
	if n := len(p.Spec.Demos); n > 0 {
		f.add("Demos", count(n))
	}
	f.add("Revision", count(p.Revision))
	f.add("Hash", p.Hash)
	f.add("Created", ago(p.CreatedAt))
	f.add("Updated", ago(p.UpdatedAt))
	f.write(w)
}

// signatureText writes a signature in its short form; a field of text needs no
// type.
func signatureText(s shared.Signature) string {
	side := func(fields []shared.Field) string {
		return strings.Join(mapList(fields, func(f shared.Field) string {
			if f.Type == "" || f.Type == "str" {
				return f.Name
			}
			return f.Name + ": " + f.Type
		}), ", ")
	}
	return side(s.Inputs) + " -> " + side(s.Outputs)
}

// prettyJSON indents JSON; nothing stays nothing.
func prettyJSON(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return since(t) + " ago"
}
