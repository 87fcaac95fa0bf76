package api

import (
	"context"
	"time"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

// sessionService serves sessions as RPCs.
type sessionService struct{ backend Sessions }

var _ apiv1connect.SessionServiceHandler = sessionService{}

func (s sessionService) PutSession(ctx context.Context, req *connect.Request[apiv1.PutSessionRequest]) (*connect.Response[apiv1.PutSessionResponse], error) {
	put := shared.PutSessionRequestFromProto(req.Msg)
	if err := notNegative("ttl", put.TTL); err != nil {
		return nil, err
	}
	session, created, err := s.backend.PutSession(ctx, put)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.PutSessionResponse{Session: session.ToProto(), Created: created}), nil
}

func (s sessionService) GetSession(ctx context.Context, req *connect.Request[apiv1.GetSessionRequest]) (*connect.Response[apiv1.GetSessionResponse], error) {
	session, err := s.backend.GetSession(ctx, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.GetSessionResponse{Session: session.ToProto()}), nil
}

func (s sessionService) PatchSession(ctx context.Context, req *connect.Request[apiv1.PatchSessionRequest]) (*connect.Response[apiv1.PatchSessionResponse], error) {
	patch := shared.PatchSessionRequestFromProto(req.Msg)
	if err := notNegative("ttl", patch.TTL); err != nil {
		return nil, err
	}
	session, err := s.backend.PatchSession(ctx, patch)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.PatchSessionResponse{Session: session.ToProto()}), nil
}

func (s sessionService) DeleteSession(ctx context.Context, req *connect.Request[apiv1.DeleteSessionRequest]) (*connect.Response[apiv1.DeleteSessionResponse], error) {
	if err := s.backend.DeleteSession(ctx, req.Msg.GetId(), req.Msg.IfRevision); err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.DeleteSessionResponse{}), nil
}

func (s sessionService) ListSessions(ctx context.Context, req *connect.Request[apiv1.ListSessionsRequest]) (*connect.Response[apiv1.ListSessionsResponse], error) {
	page, err := s.backend.ListSessions(ctx, shared.ListSessionsRequestFromProto(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(page.ToProto()), nil
}

// notNegative refuses durations that the plain types have no meaning for.
func notNegative(name string, d time.Duration) error {
	if d < 0 {
		return shared.Errorf(shared.InvalidArgument, "%s must not be negative: %s", name, d)
	}
	return nil
}
