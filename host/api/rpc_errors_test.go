package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

// detailOf rebuilds the error that an RPC failed with.
func detailOf(t *testing.T, err error) *shared.Error {
	t.Helper()
	e := new(connect.Error)
	if !errors.As(err, &e) || len(e.Details()) != 1 {
		t.Errorf("error %v has no detail", err)
		return new(shared.Error)
	}
	value, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	return shared.ErrorFromProto(value.(*apiv1.ErrorDetail))
}

func TestEveryReasonOverRPC(t *testing.T) {
	t.Parallel()
	f := newFake()
	failure := func(req shared.CallRequest) error {
		return &shared.Error{
			Reason: shared.Reason(req.Command), Message: "it broke", Hint: "mend it", MayHaveRun: shared.RunYes,
			RetryAfter: 1200 * time.Millisecond, Remote: &shared.RemoteError{Type: "ValueError", Message: "bad", Traceback: "tb"},
		}
	}
	f.call = func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) { return nil, failure(req) }
	f.stream = func(_ context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		if err := sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: json.RawMessage("1")}); err != nil {
			return nil, err
		}
		return nil, failure(req)
	}
	x := start(t, f, Options{})
	conn := x.grpcConn(t, x.grpcTargets()[0])
	clients := rpcClients(x, t, apiv1connect.NewPoolServiceClient)
	for _, reason := range shared.Reasons() {
		want := failure(shared.CallRequest{Command: string(reason)})
		req := &apiv1.CallRequest{Pool: "qa", Command: string(reason)}
		err := conn.Invoke(t.Context(), apiv1connect.PoolServiceCallProcedure, req, new(apiv1.CallResponse))
		st := status.Convert(err)
		if st.Code() != reason.Code() || st.Message() != "it broke" || len(st.Details()) != 1 {
			t.Errorf("%s: grpc-go got %v, want code %v and a detail", reason, err, reason.Code())
		} else if diff := cmp.Diff(want, error(shared.ErrorFromProto(st.Details()[0].(*apiv1.ErrorDetail)))); diff != "" {
			t.Errorf("%s: grpc-go's detail (-want +got):\n%s", reason, diff)
		}
		for name, c := range clients {
			_, err := c.Call(t.Context(), connect.NewRequest(req))
			if diff := cmp.Diff(want, error(detailOf(t, err))); diff != "" || codes.Code(connect.CodeOf(err)) != reason.Code() {
				t.Errorf("%s, %s: code %v (-want +got):\n%s", reason, name, connect.CodeOf(err), diff)
			}
			stream, err := c.CallStream(t.Context(), connect.NewRequest(&apiv1.CallStreamRequest{Call: req}))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for stream.Receive() {
				n++
			}
			if diff := cmp.Diff(want, error(detailOf(t, stream.Err()))); diff != "" || n != 1 {
				t.Errorf("%s, stream of %s: %d events (-want +got):\n%s", reason, name, n, diff)
			}
			_ = stream.Close()
		}
	}
}

// TestGRPCErrorsFitTheHeader checks that a huge traceback cannot make an error
// unreadable: grpcio takes 8 KiB of metadata for sure.
func TestGRPCErrorsFitTheHeader(t *testing.T) {
	t.Parallel()
	f := newFake()
	long := strings.Repeat("\u00e9", 8<<10)
	f.call = func(context.Context, shared.CallRequest) (*shared.CallResult, error) {
		return nil, &shared.Error{
			Reason: shared.PythonException, Message: long, Hint: long, MayHaveRun: shared.RunYes,
			Remote: &shared.RemoteError{Type: long, Message: long, Traceback: long + "the end"},
		}
	}
	x := start(t, f, Options{})
	conn := x.grpcConn(t, x.grpcTargets()[0])
	var trailer metadata.MD
	err := conn.Invoke(t.Context(), apiv1connect.PoolServiceCallProcedure, &apiv1.CallRequest{Command: "c"}, new(apiv1.CallResponse),
		grpc.Trailer(&trailer))
	detail := status.Convert(err).Details()[0].(*apiv1.ErrorDetail)
	if !strings.HasSuffix(detail.GetRemote().GetTraceback(), "the end") {
		t.Error("the end of the traceback is missing")
	}
	wire, _ := proto.Marshal(status.Convert(err).Proto())
	size := base64.StdEncoding.EncodedLen(len(wire)) + 3*len(status.Convert(err).Message()) // percent-encoded
	for key, values := range trailer {
		if !strings.HasPrefix(key, "grpc-") {
			size += len(key) + len(strings.Join(values, "")) + 32
		}
	}
	if size > 8<<10 {
		t.Errorf("the error takes %d bytes of headers, want at most 8 KiB", size)
	}
	c := apiv1connect.NewPoolServiceClient(x.tcp, x.url)
	_, err = c.Call(t.Context(), connect.NewRequest(&apiv1.CallRequest{Command: "c"}))
	if got := detailOf(t, err); got.Message != long || got.Remote.Traceback != long+"the end" {
		t.Error("Connect, which needs no headers for it, does not carry the whole error")
	}
}

func TestRPCErrorWithBrokenText(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.call = func(context.Context, shared.CallRequest) (*shared.CallResult, error) {
		return nil, &shared.Error{Reason: shared.PythonException, Message: "a\xff\n", MayHaveRun: shared.RunYes}
	}
	x := start(t, f, Options{})
	err := x.grpcConn(t, x.grpcTargets()[0]).Invoke(t.Context(), apiv1connect.PoolServiceCallProcedure,
		&apiv1.CallRequest{Command: "c"}, new(apiv1.CallResponse))
	if got, want := status.Convert(err).Message(), "a\uFFFD\n"; got != want || len(status.Convert(err).Details()) != 1 {
		t.Errorf("message = %q, want %q and a detail", got, want)
	}
}

func TestRPCLimits(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	f := newFake()
	f.call = func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		if req.Command == "big" {
			return &shared.CallResult{Result: json.RawMessage(`"` + strings.Repeat("x", limit) + `"`)}, nil
		}
		return &shared.CallResult{}, nil
	}
	f.stream = func(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
		return nil, sink(shared.StreamEvent{Kind: shared.StreamChunk, Data: json.RawMessage(`"` + strings.Repeat("x", limit) + `"`)})
	}
	x := start(t, f, Options{MaxBody: limit})
	fit := &apiv1.CallRequest{Command: "c"}
	fit.Args = strings.Repeat("x", limit-proto.Size(fit)-4) // its tag and length
	for proto.Size(fit) < limit {
		fit.Args += "x"
	}
	over := proto.CloneOf(fit)
	over.Args += "x"
	huge := &apiv1.CallRequest{Command: "c", Args: strings.Repeat("x", 20*limit)}

	conn := x.grpcConn(t, x.grpcTargets()[0])
	invoke := func(req *apiv1.CallRequest, options ...grpc.CallOption) error {
		return conn.Invoke(t.Context(), apiv1connect.PoolServiceCallProcedure, req, new(apiv1.CallResponse), options...)
	}
	if err := invoke(fit); err != nil {
		t.Errorf("%d bytes over gRPC: %v", proto.Size(fit), err)
	}
	for _, req := range []*apiv1.CallRequest{over, huge} {
		if st := status.Convert(invoke(req)); st.Code() != shared.PayloadTooLarge.Code() || len(st.Details()) != 1 {
			t.Errorf("%d bytes over gRPC = %v, want PAYLOAD_TOO_LARGE", proto.Size(req), st)
		}
	}
	if st := status.Convert(invoke(fit, grpc.UseCompressor(gzip.Name))); st.Code() != codes.Unimplemented {
		t.Errorf("compressed request = %v, want unimplemented", st)
	}
	for name, c := range rpcClients(x, t, apiv1connect.NewPoolServiceClient) {
		if name != "connect-json" { // whose text is longer
			if _, err := c.Call(t.Context(), connect.NewRequest(fit)); err != nil {
				t.Errorf("%s: %d bytes: %v", name, proto.Size(fit), err)
			}
			_, err := c.Call(t.Context(), connect.NewRequest(over))
			if got := detailOf(t, err); got.Reason != shared.PayloadTooLarge || got.MayHaveRun != shared.RunNo {
				t.Errorf("%s: %d bytes = %v, want PAYLOAD_TOO_LARGE", name, proto.Size(over), err)
			}
		}
		_, err := c.Call(t.Context(), connect.NewRequest(&apiv1.CallRequest{Command: "big"}))
		if got := detailOf(t, err); got.Reason != shared.ResultTooLarge || got.MayHaveRun != shared.RunYes {
			t.Errorf("%s: big answer = %v, want RESULT_TOO_LARGE", name, err)
		}
		stream, err := c.CallStream(t.Context(), connect.NewRequest(&apiv1.CallStreamRequest{Call: &apiv1.CallRequest{Command: "c"}}))
		if err != nil {
			t.Fatal(err)
		}
		for stream.Receive() {
			t.Errorf("%s: received %d bytes, want an error", name, proto.Size(stream.Msg()))
		}
		if got := detailOf(t, stream.Err()); got.Reason != shared.ResultTooLarge {
			t.Errorf("%s: big chunk = %v, want RESULT_TOO_LARGE", name, stream.Err())
		}
		_ = stream.Close()
	}
	if got := x.server.inFlight.Load(); got != 0 {
		t.Errorf("%d bytes are still in flight", got)
	}
}
