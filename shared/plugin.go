package shared

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// WorkerPlugin is a worker in go-plugin's plugin map: both gRPC adapters.
type WorkerPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	// Worker is the worker itself. Set it in the plugin's process; a host leaves
	// it nil.
	Worker workerv1.WorkerServiceServer
}

var _ goplugin.GRPCPlugin = (*WorkerPlugin)(nil)

// GRPCServer registers the worker, in the plugin's process.
func (p *WorkerPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	workerv1.RegisterWorkerServiceServer(s, p.Worker)
	return nil
}

// GRPCClient returns a workerv1.WorkerServiceClient, in the host's process.
func (p *WorkerPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return workerv1.NewWorkerServiceClient(c), nil
}
