package client

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
	"github.com/dspex/dspex/shared/proto/dspex/api/v1/apiv1connect"
)

const (
	dialTimeout = 5 * time.Second
	// idleTimeout ends before that of the host, so that it is the client who
	// closes: a request can then never meet a connection that is just closing.
	idleTimeout = 90 * time.Second
	// maxIdle connections wait for the next call.
	maxIdle = 512
	// maxReadyAnswer bounds what Ready reads.
	maxReadyAnswer = 1 << 20
)

// Client calls one host. Make one with [New].
type Client struct {
	addr     string
	base     string
	http     *http.Client
	pools    apiv1connect.PoolServiceClient
	sessions apiv1connect.SessionServiceClient
	programs apiv1connect.ProgramServiceClient
}

// Option is a setting of New.
type Option func(*options)

type options struct {
	maxMessage int
	transport  func(http.RoundTripper) http.RoundTripper
}

// MaxMessage sets the largest answer in bytes. Without it, that is up to the host.
func MaxMessage(bytes int) Option { return func(o *options) { o.maxMessage = bytes } }

// WrapTransport sets a function that wraps the transport of all requests, to
// observe or change them.
func WrapTransport(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(o *options) { o.transport = wrap }
}

// New makes a client of the host at addr: "unix:///path/api.sock",
// "unix:/path/api.sock", "http://host:port" or "host:port". It connects with the
// first request, so a host that is down is no error here.
func New(addr string, opts ...Option) (*Client, error) {
	network, target, base, err := parseAddr(addr)
	if err != nil {
		return nil, err
	}
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	// HTTP/1.1 with many connections carries more calls than one HTTP/2 connection,
	// whose frames all pass through one goroutine at either end.
	dialer := &net.Dialer{Timeout: dialTimeout}
	var transport http.RoundTripper = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, target)
		},
		DisableCompression:  true,
		MaxIdleConns:        maxIdle,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     idleTimeout,
	}
	if o.transport != nil {
		transport = o.transport(transport)
	}
	c := &Client{addr: addr, base: base, http: &http.Client{Transport: transport}}
	settings := []connect.ClientOption{
		connect.WithAcceptCompression("gzip", nil, nil), // costs more than it saves on one machine
		connect.WithReadMaxBytes(o.maxMessage),
	}
	c.pools = apiv1connect.NewPoolServiceClient(c.http, base, settings...)
	c.sessions = apiv1connect.NewSessionServiceClient(c.http, base, settings...)
	c.programs = apiv1connect.NewProgramServiceClient(c.http, base, settings...)
	return c, nil
}

// Addr returns the address that New was given.
func (c *Client) Addr() string { return c.addr }

// Close closes the connections that are idle. Running calls go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call runs one command and returns its result.
func (c *Client) Call(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error) {
	r := connect.NewRequest(req.ToProto())
	setTrace(r, req.Traceparent)
	res, err := c.pools.Call(ctx, r)
	if err != nil {
		return nil, c.wrap("call "+req.Pool+"."+req.Command, effect, err)
	}
	return shared.CallResultFromProto(res.Msg), nil
}

// CallStream runs one command and gives its events to sink, in order and on the
// caller's goroutine. An error of sink cancels the call and is returned as it is.
func (c *Client) CallStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
	what := "call " + req.Pool + "." + req.Command
	r := connect.NewRequest(&apiv1.CallStreamRequest{Call: req.ToProto()})
	setTrace(r, req.Traceparent)
	stream, err := c.pools.CallStream(ctx, r)
	if err != nil {
		return nil, c.wrap(what, effect, err)
	}
	defer stream.Close() //nolint:errcheck // it only cancels what the host has not sent yet
	var result *shared.CallResult
	for stream.Receive() {
		msg := stream.Msg()
		if event, ok := shared.StreamEventFromProto(msg); ok {
			if err := sink(event); err != nil {
				return nil, err
			}
		} else if msg.GetResult() != nil {
			result = shared.CallResultFromProto(msg.GetResult())
		}
	}
	if err := stream.Err(); err != nil {
		return nil, c.wrap(what, effect, err)
	}
	if result == nil {
		return nil, shared.Errorf(shared.Internal, "%s: the stream ended without a result", what).WithRun(shared.RunMaybe)
	}
	return result, nil
}

// RunProgram runs the program of the session, else the global one.
func (c *Client) RunProgram(ctx context.Context, req shared.RunRequest) (*shared.RunResult, error) {
	res, err := c.programs.RunProgram(ctx, connect.NewRequest(req.ToProto()))
	if err != nil {
		return nil, c.wrap("run program "+req.Name, effect, err)
	}
	return shared.RunResultFromProto(res.Msg), nil
}

// Pools returns all pools in the order of their names.
func (c *Client) Pools(ctx context.Context) ([]shared.PoolStatus, error) {
	res, err := c.pools.ListPools(ctx, connect.NewRequest(&apiv1.ListPoolsRequest{}))
	if err != nil {
		return nil, c.wrap("list pools", noEffect, err)
	}
	return mapList(res.Msg.GetPools(), shared.PoolStatusFromProto), nil
}

// PoolStatus returns the state of one pool.
func (c *Client) PoolStatus(ctx context.Context, name string) (shared.PoolStatus, error) {
	res, err := c.pools.GetPool(ctx, connect.NewRequest(&apiv1.GetPoolRequest{Pool: name}))
	if err != nil {
		return shared.PoolStatus{}, c.wrap("show pool "+name, noEffect, err)
	}
	return shared.PoolStatusFromProto(res.Msg.GetPool()), nil
}

// Workers returns the workers of a pool, or of all pools if pool is empty.
func (c *Client) Workers(ctx context.Context, pool string) ([]shared.WorkerStatus, error) {
	res, err := c.pools.ListWorkers(ctx, connect.NewRequest(&apiv1.ListWorkersRequest{Pool: pool}))
	if err != nil {
		return nil, c.wrap("list workers", noEffect, err)
	}
	return mapList(res.Msg.GetWorkers(), shared.WorkerStatusFromProto), nil
}

// Stats sums up the host.
func (c *Client) Stats(ctx context.Context) (shared.HostStats, error) {
	res, err := c.pools.GetStats(ctx, connect.NewRequest(&apiv1.GetStatsRequest{}))
	if err != nil {
		return shared.HostStats{}, c.wrap("show stats", noEffect, err)
	}
	return shared.HostStatsFromProto(res.Msg), nil
}

// Ready reports whether each pool can take calls, and if not, why.
func (c *Client) Ready(ctx context.Context) (bool, string, error) {
	const what = "ask for readiness"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/readyz", nil)
	if err != nil {
		return false, "", c.wrap(what, noEffect, err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return false, "", c.wrap(what, noEffect, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(res.Body, maxReadyAnswer))
	if err != nil {
		return false, "", c.wrap(what, noEffect, err)
	}
	var answer struct {
		Status string `json:"status"`
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status == "" {
		return false, "", shared.Errorf(shared.Unsupported, "%s: status %d from %s is not the answer of a dspex host", what, res.StatusCode, c.addr).
			WithHint("check the address")
	}
	return res.StatusCode == http.StatusOK, answer.Reason, nil
}

func setTrace(r connect.AnyRequest, traceparent string) {
	if traceparent != "" {
		r.Header().Set("Traceparent", traceparent)
	}
}

func mapList[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
