package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

func newSessionCreate(c *cli) *cobra.Command {
	var req shared.PutSessionRequest
	cmd := &cobra.Command{
		Use:   "create SESSION [ARGUMENT]...",
		Short: "Create a session that does not exist yet",
		Long: `Create a session with the given data. It fails if the session exists: to replace
its data, use set.

` + argumentsHelp,
		Example: `  dspex session create user-1
  dspex session create user-1 name=Ada age:=36 --ttl 2h`,
		Args: atLeast("session"),
		RunE: func(cmd *cobra.Command, args []string) error {
			absent := uint64(0)
			req.IfRevision = &absent
			return c.putSession(cmd, req, args)
		},
	}
	sessionTTL(cmd, &req.TTL, "the configured default_ttl")
	c.addClient(cmd)
	return cmd
}

func newSessionSet(c *cli) *cobra.Command {
	var req shared.PutSessionRequest
	cmd := &cobra.Command{
		Use:   "set SESSION [ARGUMENT]...",
		Short: "Create a session, or replace its data",
		Long: `Create a session, or replace all of its data; its programs stay.

` + argumentsHelp,
		Example: `  dspex session set user-1 @state.json
  dspex session set user-1 step:=3 --if-revision 2`,
		Args: atLeast("session"),
	}
	revision := revisionFlag(cmd, "write only at this revision; 0: only if there is none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req.IfRevision = revision()
		return c.putSession(cmd, req, args)
	}
	sessionTTL(cmd, &req.TTL, "the configured default_ttl")
	c.addClient(cmd)
	return cmd
}

func (c *cli) putSession(cmd *cobra.Command, req shared.PutSessionRequest, args []string) error {
	var err error
	req.ID = args[0]
	if req.Data, err = c.parseObject(args[1:]); err != nil {
		return err
	}
	return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
		s, created, err := host.PutSession(ctx, req)
		if err != nil {
			return err
		}
		return c.showWrite(s, wrote(created))
	})
}

func newSessionPatch(c *cli) *cobra.Command {
	var req shared.PatchSessionRequest
	cmd := &cobra.Command{
		Use:   "patch SESSION ARGUMENT...",
		Short: "Change members of a session's data",
		Long: `Change members of a session's data by a JSON Merge Patch: members that are not
named stay, and name:=null deletes one.

` + argumentsHelp,
		Example: `  dspex session patch user-1 step:=2 done:=null
  dspex session patch user-1 '@patch.json' --if-revision 1`,
		Args: atLeast("session", "argument"),
	}
	revision := revisionFlag(cmd, "write only at this revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		req.ID, req.IfRevision = args[0], revision()
		if req.Patch, err = c.parseObject(args[1:]); err != nil {
			return err
		}
		return c.patchSession(cmd, req)
	}
	sessionTTL(cmd, &req.TTL, "what it was")
	c.addClient(cmd)
	return cmd
}

func newSessionTouch(c *cli) *cobra.Command {
	var req shared.PatchSessionRequest
	cmd := &cobra.Command{
		Use:   "touch SESSION",
		Short: "Begin a session's time to live anew",
		Long: `Begin a session's time to live anew, with another one if --ttl says so. Its data
and revision stay.`,
		Example: `  dspex session touch user-1
  dspex session touch user-1 --ttl 7d`,
		Args: exactly("session"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			return c.patchSession(cmd, req)
		},
	}
	sessionTTL(cmd, &req.TTL, "what it was")
	c.addClient(cmd)
	return cmd
}

func (c *cli) patchSession(cmd *cobra.Command, req shared.PatchSessionRequest) error {
	return c.talk(cmd.Context(), func(ctx context.Context, host *client.Client) error {
		s, err := host.PatchSession(ctx, req)
		if err != nil {
			return err
		}
		what := "updated"
		if req.Patch == nil {
			what = "touched"
		}
		return c.showWrite(s, what)
	})
}

// showWrite says what a write has done to a session.
func (c *cli) showWrite(s shared.Session, what string) error {
	return c.show(viewSession(s), func(w io.Writer) {
		fmt.Fprintf(w, "%s session %q (revision %d, expires in %s)\n", what, s.ID, s.Revision, expiry(s.ExpiresAt))
	})
}

func sessionTTL(cmd *cobra.Command, value *time.Duration, otherwise string) {
	timeoutFlag(cmd, value, "ttl", fmt.Sprintf(`life after the last use, such as "2h" (default %s)`, otherwise))
}
