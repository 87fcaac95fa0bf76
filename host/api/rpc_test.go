package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

// grpcConn is grpc-go's own connection to a fixture.
func (x *fixture) grpcConn(t *testing.T, target string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (x *fixture) grpcTargets() []string {
	return []string{strings.TrimPrefix(x.url, "http://"), "unix://" + x.socket}
}

func TestGRPCCalls(t *testing.T) {
	t.Parallel()
	f := newFake()
	x := start(t, f, Options{})
	for _, target := range x.grpcTargets() {
		conn := x.grpcConn(t, target)
		got := new(apiv1.CallResponse)
		err := conn.Invoke(t.Context(), apiv1connect.PoolServiceCallProcedure,
			&apiv1.CallRequest{Pool: "qa", Command: "ping", Args: `{"n":1.10}`}, got)
		if err != nil {
			t.Fatalf("%s: Call: %v", target, err)
		}
		want := &apiv1.CallResponse{
			Result: `{"command":"ping","args":{"n":1.10}}`, Worker: "qa-1",
			QueueTime: durationpb.New(1500 * time.Microsecond), RunTime: durationpb.New(20 * time.Millisecond),
		}
		if !proto.Equal(want, got) {
			t.Errorf("%s: Call = %v, want %v", target, got, want)
		}
		if got := grpcStream(t, conn); cmp.Diff(streamWant, got) != "" {
			t.Errorf("%s: CallStream = %v, want %v", target, got, streamWant)
		}
	}
}

var streamWant = []string{`chunk {"i":0}`, `chunk {"i":1}`, `chunk {"i":2}`, `progress 0.5`, `result {"command":"ping","args":{}}`}

func grpcStream(t *testing.T, conn *grpc.ClientConn) []string {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, apiv1connect.PoolServiceCallStreamProcedure)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&apiv1.CallStreamRequest{Call: &apiv1.CallRequest{Pool: "qa", Command: "ping"}}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		m := new(apiv1.CallStreamResponse)
		err := stream.RecvMsg(m)
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatalf("RecvMsg: %v", err)
		}
		got = append(got, eventText(m))
	}
}

func eventText(m *apiv1.CallStreamResponse) string {
	if e, ok := shared.StreamEventFromProto(m); ok {
		return string(e.Kind) + " " + string(e.Data)
	}
	return "result " + m.GetResult().GetResult()
}

// rpcClients are clients of one service in all protocols.
func rpcClients[C any](x *fixture, t *testing.T, make func(connect.HTTPClient, string, ...connect.ClientOption) C) map[string]C {
	h1, h2 := clientOf(t, "h1"), clientOf(t, "h2")
	return map[string]C{
		"connect":      make(h1, x.url),
		"connect-h2":   make(h2, x.url),
		"connect-json": make(h1, x.url, connect.WithProtoJSON()),
		"grpc-web":     make(h1, x.url, connect.WithGRPCWeb()),
		"grpc":         make(h2, x.url, connect.WithGRPC()),
		"unix":         make(x.unix, "http://dspex"),
	}
}

func TestEveryRPC(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	for name, c := range rpcClients(x, t, apiv1connect.NewPoolServiceClient) {
		pools, err := c.ListPools(t.Context(), connect.NewRequest(&apiv1.ListPoolsRequest{}))
		if err != nil {
			t.Fatalf("%s: ListPools: %v", name, err)
		}
		if diff := cmp.Diff(x.Pools(), []shared.PoolStatus{shared.PoolStatusFromProto(pools.Msg.Pools[0])}); diff != "" {
			t.Errorf("%s: ListPools (-want +got):\n%s", name, diff)
		}
		pool, err := c.GetPool(t.Context(), connect.NewRequest(&apiv1.GetPoolRequest{Pool: "qa"}))
		if err != nil || !proto.Equal(pool.Msg.Pool, pools.Msg.Pools[0]) {
			t.Errorf("%s: GetPool = %v, %v", name, pool, err)
		}
		workers, err := c.ListWorkers(t.Context(), connect.NewRequest(&apiv1.ListWorkersRequest{}))
		if err != nil || len(workers.Msg.Workers) != 2 {
			t.Errorf("%s: ListWorkers = %v, %v, want 2 workers", name, workers, err)
		}
		if _, err := c.ListWorkers(t.Context(), connect.NewRequest(&apiv1.ListWorkersRequest{Pool: "no"})); connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%s: ListWorkers(no) = %v, want not found", name, err)
		}
		stats, err := c.GetStats(t.Context(), connect.NewRequest(&apiv1.GetStatsRequest{}))
		if err != nil {
			t.Fatalf("%s: GetStats: %v", name, err)
		}
		if diff := cmp.Diff(x.Stats(), shared.HostStatsFromProto(stats.Msg)); diff != "" {
			t.Errorf("%s: GetStats (-want +got):\n%s", name, diff)
		}
		stream, err := c.CallStream(t.Context(), connect.NewRequest(&apiv1.CallStreamRequest{Call: &apiv1.CallRequest{Pool: "qa", Command: "ping"}}))
		if err != nil {
			t.Fatalf("%s: CallStream: %v", name, err)
		}
		var got []string
		for stream.Receive() {
			got = append(got, eventText(stream.Msg()))
		}
		if diff := cmp.Diff(streamWant, got); diff != "" || stream.Err() != nil {
			t.Errorf("%s: CallStream: %v (-want +got):\n%s", name, stream.Err(), diff)
		}
		_ = stream.Close()
		for what, req := range map[string]*apiv1.CallRequest{
			"no command":       {Pool: "qa"},
			"negative timeout": {Pool: "qa", Command: "ping", Timeout: durationpb.New(-1)},
		} {
			if _, err := c.Call(t.Context(), connect.NewRequest(req)); detailOf(t, err).Reason != shared.InvalidArgument {
				t.Errorf("%s: Call with %s = %v, want INVALID_ARGUMENT", name, what, err)
			}
		}
	}
	zero, one := uint64(0), uint64(1)
	for name, c := range rpcClients(x, t, apiv1connect.NewSessionServiceClient) {
		put, err := c.PutSession(t.Context(), connect.NewRequest(&apiv1.PutSessionRequest{Id: name, Data: `{"a":1}`, IfRevision: &zero}))
		if err != nil || !put.Msg.Created || put.Msg.Session.Revision != 1 {
			t.Fatalf("%s: PutSession = %v, %v, want it created", name, put, err)
		}
		patch, err := c.PatchSession(t.Context(), connect.NewRequest(&apiv1.PatchSessionRequest{Id: name, Patch: `{"b":2}`, IfRevision: &one}))
		if err != nil || patch.Msg.Session.Revision != 2 || patch.Msg.Session.Data != `{"b":2}` {
			t.Errorf("%s: PatchSession = %v, %v", name, patch, err)
		}
		get, err := c.GetSession(t.Context(), connect.NewRequest(&apiv1.GetSessionRequest{Id: name}))
		if err != nil || !proto.Equal(get.Msg.Session, patch.Msg.Session) {
			t.Errorf("%s: GetSession = %v, %v", name, get, err)
		}
		list, err := c.ListSessions(t.Context(), connect.NewRequest(&apiv1.ListSessionsRequest{Prefix: name, Limit: 1}))
		if err != nil || len(list.Msg.Sessions) != 1 {
			t.Errorf("%s: ListSessions = %v, %v", name, list, err)
		}
		_, err = c.DeleteSession(t.Context(), connect.NewRequest(&apiv1.DeleteSessionRequest{Id: name, IfRevision: &one}))
		if detailOf(t, err).Reason != shared.RevisionConflict {
			t.Errorf("%s: DeleteSession at another revision = %v, want REVISION_CONFLICT", name, err)
		}
		if _, err = c.DeleteSession(t.Context(), connect.NewRequest(&apiv1.DeleteSessionRequest{Id: name})); err != nil {
			t.Errorf("%s: DeleteSession: %v", name, err)
		}
	}
	for name, c := range rpcClients(x, t, apiv1connect.NewProgramServiceClient) {
		put, err := c.PutProgram(t.Context(), connect.NewRequest(&apiv1.PutProgramRequest{Name: name, Spec: `{"signature":"a -> b"}`}))
		if err != nil || !put.Msg.Created {
			t.Fatalf("%s: PutProgram = %v, %v, want it created", name, put, err)
		}
		get, err := c.GetProgram(t.Context(), connect.NewRequest(&apiv1.GetProgramRequest{Name: name}))
		if err != nil || !proto.Equal(get.Msg.Program, put.Msg.Program) {
			t.Errorf("%s: GetProgram = %v, %v", name, get, err)
		}
		run, err := c.RunProgram(t.Context(), connect.NewRequest(&apiv1.RunProgramRequest{Name: name, Inputs: `{"a":"x"}`}))
		if err != nil || run.Msg.Outputs != `{"a":"x"}` || run.Msg.Revision != 1 {
			t.Errorf("%s: RunProgram = %v, %v", name, run, err)
		}
		list, err := c.ListPrograms(t.Context(), connect.NewRequest(&apiv1.ListProgramsRequest{}))
		if err != nil || len(list.Msg.Programs) != 1 {
			t.Errorf("%s: ListPrograms = %v, %v", name, list, err)
		}
		if _, err := c.DeleteProgram(t.Context(), connect.NewRequest(&apiv1.DeleteProgramRequest{Name: name})); err != nil {
			t.Errorf("%s: DeleteProgram: %v", name, err)
		}
	}
}

func TestRPCDeadlineAndTrace(t *testing.T) {
	t.Parallel()
	f := newFake()
	got := make(chan shared.CallRequest, 1)
	f.call = func(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the context has no deadline")
		}
		got <- req
		return &shared.CallResult{}, nil
	}
	x := start(t, f, Options{})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, c := range rpcClients(x, t, apiv1connect.NewPoolServiceClient) {
		req := connect.NewRequest(&apiv1.CallRequest{Command: "c", Timeout: durationpb.New(time.Second)})
		req.Header().Set("traceparent", trace)
		if _, err := c.Call(ctx, req); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(shared.CallRequest{Command: "c", Timeout: time.Second, Traceparent: trace}, <-got); diff != "" {
			t.Errorf("%s: request (-want +got):\n%s", name, diff)
		}
	}
}

// TestConnectWithCurl does what a shell does.
func TestConnectWithCurl(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	a := x.do(t, "POST", "/dspex.api.v1.PoolService/Call", `{"pool":"qa","command":"ping","timeout":"5s"}`, "Content-Type: application/json")
	want := `{"result":"{\"command\":\"ping\",\"args\":{}}","worker":"qa-1","queueTime":"0.001500s","runTime":"0.020s"}`
	if diff := cmp.Diff(parse(t, want), parse(t, a.body)); diff != "" || a.status != 200 {
		t.Errorf("status %d (-want +got):\n%s", a.status, diff)
	}
	a = x.do(t, "POST", "/dspex.api.v1.PoolService/Call", `{"pool":"no","command":"ping"}`, "Content-Type: application/json")
	if a.status != 404 || !strings.Contains(a.body, `"POOL_NOT_FOUND"`) {
		t.Errorf("status %d, %s, want 404 and the reason", a.status, a.body)
	}
}

// TestGRPCWebByHand does what a browser's library does.
func TestGRPCWebByHand(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	message, _ := proto.Marshal(&apiv1.CallRequest{Pool: "qa", Command: "ping"})
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	res, err := x.tcp.Post(x.url+apiv1connect.PoolServiceCallProcedure, "application/grpc-web+proto", bytes.NewReader(append(body, message...)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || len(b) < envelopePrefix {
		t.Fatalf("answer = %q, %v", b, err)
	}
	size := binary.BigEndian.Uint32(b[1:envelopePrefix])
	got := new(apiv1.CallResponse)
	if err := proto.Unmarshal(b[envelopePrefix:envelopePrefix+size], got); err != nil || got.Worker != "qa-1" {
		t.Errorf("message = %v, %v, want the result", got, err)
	}
	if trailer := string(b[envelopePrefix+size:]); trailer[0] != 0x80 || !strings.Contains(strings.ToLower(trailer), "grpc-status: 0") {
		t.Errorf("trailer = %q, want status 0", trailer)
	}
}

func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	for _, notReady := range []string{"", "no workers"} {
		f := newFake()
		f.notReady = notReady
		x := start(t, f, Options{})
		conn := x.grpcConn(t, x.grpcTargets()[0])
		want := healthpb.HealthCheckResponse_SERVING
		if notReady != "" {
			want = healthpb.HealthCheckResponse_NOT_SERVING
		}
		for _, service := range append([]string{""}, services...) {
			got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != want {
				t.Errorf("health of %q = %v, %v, want %v", service, got, err, want)
			}
		}
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
			t.Errorf("health of another service = %v, want not found", err)
		}
	}
	x := start(t, newFake(), Options{BodyTimeout: time.Nanosecond})
	conn := x.grpcConn(t, x.grpcTargets()[1])
	stream, err := reflectpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // there is no time for a body, which such a stream does not have
		if err := stream.Send(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_ListServices{}}); err != nil {
			t.Fatal(err)
		}
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range res.GetListServicesResponse().GetService() {
			names = append(names, s.GetName())
		}
		for _, want := range services {
			if !strings.Contains(fmt.Sprint(names), want) {
				t.Errorf("reflection lists %v, want %s", names, want)
			}
		}
	}
	// Both versions of the protocol have the same messages.
	alpha, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
	if err != nil {
		t.Fatal(err)
	}
	if err := alpha.SendMsg(&reflectpb.ServerReflectionRequest{MessageRequest: &reflectpb.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: apiv1connect.PoolServiceName,
	}}); err != nil {
		t.Fatal(err)
	}
	res := new(reflectpb.ServerReflectionResponse)
	if err := alpha.RecvMsg(res); err != nil || len(res.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("reflection v1alpha = %v, %v, want the file", res, err)
	}
	_ = stream.CloseSend()
	_ = alpha.CloseSend()
}

func TestRefusedRPCPathsHaveAnAnswer(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	a := x.do(t, "POST", "/dspex.api.v1.Nope/Call", `{}`, "Content-Type: application/json")
	if a.status != 404 {
		t.Errorf("unknown service = %d, want 404", a.status)
	}
	if a := x.do(t, "GET", "/dspex.api.v1.PoolService/Call", ""); a.status != http.StatusMethodNotAllowed && a.status != http.StatusUnsupportedMediaType {
		t.Errorf("GET of a method = %d, want 405 or 415", a.status)
	}
}
