package client

import (
	"context"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// PutSession creates a session or replaces its data; it reports whether it created
// it.
func (c *Client) PutSession(ctx context.Context, req shared.PutSessionRequest) (shared.Session, bool, error) {
	res, err := c.sessions.PutSession(ctx, connect.NewRequest(req.ToProto()))
	if err != nil {
		return shared.Session{}, false, c.wrap("put session "+req.ID, effect, err)
	}
	return shared.SessionFromProto(res.Msg.GetSession()), res.Msg.GetCreated(), nil
}

// GetSession returns a session, which counts as a use of it.
func (c *Client) GetSession(ctx context.Context, id string) (shared.Session, error) {
	res, err := c.sessions.GetSession(ctx, connect.NewRequest(&apiv1.GetSessionRequest{Id: id}))
	if err != nil {
		return shared.Session{}, c.wrap("get session "+id, noEffect, err)
	}
	return shared.SessionFromProto(res.Msg.GetSession()), nil
}

// PatchSession applies a JSON Merge Patch to the data of a session that exists.
func (c *Client) PatchSession(ctx context.Context, req shared.PatchSessionRequest) (shared.Session, error) {
	res, err := c.sessions.PatchSession(ctx, connect.NewRequest(req.ToProto()))
	if err != nil {
		return shared.Session{}, c.wrap("patch session "+req.ID, effect, err)
	}
	return shared.SessionFromProto(res.Msg.GetSession()), nil
}

// DeleteSession deletes a session with its programs. A nil ifRevision deletes it
// at any revision.
func (c *Client) DeleteSession(ctx context.Context, id string, ifRevision *uint64) error {
	_, err := c.sessions.DeleteSession(ctx, connect.NewRequest(&apiv1.DeleteSessionRequest{Id: id, IfRevision: ifRevision}))
	if err != nil {
		return c.wrap("delete session "+id, effect, err)
	}
	return nil
}

// ListSessions returns one page of sessions without their data.
func (c *Client) ListSessions(ctx context.Context, req shared.ListSessionsRequest) (shared.SessionPage, error) {
	res, err := c.sessions.ListSessions(ctx, connect.NewRequest(req.ToProto()))
	if err != nil {
		return shared.SessionPage{}, c.wrap("list sessions", noEffect, err)
	}
	return shared.SessionPageFromProto(res.Msg), nil
}

// PutProgram creates a program or replaces it; it reports whether it created it.
func (c *Client) PutProgram(ctx context.Context, req shared.PutProgramRequest) (shared.Program, bool, error) {
	res, err := c.programs.PutProgram(ctx, connect.NewRequest(req.ToProto()))
	if err != nil {
		return shared.Program{}, false, c.wrap("put program "+req.Name, effect, err)
	}
	program, err := programOf(res.Msg.GetProgram())
	return program, res.Msg.GetCreated(), err
}

// GetProgram returns the program of exactly that session, or the global one if
// session is empty.
func (c *Client) GetProgram(ctx context.Context, session, name string) (shared.Program, error) {
	res, err := c.programs.GetProgram(ctx, connect.NewRequest(&apiv1.GetProgramRequest{Session: session, Name: name}))
	if err != nil {
		return shared.Program{}, c.wrap("get program "+name, noEffect, err)
	}
	return programOf(res.Msg.GetProgram())
}

// DeleteProgram deletes a program. A nil ifRevision deletes it at any revision.
func (c *Client) DeleteProgram(ctx context.Context, session, name string, ifRevision *uint64) error {
	_, err := c.programs.DeleteProgram(ctx, connect.NewRequest(&apiv1.DeleteProgramRequest{Session: session, Name: name, IfRevision: ifRevision}))
	if err != nil {
		return c.wrap("delete program "+name, effect, err)
	}
	return nil
}

// ListPrograms returns the programs of a session, or the global ones if session is
// empty, in the order of their names.
func (c *Client) ListPrograms(ctx context.Context, session string) ([]shared.Program, error) {
	res, err := c.programs.ListPrograms(ctx, connect.NewRequest(&apiv1.ListProgramsRequest{Session: session}))
	if err != nil {
		return nil, c.wrap("list programs", noEffect, err)
	}
	list := make([]shared.Program, len(res.Msg.GetPrograms()))
	for i, p := range res.Msg.GetPrograms() {
		if list[i], err = programOf(p); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func programOf(p *apiv1.Program) (shared.Program, error) {
	program, err := shared.ProgramFromProto(p)
	if err != nil {
		return program, shared.Errorf(shared.Unsupported, "%w", err).WithHint("the host may be of a newer version than this client")
	}
	return program, nil
}
