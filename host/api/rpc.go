package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/proto"

	"github.com/dspex/dspex/shared"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

const (
	// grpcTraceback bounds the traceback that a gRPC answer carries. It travels
	// there in a header field, and common clients take 8 KiB of these in all.
	grpcTraceback = 2 << 10
	// grpcText bounds the other texts of a gRPC error, for the same reason. The
	// message travels twice.
	grpcText = 512
)

// services are the RPC services by name.
var services = []string{
	apiv1connect.PoolServiceName,
	apiv1connect.SessionServiceName,
	apiv1connect.ProgramServiceName,
}

// mountRPC adds the services, health and reflection.
func (s *Server) mountRPC(mux *http.ServeMux) {
	options := []connect.HandlerOption{
		connect.WithInterceptors(&errorInterceptor{maxMessage: s.options.MaxBody}),
		connect.WithRecover(func(_ context.Context, spec connect.Spec, _ http.Header, p any) error {
			return s.logPanic(spec.Procedure, p)
		}),
		// A few compressed bytes could become many. The limit of what is read is
		// that of the body, which requestBody enforces with a typed error.
		connect.WithCompression("gzip", nil, nil),
	}
	s.rpcErrors = rpcErrorWriter{connect.NewErrorWriter(options...)}

	mux.Handle(apiv1connect.NewPoolServiceHandler(poolService{s.backend}, options...))
	mux.Handle(apiv1connect.NewSessionServiceHandler(sessionService{s.backend}, options...))
	mux.Handle(apiv1connect.NewProgramServiceHandler(programService{s.backend}, options...))

	mux.Handle(grpchealth.NewHandler(healthChecker{s.backend}, options...))
	names := append([]string{grpchealth.HealthV1ServiceName}, services...)
	reflector := grpcreflect.NewStaticReflector(names...)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options...))
}

// healthChecker answers the gRPC health protocol from the readiness of the host.
type healthChecker struct{ status Status }

var _ grpchealth.Checker = healthChecker{}

// Check reports the health of a service; an empty name stands for the host. All
// services share one readiness.
func (c healthChecker) Check(_ context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	known := req.Service == "" || req.Service == grpchealth.HealthV1ServiceName
	for _, name := range services {
		known = known || req.Service == name
	}
	if !known {
		return nil, connect.NewError(connect.CodeNotFound, shared.Errorf(shared.InvalidArgument, "service %q is not known", clip(req.Service)))
	}
	if ready, _ := c.status.Ready(); !ready {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}

// errorInterceptor gives each error its code and detail, so that the services can
// return what the backend gave them. It also refuses answers that are too large
// before connect does, which has no reason for it.
type errorInterceptor struct{ maxMessage int64 }

var _ connect.Interceptor = (*errorInterceptor)(nil)

// WrapUnary converts the errors of a unary RPC.
func (i *errorInterceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		if err == nil {
			err = i.fits(res.Any())
		}
		if err != nil {
			return nil, rpcError(err, req.Peer().Protocol)
		}
		return res, nil
	}
}

// WrapStreamingClient does nothing: servers have no clients.
func (i *errorInterceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler converts the errors of a streaming RPC.
func (i *errorInterceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, &checkedConn{conn, i})
		if err != nil {
			return rpcError(err, conn.Peer().Protocol)
		}
		return nil
	}
}

func (i *errorInterceptor) fits(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	if size := proto.Size(m); int64(size) > i.maxMessage {
		return shared.Errorf(shared.ResultTooLarge, "the answer has %d bytes, the most is %d", size, i.maxMessage).
			WithHint("return less, or raise max_message").WithRun(shared.RunYes)
	}
	return nil
}

// checkedConn bounds each message of a stream.
type checkedConn struct {
	connect.StreamingHandlerConn
	limit *errorInterceptor
}

// Send sends a message, unless it is too large.
func (c *checkedConn) Send(message any) error {
	if err := c.limit.fits(message); err != nil {
		return err
	}
	return c.StreamingHandlerConn.Send(message)
}

// rpcError leaves errors alone that connect or a service made for connect.
func rpcError(err error, protocol string) error {
	if e, ok := err.(*connect.Error); ok {
		return e
	}
	return connectError(asError(err), protocol == connect.ProtocolGRPC)
}

// connectError makes the RPC form of an error: the code of its reason, and the
// whole of it as a detail.
func connectError(e *shared.Error, grpc bool) *connect.Error {
	sent := *e
	message := strings.ToValidUTF8(e.Error(), "\uFFFD") // else gRPC could not carry the error
	if grpc {
		message = head(message)
		sent.Message, sent.Hint = head(e.Message), head(e.Hint)
		if r := e.Remote; r != nil {
			sent.Remote = &shared.RemoteError{Type: head(r.Type), Message: head(r.Message), Traceback: tail(r.Traceback)}
		}
	}
	out := connect.NewError(connect.Code(e.Reason.Code()), errors.New(message))
	if detail, err := connect.NewErrorDetail(sent.ToProto()); err == nil {
		out.AddDetail(detail)
	}
	if e.RetryAfter > 0 {
		out.Meta().Set("Retry-After", retryAfterSeconds(e.RetryAfter))
	}
	return out
}

// head bounds a text of a gRPC error.
func head(s string) string {
	if len(s) <= grpcText {
		return s
	}
	return strings.ToValidUTF8(s[:grpcText], "") + "..."
}

// tail bounds a traceback, whose end says the most.
func tail(s string) string {
	if len(s) <= grpcTraceback {
		return s
	}
	return "...\n" + strings.ToValidUTF8(s[len(s)-grpcTraceback:], "")
}
