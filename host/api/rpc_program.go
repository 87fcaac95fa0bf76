package api

import (
	"context"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

// programService serves programs as RPCs.
type programService struct{ backend Backend }

var _ apiv1connect.ProgramServiceHandler = programService{}

func (p programService) PutProgram(ctx context.Context, req *connect.Request[apiv1.PutProgramRequest]) (*connect.Response[apiv1.PutProgramResponse], error) {
	program, created, err := p.backend.PutProgram(ctx, shared.PutProgramRequestFromProto(req.Msg))
	if err != nil {
		return nil, err
	}
	message, err := program.ToProto()
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.PutProgramResponse{Program: message, Created: created}), nil
}

func (p programService) GetProgram(ctx context.Context, req *connect.Request[apiv1.GetProgramRequest]) (*connect.Response[apiv1.GetProgramResponse], error) {
	program, err := p.backend.GetProgram(ctx, req.Msg.GetSession(), req.Msg.GetName())
	if err != nil {
		return nil, err
	}
	message, err := program.ToProto()
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.GetProgramResponse{Program: message}), nil
}

func (p programService) DeleteProgram(ctx context.Context, req *connect.Request[apiv1.DeleteProgramRequest]) (*connect.Response[apiv1.DeleteProgramResponse], error) {
	if err := p.backend.DeleteProgram(ctx, req.Msg.GetSession(), req.Msg.GetName(), req.Msg.IfRevision); err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.DeleteProgramResponse{}), nil
}

func (p programService) ListPrograms(ctx context.Context, req *connect.Request[apiv1.ListProgramsRequest]) (*connect.Response[apiv1.ListProgramsResponse], error) {
	programs, err := p.backend.ListPrograms(ctx, req.Msg.GetSession())
	if err != nil {
		return nil, err
	}
	answer := &apiv1.ListProgramsResponse{Programs: make([]*apiv1.Program, len(programs))}
	for i, program := range programs {
		if answer.Programs[i], err = program.ToProto(); err != nil {
			return nil, err
		}
	}
	return connect.NewResponse(answer), nil
}

func (p programService) RunProgram(ctx context.Context, req *connect.Request[apiv1.RunProgramRequest]) (*connect.Response[apiv1.RunProgramResponse], error) {
	run := shared.RunRequestFromProto(req.Msg)
	if err := notNegative("timeout", run.Timeout); err != nil {
		return nil, err
	}
	result, err := p.backend.RunProgram(ctx, run)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(result.ToProto()), nil
}
