package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests. It is no measure of speed.
const patience = 3 * time.Minute

// binary is the dspex under test, built once.
var binary string

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "dspex-it")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if os.Getenv("DSPEX_PYTHON_DIR") == "" {
		// Shared by all runs: it is content-addressed.
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = dir
		}
		os.Setenv("DSPEX_PYTHON_DIR", filepath.Join(cache, "dspex-test", "python"))
	}
	binary = filepath.Join(dir, "dspex")
	build := exec.Command("go", "build", "-o", binary, "../cmd/dspex")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build dspex: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// needPython skips a test where no Python is, except where one is required.
func needPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("DSPEX_REQUIRE_PYTHON") == "" {
		t.Skip("no python3 on PATH")
	}
}

// server is a running `dspex serve`.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string
	url  string
	log  *output
	done chan struct{}
	err  error // immutable after done
}

// output collects what a process writes and lets tests wait for a line.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer  // guarded by mu
	grown chan struct{} // guarded by mu; closed and replaced at each write
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	close(o.grown)
	o.grown = make(chan struct{})
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// match waits until the text matches and returns the groups.
func (o *output) match(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		found, grown := re.FindStringSubmatch(o.text.String()), o.grown
		o.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("no %q in the output:\n%s", pattern, o)
		}
	}
}

// shortDir makes a folder whose path leaves room for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "it")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// serve starts a host with the given configuration, on a free port and folders
// of its own, and waits until it listens. It is stopped at the end of the test.
func serve(t *testing.T, hcl string, env ...string) *server {
	t.Helper()
	s := launch(t, shortDir(t), hcl, env...)
	s.url = "http://" + s.address()
	return s
}

// ready is serve, and waits until every pool is ready.
func ready(t *testing.T, hcl string, env ...string) *server {
	t.Helper()
	s := serve(t, hcl, env...)
	s.until("the host is ready", func() bool {
		status, _ := s.get("/readyz")
		return status == http.StatusOK
	})
	return s
}

// launch starts a host in a folder without waiting.
func launch(t *testing.T, dir, hcl string, env ...string) *server {
	t.Helper()
	path := filepath.Join(dir, "pools.hcl")
	listener := "\nlistener \"tcp\" \"test\" {\n  address = \"127.0.0.1:" + strconv.Itoa(freePort(t)) + "\"\n}\nlistener \"unix\" \"test\" {}\n"
	if strings.Contains(hcl, "listener ") {
		listener = ""
	}
	if err := os.WriteFile(path, []byte(hcl+listener), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, env, "serve", "-c", path)
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log of the host:\n%s", s.log)
		}
		s.noneLeft()
	})
	return s
}

// address waits until the host listens on TCP.
func (s *server) address() string {
	s.t.Helper()
	return s.log.match(s.t, `(127\.0\.0\.1:\d+)`)[1]
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// stop ends the host with SIGTERM and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.done
		s.t.Error("the host did not end after SIGTERM")
	}
}

// noneLeft checks that no process is left that has the host's run folder in its
// environment.
func (s *server) noneLeft() {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := processesOf(filepath.Join(s.dir, "run"))
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("processes left behind: %v", left)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// processesOf lists the processes, other than zombies, whose environment names
// a folder.
func processesOf(folder string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		environ, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && bytes.Contains(environ, []byte(folder)) {
			cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
			found = append(found, e.Name()+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return found
}

// until waits for a condition of the host, which must stay alive.
func (s *server) until(what string, condition func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(10 * time.Millisecond); !condition(); {
		select {
		case <-tick.C:
		case <-s.done:
			s.t.Fatalf("the host ended (%v) before %s:\n%s", s.err, what, s.log)
		case <-deadline:
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// do sends a request and returns status and body.
func (s *server) do(method, path string, body any, header ...string) (int, map[string]any, http.Header) {
	s.t.Helper()
	status, raw, h := s.raw(method, path, body, header...)
	var decoded map[string]any
	if len(raw) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&decoded); err != nil {
			s.t.Fatalf("%s %s: answer is no JSON object: %q", method, path, raw)
		}
	}
	return status, decoded, h
}

func (s *server) raw(method, path string, body any, header ...string) (int, []byte, http.Header) {
	s.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		r = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, raw, resp.Header
}

// get is for use in conditions: it does not fail the test.
func (s *server) get(path string) (int, string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw)
}

// call runs a command and returns its result, which must succeed.
func (s *server) call(pool, command string, args any) any {
	s.t.Helper()
	status, body, _ := s.do(http.MethodPost, "/v1/pools/"+pool+"/call", map[string]any{"command": command, "args": args})
	if status != http.StatusOK {
		s.t.Fatalf("call %s: status %d, %v", command, status, body)
	}
	return body["result"]
}

// fails sends a request that must fail with a reason, and returns the error.
func (s *server) fails(wantStatus int, wantReason, method, path string, body any, header ...string) map[string]any {
	s.t.Helper()
	status, answer, _ := s.do(method, path, body, header...)
	e, _ := answer["error"].(map[string]any)
	if status != wantStatus || e["reason"] != wantReason {
		s.t.Errorf("%s %s: status %d, error %v; want %d %s", method, path, status, e, wantStatus, wantReason)
		return map[string]any{}
	}
	for _, key := range []string{"code", "message", "retryable", "may_have_run"} {
		if _, ok := e[key]; !ok {
			s.t.Errorf("%s %s: the error has no %q: %v", method, path, key, e)
		}
	}
	return e
}

// workers returns the workers of a pool.
func (s *server) workers(pool string) []map[string]any {
	s.t.Helper()
	_, body, _ := s.do(http.MethodGet, "/v1/pools/"+pool+"/workers", nil)
	var all []map[string]any
	for _, w := range body["workers"].([]any) {
		all = append(all, w.(map[string]any))
	}
	return all
}

func number(t *testing.T, v any) int {
	t.Helper()
	n, ok := v.(json.Number)
	if !ok {
		t.Fatalf("%v (%T) is no number", v, v)
	}
	i, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return int(i)
}

// cli runs the command line against the host.
func (s *server) cli(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return runCLI(s.t, []string{"DSPEX_RUN_DIR=" + filepath.Join(s.dir, "run"), "DSPEX_DATA_DIR=" + filepath.Join(s.dir, "data")}, args...)
}

func runCLI(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("dspex %v: %v", args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// fakeLM starts `dspex fakelm` and returns its base URL.
func fakeLM(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"fakelm", "--addr", "127.0.0.1:0"}, args...)...)
	log := newOutput()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return log.match(t, `(http://127\.0\.0\.1:\d+)`)[1]
}

// sse reads a stream of server-sent events as "event data" lines.
func sse(t *testing.T, r io.Reader) []string {
	t.Helper()
	var events []string
	event := ""
	for lines := bufio.NewScanner(r); lines.Scan(); {
		switch key, value, _ := strings.Cut(lines.Text(), ": "); key {
		case "event":
			event = value
		case "data":
			events = append(events, event+" "+value)
		}
	}
	return events
}

// start runs the command line in the background, in a host's folders.
func start(t *testing.T, dir string, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, log: newOutput(), done: make(chan struct{})}
	s.cmd = exec.Command(binary, args...)
	s.cmd.Env = append(os.Environ(), append(env, "DSPEX_DATA_DIR="+filepath.Join(dir, "data"), "DSPEX_RUN_DIR="+filepath.Join(dir, "run"))...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.err = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.stop)
	return s
}
