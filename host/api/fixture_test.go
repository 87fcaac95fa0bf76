package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/shared"
)

// fixture is a server on a TCP port and a unix socket, with clients of both.
type fixture struct {
	*fake
	server *Server
	url    string
	socket string
	logs   *lockedBuffer
	tcp    *http.Client
	unix   *http.Client
}

// start serves a fake until the test ends.
func start(t *testing.T, f *fake, options Options) *fixture {
	t.Helper()
	x := &fixture{fake: f, socket: filepath.Join(t.TempDir(), "s"), logs: new(lockedBuffer)}
	options.Listeners = []Listener{
		{Name: "tcp", Network: "tcp", Address: "127.0.0.1:0"},
		{Name: "unix", Network: "unix", Address: x.socket},
	}
	options.Log = hclog.New(&hclog.LoggerOptions{Output: x.logs, Level: hclog.Debug})
	var err error
	if x.server, err = New(f, options); err != nil {
		t.Fatalf("New: %v", err)
	}
	if err := x.server.Listen(); err != nil {
		t.Fatalf("Listen: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- x.server.Serve(context.Background()) }()
	x.url = x.server.Addrs()[0].URL()
	x.tcp = &http.Client{Transport: &http.Transport{}}
	x.unix = &http.Client{Transport: unixTransport(x.socket)}
	t.Cleanup(func() {
		x.tcp.CloseIdleConnections()
		x.unix.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := x.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return x
}

func unixTransport(socket string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
}

// answer is what a REST request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request over TCP. Headers are "Name: value".
func (x *fixture) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	return send(t, x.tcp, method, x.url+path, strings.NewReader(body), headers...)
}

func send(t *testing.T, client *http.Client, method, url string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, clip(url), err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read answer of %s %s: %v", method, clip(url), err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// failure reads the error of an answer, and checks its shape.
func (a answer) failure(t *testing.T) errorBody {
	t.Helper()
	var out struct {
		Error struct {
			errorBody
			RetryAfterMS *float64 `json:"retry_after_ms"`
		} `json:"error"`
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		t.Fatalf("status %d: body is no error: %v\n%s", a.status, err, a.body)
	}
	if got, want := a.header.Get("Content-Type"), "application/json"; got != want {
		t.Errorf("content type = %q, want %q", got, want)
	}
	e := out.Error.errorBody
	if e.Code == "" || e.Reason == "" || e.Message == "" || e.MayHaveRun == "" {
		t.Errorf("error lacks a member: %s", a.body)
	}
	return e
}

// fails checks the status and the reason of an answer.
func (a answer) fails(t *testing.T, status int, reason shared.Reason) errorBody {
	t.Helper()
	e := a.failure(t)
	if a.status != status || e.Reason != string(reason) {
		t.Errorf("got %d %s, want %d %s\n%s", a.status, e.Reason, status, reason, a.body)
	}
	return e
}

// lockedBuffer is a buffer that a log may be written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
