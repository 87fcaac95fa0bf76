package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dspex/dspex/shared"
)

func TestBrowsersOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{AllowedHosts: []string{"dspex.example:80"}})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(x.url, "http://"))
	tests := []struct {
		name    string
		headers []string
		refused bool
	}{
		{"curl", nil, false},
		{"cross-site", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, true},
		{"same-site", []string{"Sec-Fetch-Site: same-site"}, true},
		{"same origin", []string{"Sec-Fetch-Site: same-origin"}, false},
		{"typed in", []string{"Sec-Fetch-Site: none"}, false},
		{"old browser, other origin", []string{"Origin: https://evil.example"}, true},
		{"old browser, no origin", []string{"Origin: null"}, true},
		{"old browser, same origin", []string{"Origin: " + x.url}, false},
		{"form", []string{"Sec-Fetch-Site: cross-site", "Content-Type: text/plain"}, true},

		{"rebound name", []string{"Host: evil.example"}, true},
		{"rebound name with port", []string{"Host: evil.example:" + port}, true},
		{"rebound and same origin", []string{"Host: evil.example", "Sec-Fetch-Site: same-origin", "Origin: http://evil.example"}, true},
		{"name with localhost in it", []string{"Host: localhost.evil.example"}, true},
		{"other address", []string{"Host: 10.1.2.3"}, true},
		{"localhost", []string{"Host: localhost"}, false},
		{"LOCALHOST.", []string{"Host: LOCALHOST.:80"}, false},
		{"IPv4", []string{"Host: 127.0.0.1:1"}, false},
		{"IPv6", []string{"Host: [::1]:9"}, false},
		{"IPv6, no port", []string{"Host: [::1]"}, false},
		{"allowed", []string{"Host: dspex.example"}, false},
	}
	for _, path := range []string{"/v1/pools/qa/call", "/dspex.api.v1.PoolService/Call"} {
		for _, test := range tests {
			headers := append([]string{"Content-Type: application/json"}, test.headers...)
			body := `{"pool":"qa","command":"ping"}`
			if strings.HasPrefix(path, "/v1") {
				body, headers = `{"command":"ping"}`, test.headers
			}
			a := x.do(t, "POST", path, body, headers...)
			if !test.refused {
				if a.status != 200 {
					t.Errorf("%s %s: status = %d, want 200\n%s", path, test.name, a.status, a.body)
				}
				continue
			}
			if a.status != 403 || !strings.Contains(a.body, "refused") {
				t.Errorf("%s %s: status = %d, want 403\n%s", path, test.name, a.status, a.body)
			}
			if strings.HasPrefix(path, "/v1") {
				if e := a.fails(t, 403, shared.Forbidden); e.Hint == "" {
					t.Errorf("%s: no hint", test.name)
				}
			}
			if a := send(t, x.unix, "POST", "http://evil.example"+path, strings.NewReader(body), headers...); a.status != 200 {
				t.Errorf("%s %s over the unix socket: status = %d, want 200", path, test.name, a.status)
			}
		}
	}
	// Reading is a matter of the Host header alone.
	x.do(t, "GET", "/v1/sessions", "", "Host: evil.example").fails(t, 403, shared.Forbidden)
}

// chunked hides the length of a body.
type chunked struct{ io.Reader }

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	x := start(t, newFake(), Options{MaxBody: limit})
	frame := func(size int) string {
		const start, end = `{"command":"ping","args":{"x":"`, `"}}`
		return start + strings.Repeat("x", size-len(start)-len(end)) + end
	}
	for _, proto := range []string{"h1", "h2"} {
		client := clientOf(t, proto)
		for _, test := range []struct {
			size int
			want int
		}{{limit, 200}, {limit + 1, 413}, {40 * limit, 413}} {
			for _, hidden := range []bool{false, true} {
				var body io.Reader = strings.NewReader(frame(test.size))
				if hidden {
					body = chunked{body}
				}
				a := send(t, client, "POST", x.url+"/v1/pools/qa/call", body)
				if a.status != test.want {
					t.Errorf("%s: %d bytes, chunked %v: status = %d, want %d", proto, test.size, hidden, a.status, test.want)
				}
				if test.want == 413 {
					a.fails(t, 413, shared.PayloadTooLarge)
				}
			}
		}
	}
	if got := x.server.inFlight.Load(); got != 0 {
		t.Errorf("%d bytes are still in flight", got)
	}
}

// TestAnnouncedLengthIsEnough checks that a body which is too large is refused
// before any of it is sent.
func TestAnnouncedLengthIsEnough(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{BodyTimeout: time.Hour})
	conn := dial(t, x)
	fmt.Fprintf(conn, "POST /v1/pools/qa/call HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", 1<<30)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("status = %d, want 413", res.StatusCode)
	}
}

func TestBytesInFlightAreBounded(t *testing.T) {
	t.Parallel()
	f := newFake()
	began, finish := make(chan bool), make(chan bool)
	f.call = func(context.Context, shared.CallRequest) (*shared.CallResult, error) {
		began <- true
		<-finish
		return &shared.CallResult{}, nil
	}
	x := start(t, f, Options{MaxBody: 1000, MaxInFlight: 1500})
	body := `{"command":"ping","args":{"x":"` + strings.Repeat("x", 900) + `"}}`
	first := make(chan answer)
	go func() { first <- x.do(t, "POST", "/v1/pools/qa/call", body) }()
	<-began
	a := x.do(t, "POST", "/v1/pools/qa/call", body)
	a.fails(t, 429, shared.QueueFull)
	if got := a.header.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After = %q, want 1", got)
	}
	send(t, x.tcp, "POST", x.url+"/v1/pools/qa/call", chunked{strings.NewReader(body)}).fails(t, 429, shared.QueueFull)
	if a := x.do(t, "GET", "/v1/pools", ""); a.status != 200 {
		t.Errorf("GET = %d, want 200", a.status)
	}
	close(finish)
	if a := <-first; a.status != 200 {
		t.Errorf("first call = %d, want 200", a.status)
	}
	go func() { <-began }()
	if a := x.do(t, "POST", "/v1/pools/qa/call", body); a.status != 200 {
		t.Errorf("call after it = %d, want 200", a.status)
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{BodyTimeout: 20 * time.Millisecond})
	const json = "Content-Type: application/json\r\n"
	for _, test := range []struct{ name, path, headers, begin, want string }{
		{"begun", "/v1/pools/qa/call", "Content-Length: 100\r\n", "{", "did not arrive in time: 1 bytes"},
		{"not begun", "/v1/pools/qa/call", "Content-Length: 100\r\n", "", "did not arrive in time: 0 bytes"},
		{"chunked", "/v1/pools/qa/call", "Transfer-Encoding: chunked\r\n", "1\r\n{\r\n", "did not arrive in time: 1 bytes"},
		{"RPC", "/dspex.api.v1.PoolService/Call", json + "Content-Length: 100\r\n", "{", "did not arrive in time: 1 bytes"},
		{"RPC not begun", "/dspex.api.v1.PoolService/Call", json + "Content-Length: 100\r\n", "", "did not arrive in time: 0 bytes"},
		// net/http reads the rest before it answers.
		{"nobody wants it", "/nope", "Transfer-Encoding: chunked\r\n", "1\r\n{\r\n", pathNotFound},
		{"refused", "/v1/pools/qa/call", "Sec-Fetch-Site: cross-site\r\nTransfer-Encoding: chunked\r\n", "", "FORBIDDEN"},
	} {
		conn := dial(t, x)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s", test.path, test.headers, test.begin)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		b, _ := io.ReadAll(res.Body)
		if !strings.Contains(string(b), test.want) {
			t.Errorf("%s: status %d, %s, want %q", test.name, res.StatusCode, b, test.want)
		}
		_ = res.Body.Close()
	}
}

// TestConnectionOutlivesTheBodyTimeout checks that neither deadline of one request
// ends a later one, or the call itself.
func TestConnectionOutlivesTheBodyTimeout(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.call = func(ctx context.Context, _ shared.CallRequest) (*shared.CallResult, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(60 * time.Millisecond): // longer than either timeout
			return &shared.CallResult{}, nil
		}
	}
	x := start(t, f, Options{BodyTimeout: 20 * time.Millisecond, WriteTimeout: 20 * time.Millisecond})
	for range 3 {
		if a := x.do(t, "POST", "/v1/pools/qa/call", `{"command":"ping"}`); a.status != 200 {
			t.Fatalf("status = %d, want 200\n%s", a.status, a.body)
		}
	}
}

func TestPanicBecomesInternal(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.call = func(context.Context, shared.CallRequest) (*shared.CallResult, error) { panic("boom") }
	x := start(t, f, Options{})
	e := x.do(t, "POST", "/v1/pools/qa/call", `{"command":"ping"}`).fails(t, 500, shared.Internal)
	if e.MayHaveRun != shared.RunMaybe || strings.Contains(e.Message, "boom") {
		t.Errorf("error = %+v, want maybe and nothing of the inside", e)
	}
	a := x.do(t, "POST", "/dspex.api.v1.PoolService/Call", `{"command":"ping"}`, "Content-Type: application/json")
	if a.status != 500 || !strings.Contains(a.body, `"code":"internal"`) {
		t.Errorf("connect: status %d, %s, want internal", a.status, a.body)
	}
	if got := strings.Count(x.logs.String(), "boom"); got < 2 {
		t.Errorf("the log has %d panics, want 2:\n%s", got, x.logs.String())
	}
	if a := x.do(t, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("/healthz = %d after the panic, want 200", a.status)
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	a := x.do(t, "GET", "/healthz", "", "X-Big: "+strings.Repeat("x", 80<<10))
	if a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status = %d, want 431", a.status)
	}
	if a := x.do(t, "GET", "/healthz", "", "X-Big: "+strings.Repeat("x", 50<<10)); a.status != 200 {
		t.Errorf("status = %d, want 200", a.status)
	}
}

func dial(t *testing.T, x *fixture) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
