package proc

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// start runs a shell script as a process.
func start(t *testing.T, script string, log hclog.Logger) *Process {
	t.Helper()
	p := New(Spec{Name: "w", Argv: []string{"/bin/sh", "-c", script}, Env: os.Environ(), Log: log}, Exec{})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill(context.Background()) })
	return p
}

func waitExited(t *testing.T, p *Process) {
	t.Helper()
	select {
	case <-p.Exited():
	case <-time.After(20 * time.Second):
		t.Fatal("process did not end")
	}
}

func firstLine(t *testing.T, p *Process) string {
	t.Helper()
	line, err := bufio.NewReader(p.Stdout()).ReadString('\n')
	if err != nil {
		t.Fatalf("read stdout: %v", err)
	}
	return strings.TrimSpace(line)
}

func TestExitIsSeenThoughGrandchildHoldsPipes(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "pid")
	p := start(t, "sleep 1000 & echo $! > "+pidFile+"; echo '1|1|unix|/x|grpc'; kill -9 $$", nil)
	waitExited(t, p)
	if got, want := p.Status(), "signal: killed"; got != want {
		t.Errorf("Status() = %q, want %q", got, want)
	}
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(raw)))
	waitGone(t, pid)
}

// waitGone waits until the process has ended: a zombie that init has not reaped
// counts as gone.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		if fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:])); len(fields) > 0 && fields[0] == "Z" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestOutputIsDrained(t *testing.T) {
	t.Parallel()
	// Without a newline, and far more than a pipe holds.
	p := start(t, `echo '1|1|unix|/x|grpc'; head -c 3000000 /dev/zero | tr '\0' a; head -c 3000000 /dev/zero >&2; exit 7`, nil)
	waitExited(t, p)
	if got, want := p.Status(), "exit status 7"; got != want {
		t.Errorf("Status() = %q, want %q", got, want)
	}
}

func TestSignalAfterExitIsRefused(t *testing.T) {
	t.Parallel()
	p := start(t, "exit 0", nil)
	waitExited(t, p)
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal() = %v, want os.ErrProcessDone", err)
	}
	if err := p.Kill(t.Context()); err != nil {
		t.Errorf("Kill() = %v, want nil", err)
	}
}

func TestKillEndsAStoppedProcess(t *testing.T) {
	t.Parallel()
	p := start(t, "echo '1|1|unix|/x|grpc'; kill -STOP $$", nil)
	firstLine(t, p)
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitExited(t, p)
}

func TestKillBeforeStart(t *testing.T) {
	t.Parallel()
	p := New(Spec{Name: "w", Argv: []string{"/bin/true"}}, Exec{})
	if err := p.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("Start() after Kill() = nil, want an error")
	}
	waitExited(t, p)
}

func TestStartFailure(t *testing.T) {
	t.Parallel()
	p := New(Spec{Name: "w", Argv: []string{"/does/not/exist"}}, Exec{})
	if err := p.Start(t.Context()); err == nil {
		t.Fatal("Start() = nil, want an error")
	}
	waitExited(t, p)
	if p.ID() == "" {
		t.Error("ID() is empty")
	}
}

func TestHandshakeIsSanitised(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"good", "1|1|unix|/run/x/s|grpc", "1|1|unix|/run/x/s|grpc"},
		{"empty certificate", "1|1|unix|/s|grpc||true", "1|1|unix|/s|grpc|"},
		{"certificate", "1|1|unix|/s|grpc|" + strings.Repeat("A", 60), "handshake with a certificate, which this host did not ask for"},
		{"text", "hello\x1b[31m", `not a handshake: hello\x1b[31m`},
		{"nul", "1|1|unix|\x00|grpc", `unreadable: 1|1|unix|\x00|grpc`},
	} {
		if got := string(sanitiseHandshake([]byte(tc.in))); got != tc.want {
			t.Errorf("%s: sanitiseHandshake(%q) = %q, want %q", tc.name, tc.in, got, tc.want)
		}
	}
}

func TestAddressOutsideFolderIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		network, address string
		ok               bool
	}{
		{"unix", "/run/w/s.sock", true},
		{"unix", "/run/w/../s.sock", false},
		{"unix", "/run/w/deep/s.sock", false},
		{"unix", "/etc/s.sock", false},
		{"unix", "/run/w/" + strings.Repeat("s", 120), false},
		{"tcp", "10.0.0.5:80", false},
	} {
		if err := checkAddress("/run/w", tc.network, tc.address); (err == nil) != tc.ok {
			t.Errorf("checkAddress(%s %s) = %v, want ok %t", tc.network, tc.address, err, tc.ok)
		}
	}
}

// sink collects log lines.
type sink struct {
	mu    sync.Mutex
	lines []string
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(b))
	return len(b), nil
}

func TestLogLineCannotForge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, want string }{
		{"json", `{"@level":"warning","@message":"slow","@timestamp":"x","call":7}`, "[WARN]  slow: call=7\n"},
		{"level is no string", `{"@level":30,"@message":"m"}`, "[INFO]  m\n"},
		{"message is null", `{"@level":"info","@message":null}`, `[DEBUG] {"@level":"info","@message":null}` + "\n"},
		{"key forges a level", `{"@message":"m","@@level":"error","@module":"x"}`, "[INFO]  m: level=error module=x\n"},
		{"line break", `{"@message":"a\nT [ERROR] forged"}`, `[INFO]  a\nT [ERROR] forged` + "\n"},
		{"escape sequence", "\x1b[31mred", `[DEBUG] \x1b[31mred` + "\n"},
		{"invalid text", "\xff\xfe", `[DEBUG] \xff\xfe` + "\n"},
		{"broken json", `{"@message":`, `[DEBUG] {"@message":` + "\n"},
	} {
		out := &sink{}
		log := hclog.New(&hclog.LoggerOptions{Output: out, Level: hclog.Trace, DisableTime: true})
		logLine(log, []byte(tc.in))
		if got := strings.Join(out.lines, ""); got != tc.want {
			t.Errorf("%s: logged %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestDiagnoseShowsLastOutput(t *testing.T) {
	t.Parallel()
	p := start(t, `echo "ModuleNotFoundError: No module named 'acme'" >&2; exit 3`, nil)
	waitExited(t, p)
	got := p.Diagnose(t.Context())
	for _, want := range []string{"exit status 3", "No module named 'acme'"} {
		if !strings.Contains(got, want) {
			t.Errorf("Diagnose() = %q, want it to contain %q", got, want)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add([]byte("1|1|unix|/x|grpc"))
	f.Add([]byte("1|1|unix|/x|grpc|AAAA|true"))
	f.Fuzz(func(t *testing.T, line []byte) {
		got := string(sanitiseHandshake(line))
		if strings.ContainsAny(got, "\n\x00") && !strings.ContainsAny(string(line), "\n") {
			t.Errorf("sanitiseHandshake(%q) = %q holds a control character", line, got)
		}
		if f := strings.Split(got, "|"); len(f) >= 6 && f[0] == "1" && f[5] != "" {
			t.Errorf("sanitiseHandshake(%q) = %q holds a certificate", line, got)
		}
	})
}
