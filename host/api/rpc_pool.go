package api

import (
	"context"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

// poolService serves calls and status as RPCs.
type poolService struct{ backend Backend }

var _ apiv1connect.PoolServiceHandler = poolService{}

func (p poolService) Call(ctx context.Context, req *connect.Request[apiv1.CallRequest]) (*connect.Response[apiv1.CallResponse], error) {
	call, err := callRequestOf(req, req.Msg)
	if err != nil {
		return nil, err
	}
	result, err := p.backend.Call(ctx, call)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(result.ToProto()), nil
}

func (p poolService) CallStream(ctx context.Context, req *connect.Request[apiv1.CallStreamRequest], stream *connect.ServerStream[apiv1.CallStreamResponse]) error {
	call, err := callRequestOf(req, req.Msg.GetCall())
	if err != nil {
		return err
	}
	result, err := p.backend.CallStream(ctx, call, func(event shared.StreamEvent) error {
		return stream.Send(event.ToProto())
	})
	if err != nil {
		return err
	}
	return stream.Send(&apiv1.CallStreamResponse{Event: &apiv1.CallStreamResponse_Result{Result: result.ToProto()}})
}

func (p poolService) ListPools(context.Context, *connect.Request[apiv1.ListPoolsRequest]) (*connect.Response[apiv1.ListPoolsResponse], error) {
	return connect.NewResponse(&apiv1.ListPoolsResponse{Pools: mapList(p.backend.Pools(), shared.PoolStatus.ToProto)}), nil
}

func (p poolService) GetPool(_ context.Context, req *connect.Request[apiv1.GetPoolRequest]) (*connect.Response[apiv1.GetPoolResponse], error) {
	pool, err := p.backend.PoolStatus(req.Msg.GetPool())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.GetPoolResponse{Pool: pool.ToProto()}), nil
}

func (p poolService) ListWorkers(_ context.Context, req *connect.Request[apiv1.ListWorkersRequest]) (*connect.Response[apiv1.ListWorkersResponse], error) {
	workers, err := p.backend.Workers(req.Msg.GetPool())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&apiv1.ListWorkersResponse{Workers: mapList(workers, shared.WorkerStatus.ToProto)}), nil
}

func (p poolService) GetStats(context.Context, *connect.Request[apiv1.GetStatsRequest]) (*connect.Response[apiv1.GetStatsResponse], error) {
	return connect.NewResponse(p.backend.Stats().ToProto()), nil
}

func callRequestOf(req connect.AnyRequest, msg *apiv1.CallRequest) (shared.CallRequest, error) {
	call := shared.CallRequestFromProto(msg)
	call.Traceparent = traceparentOf(req.Header())
	if call.Command == "" {
		return call, shared.Errorf(shared.InvalidArgument, "command is missing")
	}
	return call, notNegative("timeout", call.Timeout)
}
