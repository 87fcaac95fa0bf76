package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// workerMain is the main function of the test binary as a worker.
func workerMain(mode string) {
	fmt.Println("1|1|unix|/printed/before/serve|grpc")
	app := New("acme")
	if mode == "bad-app" {
		app.Command("no good", nil)
	}
	app.Command("stdin", func(*Context, json.RawMessage) (any, error) {
		_, err := io.ReadAll(os.Stdin)
		return "stdin ended", err
	})
	app.Command("output", func(ctx *Context, _ json.RawMessage) (any, error) {
		fmt.Println("printed by a command")
		ctx.Logger().Info("logged by a command", "key", "value")
		fmt.Fprintln(os.Stderr, "written by a command")
		return nil, nil
	})
	Stream(app, "cleanup", func(ctx *Context, a struct{ File string }, send func(string) error) (any, error) {
		if err := send("begun"); err != nil {
			return nil, err
		}
		<-ctx.Done()
		<-time.After(100 * time.Millisecond) // cleaning up takes its time
		return nil, os.WriteFile(a.File, []byte("clean"), 0o600)
	})
	app.Command("crash", func(*Context, json.RawMessage) (any, error) { panic("boom") })
	Serve(app)
}

// safeBuffer is a buffer that goroutines share.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// process is a worker process that a test started by hand.
type process struct {
	cmd    *exec.Cmd
	conn   *grpc.ClientConn
	client workerv1.WorkerServiceClient
	socket string
	stdin  *os.File // write end
	stdout *os.File // read end, after the handshake
	stderr *os.File // read end
	log    safeBuffer
	exited chan struct{}
}

func workerCommand(t *testing.T, mode string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), append([]string{modeVar + "=" + mode}, env...)...)
	return cmd
}

func cookie() string {
	h := shared.Handshake()
	return h.MagicCookieKey + "=" + h.MagicCookieValue
}

// launch starts a worker and reads its handshake.
func launch(t *testing.T, env ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "dspex") // short: the path of a socket is limited
	if err != nil {
		t.Fatal(err)
	}
	p := &process{exited: make(chan struct{})}
	p.cmd = workerCommand(t, "ok", append(env, cookie(), "PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR="+dir)...)
	stdinR, stdinW := pipe(t)
	stdoutR, stdoutW := pipe(t)
	stderrR, stderrW := pipe(t)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdinR, stdoutW, stderrW
	p.stdin, p.stdout, p.stderr = stdinW, stdoutR, stderrR
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start worker: %v", err)
	}
	for _, f := range []*os.File{stdinR, stdoutW, stderrW} {
		f.Close()
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait()
	}()
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(&p.log, p.stderr)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
		<-copied
		for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
			f.Close()
		}
		os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("stderr of the worker:\n%s", p.log.String())
		}
	})

	line, err := bufio.NewReader(p.stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("read handshake: %v", err)
	}
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 5 || filepath.Dir(fields[3]) != dir {
		t.Fatalf("got handshake %q, want a socket in %s", line, dir)
	}
	p.socket = fields[3]
	if diff := cmp.Diff([]string{"1", "1", "unix", p.socket, "grpc", ""}, fields); diff != "" {
		t.Errorf("handshake (-want +got):\n%s", diff)
	}
	p.conn, err = grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.conn.Close() })
	p.client = workerv1.NewWorkerServiceClient(p.conn)
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// shutdown asks the worker to end as go-plugin does.
func (p *process) shutdown(t *testing.T) {
	t.Helper()
	// Its messages are empty, as this one is. The server may break off before it
	// answers.
	_ = p.conn.Invoke(t.Context(), "/plugin.GRPCController/Shutdown", &workerv1.DescribeRequest{}, &workerv1.DescribeRequest{})
}

// wantExit waits for the end of the process and checks that it ended well.
func (p *process) wantExit(t *testing.T) {
	t.Helper()
	recvClosed(t, "exit of the worker", p.exited)
	if state := p.cmd.ProcessState; state.ExitCode() != 0 {
		t.Errorf("worker ended with %s, want exit status 0", state)
	}
	if _, err := os.Stat(p.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket %s: got %v, want it removed", p.socket, err)
	}
}

func recvClosed(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
	}
}

func TestPluginProcess(t *testing.T) {
	t.Parallel()
	for name, autoMTLS := range map[string]bool{"plain": false, "mTLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const calls, window = 10_000, 100
			var stdout, stderr safeBuffer
			hostLog := hclog.New(&hclog.LoggerOptions{Output: io.Discard})
			client := goplugin.NewClient(&goplugin.ClientConfig{
				HandshakeConfig:  shared.Handshake(),
				VersionedPlugins: shared.VersionedPlugins(),
				AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
				Cmd:              workerCommand(t, "ok"),
				AutoMTLS:         autoMTLS,
				SyncStdout:       &stdout,
				Stderr:           &stderr,
				Logger:           hostLog,
			})
			defer client.Kill()
			rpc, err := client.Client()
			if err != nil {
				t.Fatalf("start: %v", err)
			}
			if err := rpc.Ping(); err != nil {
				t.Errorf("health: %v", err)
			}
			raw, err := rpc.Dispense(shared.PluginName)
			if err != nil {
				t.Fatalf("dispense: %v", err)
			}
			worker := raw.(workerv1.WorkerServiceClient)
			desc, err := worker.Describe(t.Context(), &workerv1.DescribeRequest{})
			if err != nil {
				t.Fatalf("Describe: %v", err)
			}
			reattach := client.ReattachConfig()
			if desc.GetPid() != int64(reattach.Pid) || desc.GetSdk() != SDK {
				t.Errorf("got pid %d, sdk %q; want %d, %q", desc.GetPid(), desc.GetSdk(), reattach.Pid, SDK)
			}
			configure(t, worker, &workerv1.ConfigureRequest{MaxInFlight: calls, HeartbeatMs: 10})
			h := attachTo(t, worker)
			h.call(&workerv1.Call{Id: calls, Command: "output"}, &workerv1.Call{Id: calls + 1, Command: "crash"})
			if got := h.terminal(calls + 1).failure; got.GetType() != "panic" || got.GetMessage() != "boom" {
				t.Errorf("crash: got %v, want the panic", got)
			}
			h.terminal(calls)
			for sent := uint32(1); sent <= calls/window; sent++ {
				batch := make([]*workerv1.Call, window)
				for i := range batch {
					id := (sent-1)*window + uint32(i)
					batch[i] = &workerv1.Call{Id: uint64(id), Command: "ping", Args: fmt.Appendf(nil, `{"i":%d}`, id)}
				}
				h.call(batch...)
				h.until("acknowledgement", func(s *seen) bool { return s.acked == sent+1 })
			}
			h.until("all results and a heartbeat", func(s *seen) bool {
				return len(s.order) == calls+2 && len(s.heartbeats) > 0
			})
			h.check(func(s *seen) {
				t.Logf("%d pings in %d responses", calls, s.responses)
				for id := range uint64(calls) {
					want := fmt.Sprintf(`{"pong":true,"args":{"i":%d},"worker":"qa-1","pid":%d}`, id, desc.GetPid())
					if got := string(s.calls[id].result); got != want {
						t.Fatalf("ping %d: got %s, want %s", id, got, want)
					}
				}
			})
			client.Kill()
			if err := syscall.Kill(reattach.Pid, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("process %d after Kill: got %v, want %v", reattach.Pid, err, syscall.ESRCH)
			}
			if _, err := os.Stat(reattach.Addr.String()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("socket after Kill: got %v, want it removed", err)
			}
			// Kill closes the host's end too: whichever is first.
			if got := status.Code(h.end()); got != codes.Unavailable && got != codes.Canceled {
				t.Errorf("stream after Kill: got %s, want %s or %s", got, codes.Unavailable, codes.Canceled)
			}
			if got := stdout.String(); got != "printed by a command\n" {
				t.Errorf("stdout of the worker: got %q, want what the command printed", got)
			}
			for _, want := range []string{
				`"@message":"logged by a command"`, `"command":"output"`, `"key":"value"`, `"worker":"qa-1"`,
				"/printed/before/serve", // else it would have been the handshake
			} {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr of the worker: got no %s in\n%s", want, stderr.String())
				}
			}
		})
	}
}

func TestShutdownRunsCleanUp(t *testing.T) {
	t.Parallel()
	p := launch(t)
	configure(t, p.client, nil)
	h := attachTo(t, p.client)
	file := filepath.Join(t.TempDir(), "file")
	h.call(&workerv1.Call{Id: 1, Command: "cleanup", Args: fmt.Appendf(nil, `{"File":%q}`, file), Stream: true})
	h.until("start", func(s *seen) bool { return s.calls[1] != nil && len(s.calls[1].chunks) == 1 })
	p.shutdown(t)
	p.wantExit(t)
	if data, err := os.ReadFile(file); string(data) != "clean" {
		t.Errorf("got %q, %v; want the command to have cleaned up", data, err)
	}
}

func TestSIGTERMFinishesRunningCalls(t *testing.T) {
	t.Parallel()
	p := launch(t)
	configure(t, p.client, nil)
	h := attachTo(t, p.client)
	h.call(&workerv1.Call{Id: 1, Command: "stdin"})
	h.until("acknowledgement", func(s *seen) bool { return s.acked == 1 })
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for id := uint64(2); ; id++ { // until the signal has arrived
		h.call(&workerv1.Call{Id: id, Command: "ping"})
		if got := h.terminal(id).refusal; got != nil {
			if got.GetReason() != string(shared.Draining) {
				t.Errorf("got refusal %v, want %s", got, shared.Draining)
			}
			break
		}
	}
	p.stdin.Close()
	if got := string(h.terminal(1).result); got != `"stdin ended"` {
		t.Errorf("got %s, want the running call to finish", got)
	}
	if got := status.Code(h.end()); got != codes.Unavailable {
		t.Errorf("end of the stream: got %s, want %s", got, codes.Unavailable)
	}
	p.wantExit(t)
}

func TestSIGINTIsIgnored(t *testing.T) {
	t.Parallel()
	p := launch(t)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	configure(t, p.client, nil)
	h := attachTo(t, p.client)
	h.call(&workerv1.Call{Id: 1, Command: "ping"})
	h.terminal(1)
	p.shutdown(t)
	p.wantExit(t) // and not by the signal
}

// Nobody reads the pipes of a worker whose host has died.
func TestWorkerOutlivesItsPipes(t *testing.T) {
	t.Parallel()
	p := launch(t)
	configure(t, p.client, nil)
	h := attachTo(t, p.client)
	p.stdout.Close()
	p.stderr.Close()
	for id := range uint64(3) {
		h.call(&workerv1.Call{Id: id, Command: "output"})
		h.terminal(id)
	}
	p.shutdown(t)
	p.wantExit(t)
}

func TestOrphanExits(t *testing.T) {
	t.Parallel()
	t.Run("without any host", func(t *testing.T) {
		t.Parallel()
		p := launch(t, "DSPEX_ORPHAN_GRACE=0.1")
		p.wantExit(t)
	})
	t.Run("after its host", func(t *testing.T) {
		t.Parallel()
		p := launch(t, "DSPEX_ORPHAN_GRACE=2")
		configure(t, p.client, nil)
		h := attachTo(t, p.client)
		h.call(&workerv1.Call{Id: 1, Command: "ping"})
		h.terminal(1)
		h.cancel()
		p.wantExit(t)
	})
}

func TestMessageLimitOfTheEnvironment(t *testing.T) {
	t.Parallel()
	args := fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat("x", 3<<20))
	for limit, want := range map[string]codes.Code{"1000000": codes.ResourceExhausted, "3000000": codes.OK} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			p := launch(t, "DSPEX_MAX_MESSAGE="+limit)
			configure(t, p.client, nil)
			h := attachTo(t, p.client)
			h.call(&workerv1.Call{Id: 1, Command: "ping", Args: args})
			got := codes.OK
			h.until("an answer", func(s *seen) bool {
				if s.ended {
					got = status.Code(s.err)
				}
				return s.ended || len(s.order) == 1
			})
			if got != want {
				t.Errorf("3 MiB with a limit of %s bytes: got %s, want %s", limit, got, want)
			}
		})
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mode string
		env  []string
		want string
	}{
		"by hand":       {"ok", nil, "serve worker \"acme\": no host started this program: name it in a pool\n\n    pool \"my-pool\" {\n      command = ["},
		"bad app":       {"bad-app", []string{cookie()}, `serve worker "acme": add command "no good": must match`},
		"bad grace":     {"ok", []string{cookie(), "DSPEX_ORPHAN_GRACE=soon"}, `serve worker "acme": read DSPEX_ORPHAN_GRACE "soon": want a number of seconds: `},
		"bad max bytes": {"ok", []string{cookie(), "DSPEX_MAX_MESSAGE=-5"}, `serve worker "acme": read DSPEX_MAX_MESSAGE "-5": want a number of bytes: out of range`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := workerCommand(t, test.mode, test.env...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("got %v, want exit status 1", err)
			}
			if !strings.Contains(stderr.String(), test.want) {
				t.Errorf("stderr: got %q, want %q", stderr.String(), test.want)
			}
		})
	}
}

// A worker leaves nothing listening: its address is refused after the end.
func TestNothingListensAfterTheEnd(t *testing.T) {
	t.Parallel()
	p := launch(t)
	p.shutdown(t)
	p.wantExit(t)
	if conn, err := net.Dial("unix", p.socket); err == nil {
		conn.Close()
		t.Error("got a connection to a worker that has ended")
	}
}
