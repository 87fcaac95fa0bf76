package worker

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/dspex/dspex/host/internal/proc"
	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

const (
	// messageSlack is what a gRPC message may hold beside a payload.
	messageSlack = 1 << 20
	// stopStep is how long each step of a stop waits before the next, harder one.
	stopStep = time.Second
	// windowSize is the flow control window of a worker's connection, in bytes.
	windowSize = 4 << 20
)

// Process is one generation of a worker: a process that has answered a call, and
// the stream on which calls run.
type Process struct {
	// Worker, Generation and what follows are immutable.
	Worker      string
	Generation  uint64
	Description *workerv1.DescribeResponse
	// Commands by name.
	Commands map[string]shared.Command
	// StartedAt is when its start began, StartTime how long it took.
	StartedAt time.Time
	StartTime time.Duration
	// Launch names the way in which it was started.
	Launch string
	// Calls and Errors count the answers.
	Calls, Errors atomic.Int64

	// Stream is what calls run on.
	*Stream
	runner *proc.Process
	client *goplugin.Client
	conn   *grpc.ClientConn
}

// launch starts a process and brings it to where it has answered. A process that
// fails on the way, or is not there when ctx ends, is ended.
func launch(ctx context.Context, o *Options, generation uint64) (_ *Process, err error) {
	started := time.Now()
	spec := o.Spec
	spec.Name, spec.Log = o.ID, o.Log
	run := proc.New(spec, o.Launcher)
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  shared.Handshake(),
		VersionedPlugins: shared.VersionedPlugins(),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		// What go-plugin has to say comes back as errors; the worker's output is
		// logged by the runner.
		Logger:           hclog.NewNullLogger(),
		StartTimeout:     o.StartupTimeout,
		SkipHostEnv:      true,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: o.SocketDir},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(
				grpc.MaxCallRecvMsgSize(o.MaxMessage+messageSlack),
				grpc.MaxCallSendMsgSize(o.MaxMessage+messageSlack),
			),
			grpc.WithInitialWindowSize(windowSize),
			grpc.WithInitialConnWindowSize(windowSize),
		},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socketDir string) (runner.Runner, error) {
			run.Prepare(cmd.Env, socketDir)
			return run, nil
		},
	})
	defer func() {
		if err == nil {
			return
		}
		status := ""
		if !run.Killed() {
			status = run.Status()
		}
		_ = run.Kill(context.Background())
		client.Kill()
		err = startError(o, err, status, run.Tail())
	}()
	type outcome struct {
		protocol goplugin.ClientProtocol
		err      error
	}
	result := make(chan outcome, 1)
	go func() {
		protocol, err := client.Client()
		result <- outcome{protocol, err}
	}()
	var out outcome
	select {
	case out = <-result:
	case <-ctx.Done():
		// go-plugin holds its lock during a start: ending the process ends that.
		_ = run.Kill(context.Background())
		<-result
		out.err = context.Cause(ctx)
	}
	if out.err != nil {
		return nil, out.err
	}
	p := &Process{
		Worker:     o.ID,
		Generation: generation,
		StartedAt:  started,
		Launch:     run.Launch(),
		runner:     run,
		client:     client,
	}
	if err := p.greet(ctx, o, out.protocol); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	p.StartTime = time.Since(started)
	return p, nil
}

// greet brings a process that has given its handshake to where it has answered
// a call.
func (p *Process) greet(ctx context.Context, o *Options, protocol goplugin.ClientProtocol) error {
	grpcClient, ok := protocol.(*goplugin.GRPCClient)
	if !ok {
		return fmt.Errorf("negotiate protocol: got %T, want gRPC", protocol)
	}
	p.conn = grpcClient.Conn
	raw, err := protocol.Dispense(shared.PluginName)
	if err != nil {
		return fmt.Errorf("dispense %q: %w", shared.PluginName, err)
	}
	rpc := raw.(workerv1.WorkerServiceClient)
	if err := p.CheckHealth(ctx); err != nil {
		return err
	}
	if p.Description, err = rpc.Describe(ctx, &workerv1.DescribeRequest{}); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	p.Commands = make(map[string]shared.Command, len(p.Description.Commands))
	for _, c := range p.Description.Commands {
		p.Commands[c.Name] = shared.Command{
			Name: c.Name, Doc: c.Doc, ArgsSchema: c.ArgsSchema, ResultSchema: c.ResultSchema,
			Streaming: c.Streaming, Idempotent: c.Idempotent, Cancellable: c.Cancellable,
		}
	}
	config := o.configure(p.Generation)
	if _, err := rpc.Configure(ctx, config); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	// The stream outlives the start: its own context ends with the connection.
	wire, err := rpc.Attach(context.Background())
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	p.Stream = NewStream(wire, o.MaxMessage)
	warm := p.Stream.Call(ctx, Call{Command: "ping", Args: []byte("{}"), Attempt: 1}, nil, func(Reply) {})
	// A worker without the command has answered too.
	if warm.Err != nil && warm.Err.Reason != shared.CommandNotFound {
		return fmt.Errorf("answer first call: %w", warm.Err)
	}
	return nil
}

// PID of the process.
func (p *Process) PID() int { return p.runner.PID() }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.runner.Exited() }

// Status says how the process ended.
func (p *Process) Status() string { return p.runner.Status() }

// CheckHealth asks the process's health service. It is a lane of its own: calls
// that run do not delay it.
func (p *Process) CheckHealth(ctx context.Context) error {
	answer, err := healthv1.NewHealthClient(p.conn).Check(ctx, &healthv1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	if answer.Status != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("check health: worker says %s", answer.Status)
	}
	return nil
}

// Stop ends the process: by its Shutdown method, then SIGTERM, then SIGKILL to
// its group, each given a second. It returns when the process is gone.
func (p *Process) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopStep)
	// The path of go-plugin's own service; an Empty has no content on the wire.
	_ = p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	cancel()
	for _, sig := range []syscall.Signal{0, syscall.SIGTERM, syscall.SIGKILL} {
		if sig != 0 {
			_ = p.runner.Signal(sig)
		}
		if sig == syscall.SIGKILL {
			<-p.runner.Exited()
			break
		}
		timer := time.NewTimer(stopStep)
		select {
		case <-p.runner.Exited():
			timer.Stop()
		case <-timer.C:
			continue
		}
		break
	}
	p.release()
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.runner.Kill(context.Background())
	p.release()
}

// release frees what the host holds of a process that has ended.
func (p *Process) release() {
	p.Stream.Close()
	// Only now: Kill has no bound while the process lives. It closes the
	// connection and removes the socket folder.
	p.client.Kill()
	<-p.Stream.Done()
}

// startError is the error of a process that did not start. Status is empty if it
// had not ended by itself.
func startError(o *Options, cause error, status, tail string) error {
	if errors.Is(cause, context.DeadlineExceeded) {
		cause = fmt.Errorf("no answer within startup_timeout (%s): %w", o.StartupTimeout, cause)
	}
	err := shared.Errorf(shared.StartFailed, "launch worker %q: %w", o.ID, cause)
	if status != "" {
		err = shared.Errorf(shared.StartFailed, "launch worker %q: process ended: %s", o.ID, status)
	}
	err.Cause = cause
	if tail = lastLines(tail, 8); tail != "" {
		err.Message += "\n" + tail
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		err.Hint = "raise startup_timeout, or look at what the worker does while it starts"
	}
	return err
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
