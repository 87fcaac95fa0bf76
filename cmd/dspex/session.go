package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

func newSession(c *cli) *cobra.Command {
	cmd := c.group(&cobra.Command{
		Use:   "session",
		Short: "Show and change sessions",
		Long: `Show and change sessions: named JSON data and programs, which live until nobody
has used them for their TTL. Every write of the data counts its revision up; with
--if-revision a write happens only if nobody else wrote in between.`,
		Example: `  dspex session create user-1 name=Ada --ttl 2h
  dspex session patch user-1 step:=2 --if-revision 1
  dspex session get user-1`,
	})
	cmd.AddCommand(newSessionLs(c), newSessionGet(c), newSessionCreate(c), newSessionSet(c), newSessionPatch(c), newSessionTouch(c), newSessionRm(c))
	return cmd
}

func newSessionLs(c *cli) *cobra.Command {
	var req shared.ListSessionsRequest
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List sessions",
		Long:    "List sessions in the order of their IDs, without their data.",
		Example: `  dspex session ls
  dspex session ls --prefix user- --limit 1000 -o jsonl`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if req.Limit < 1 || req.Limit > 1000 {
				return usagef("--limit %d is not from 1 to 1000", req.Limit)
			}
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				page, err := host.ListSessions(ctx, req)
				if err != nil {
					return err
				}
				err = c.show(sessionsView{mapList(page.Sessions, viewSession), page.More}, func(w io.Writer) {
					t := c.newTable("SESSION", "REVISION", "PROGRAMS", "TTL", "EXPIRES", "UPDATED")
					for _, s := range page.Sessions {
						t.add(s.ID, count(s.Revision), count(len(s.Programs)), ttl(s.TTL), expiry(s.ExpiresAt), ago(s.UpdatedAt))
					}
					t.write(w)
				})
				if err == nil && page.More && len(page.Sessions) > 0 && c.output != formatJSON {
					fmt.Fprintf(c.stderr, "there are more: --after %s\n", page.Sessions[len(page.Sessions)-1].ID)
				}
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&req.Prefix, "prefix", "", "only those whose ID begins with this")
	flags.IntVar(&req.Limit, "limit", 100, "at most this many, up to 1000")
	flags.StringVar(&req.After, "after", "", "begin after this ID")
	c.addClient(cmd)
	return cmd
}

func newSessionGet(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get SESSION",
		Short: "Show a session",
		Long:  "Show a session with its data and the names of its programs. That counts as a use of it.",
		Example: `  dspex session get user-1
  dspex session get user-1 --json | jq .data`,
		Args: exactly("session"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
				s, err := host.GetSession(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(viewSession(s), func(w io.Writer) { c.writeSession(w, s) })
			})
		},
	}
	c.addClient(cmd)
	return cmd
}

func newSessionRm(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm SESSION...",
		Aliases: []string{"delete"},
		Short:   "Delete sessions with their programs",
		Long:    "Delete sessions with their data and programs. It stops at the first that fails.",
		Example: `  dspex session rm user-1
  dspex session rm user-1 --if-revision 3`,
		Args: atLeast("session"),
	}
	revision := revisionFlag(cmd, "delete only at this revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if revision() != nil && len(args) > 1 {
			return usagef("--if-revision is for one session, and %d are named", len(args))
		}
		return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
			var failed error
			deleted := []string{}
			for _, id := range args {
				if failed = host.DeleteSession(ctx, id, revision()); failed != nil {
					break
				}
				deleted = append(deleted, id)
			}
			err := c.show(deletedView{deleted}, func(w io.Writer) {
				for _, id := range deleted {
					fmt.Fprintf(w, "deleted session %q\n", id)
				}
			})
			if failed != nil {
				return failed
			}
			return err
		})
	}
	c.addClient(cmd)
	return cmd
}

func (c *cli) writeSession(w io.Writer, s shared.Session) {
	f := c.newFacts()
	f.add("Session", s.ID)
	f.add("Revision", count(s.Revision))
	f.add("TTL", ttl(s.TTL))
	f.add("Expires", "in "+expiry(s.ExpiresAt))
	f.add("Created", ago(s.CreatedAt))
	f.add("Updated", ago(s.UpdatedAt))
	f.add("Programs", strings.Join(s.Programs, ", "))
	f.add("Data", prettyJSON(s.Data))
	f.write(w)
}
