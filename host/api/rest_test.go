package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

// exchange is one request and what is expected of its answer.
type exchange struct {
	method, path, body string
	headers            []string
	status             int
	// want is the JSON of the answer, or "" if it does not matter.
	want string
	// header, "Name: value", must be in the answer.
	header string
}

const sessionJSON = `{"id":"u1","data":{"n":1},"ttl":"1h","revision":1,
	"created_at":"2026-11-23T12:00:00Z","updated_at":"2026-11-23T12:00:00Z","expires_at":"2026-11-23T13:00:00Z","programs":[]}`

const programJSON = `{"name":"qa","revision":1,"hash":"00ff",
	"spec":{"module":"Predict","signature":{"inputs":[{"name":"question","type":"str"}],"outputs":[{"name":"answer","type":"str"}]}},
	"created_at":"2026-11-23T12:00:00Z","updated_at":"2026-11-23T12:00:00Z"}`

const statsJSON = `{"workers":2,"ready":2,"available":1,"busy":1,"slots":4,"in_flight":3,"queued":0,"requests":10,"errors":1,
	"queue_timeouts":0,"rejected":0,"restarts":0,
	"run":{"count":9,"p50_ms":1.5,"p95_ms":0,"p99_ms":0,"max_ms":1000},
	"queue_wait":{"count":0,"p50_ms":0,"p95_ms":0,"p99_ms":0,"max_ms":0}}`

const poolJSON = `{"name":"qa","description":"answers","status":"ready","stats":` + statsJSON + `,
	"health":{"level":"warning","findings":["1 of 10 calls failed"]},
	"commands":[{"name":"ping","doc":"Answers.","args_schema":{"type":"object"}}]}`

const workersJSON = `{"workers":[
	{"id":"qa-1","pool":"qa","state":"ready","generation":2,"pid":42,"slots":2,"in_flight":0,"calls":0,"errors":0,"restarts":0,
	 "started_at":"2026-11-23T12:00:00Z","start_time_ms":0,"rss_bytes":1048576,"lag_ms":0.25,"versions":{"python":"3.11"},"launch":"exec"},
	{"id":"qa-2","pool":"qa","state":"starting","generation":0,"pid":0,"slots":0,"in_flight":0,"calls":0,"errors":0,"restarts":0,
	 "start_time_ms":0,"rss_bytes":0,"lag_ms":0,"versions":{}}]}`

// story visits every route, in an order in which each finds what it needs.
var story = []exchange{
	{
		method: "POST", path: "/v1/pools/qa/call", body: `{"command":"ping","args":{"x":1.50,"big":12345678901234567890}}`, status: 200,
		want: `{"result":{"command":"ping","args":{"x":1.50,"big":12345678901234567890}},"worker":"qa-1","queue_ms":1.5,"run_ms":20}`,
	},
	{method: "POST", path: "/v1/pools/qa/call", body: `{"command":"ping","args":null,"session":null,"timeout":null,"idempotent":null,"session_data":null}`, status: 200},
	{method: "GET", path: "/v1/pools", status: 200, want: `{"pools":[` + poolJSON + `]}`},
	{method: "GET", path: "/v1/pools/qa", status: 200, want: poolJSON},
	{method: "HEAD", path: "/v1/pools/qa", status: 200},
	{method: "GET", path: "/v1/pools/nope", status: 404},
	{method: "GET", path: "/v1/pools/qa/workers", status: 200, want: workersJSON},
	{method: "GET", path: "/v1/pools/nope/workers", status: 404},
	{method: "GET", path: "/v1/workers", status: 200, want: workersJSON},
	{method: "GET", path: "/v1/stats", status: 200, want: `{"version":"1.2.3","host":"h","uptime_ms":60000,"pools":{"qa":` + statsJSON + `},
		"sessions":{"sessions":0,"programs":0,"global_programs":0,"expired":0,"bytes":0}}`},

	{method: "GET", path: "/v1/sessions/u1", status: 404},
	{method: "PUT", path: "/v1/sessions/u1", body: `{"data":{"n":1},"ttl":"1h"}`, status: 201, want: sessionJSON, header: `Etag: "1"`},
	{method: "GET", path: "/v1/sessions/u1", status: 200, want: sessionJSON, header: `Etag: "1"`},
	{method: "GET", path: "/v1/sessions/u1", headers: []string{`If-None-Match: "1"`}, status: 304, header: `Etag: "1"`},
	{method: "GET", path: "/v1/sessions/u1", headers: []string{`If-None-Match: "7", W/"1"`}, status: 304},
	{method: "GET", path: "/v1/sessions/u1", headers: []string{`If-None-Match: *`}, status: 304},
	{method: "GET", path: "/v1/sessions/u1", headers: []string{`If-None-Match: "2"`}, status: 200},
	{method: "PUT", path: "/v1/sessions/u1", headers: []string{`If-None-Match: *`}, status: 412},
	{method: "PUT", path: "/v1/sessions/u1", headers: []string{`If-Match: "9"`}, status: 412},
	{method: "PUT", path: "/v1/sessions/u1", headers: []string{`If-Match: "1"`}, body: `{}`, status: 200, header: `Etag: "2"`},
	{method: "PUT", path: "/v1/sessions/u1", headers: []string{`If-Match: *`}, status: 200, header: `Etag: "3"`},
	{method: "PUT", path: "/v1/sessions/u2", headers: []string{`If-Match: *`}, status: 412},
	{method: "PUT", path: "/v1/sessions/u2", headers: []string{`If-None-Match: *`}, status: 201},
	{method: "PATCH", path: "/v1/sessions/u1", headers: []string{`If-Match: 3`}, body: `{"data":{"m":2},"ttl":"36h"}`, status: 200, header: `Etag: "4"`},
	{method: "PATCH", path: "/v1/sessions/u1", headers: []string{`If-Match: "3"`}, body: `{"data":{}}`, status: 412},
	{method: "PATCH", path: "/v1/sessions/u1", headers: []string{`If-Match: *`}, status: 200, header: `Etag: "5"`},
	{method: "PATCH", path: "/v1/sessions/u9", headers: []string{`If-Match: *`}, status: 412},
	{method: "PATCH", path: "/v1/sessions/u9", status: 404},
	{method: "PATCH", path: "/v1/sessions/u1", headers: []string{`If-None-Match: *`}, status: 400},
	{method: "GET", path: "/v1/sessions?prefix=u&limit=1", status: 200, want: `{"sessions":[{"id":"u1","ttl":"36h","revision":5,
		"created_at":"2026-11-23T12:00:00Z","updated_at":"2026-11-23T12:00:00Z","expires_at":"2026-11-23T13:00:00Z","programs":[]}],"more":true}`},
	{method: "GET", path: "/v1/sessions?prefix=x", status: 200, want: `{"sessions":[],"more":false}`},
	{method: "PUT", path: "/v1/sessions/a%3Ab%40c", status: 201},
	{method: "GET", path: "/v1/sessions/a:b@c", status: 200},
	{method: "PUT", path: "/v1/sessions/a%2Fb", status: 400},
	{method: "PUT", path: "/v1/sessions/%2e%2e", status: 400},

	{method: "PUT", path: "/v1/programs/qa", body: `{"signature":"question -> answer"}`, status: 201, want: programJSON, header: `Etag: "1"`},
	{method: "GET", path: "/v1/programs/qa", status: 200, want: programJSON, header: `Etag: "1"`},
	{method: "GET", path: "/v1/programs/qa", headers: []string{`If-None-Match: "1"`}, status: 304},
	{method: "GET", path: "/v1/programs", status: 200, want: `{"programs":[` + programJSON + `]}`},
	{
		method: "POST", path: "/v1/programs/qa/run", body: `{"inputs":{"question":"why"},"timeout":"2s"}`, status: 200,
		want: `{"outputs":{"question":"why"},"revision":1,"worker":"qa-1","queue_ms":0,"run_ms":1}`,
	},
	{method: "POST", path: "/v1/programs/nope/run", status: 404},
	{method: "POST", path: "/v1/programs/qa/run?stream=1", status: 501},
	{method: "PUT", path: "/v1/sessions/u1/programs/own", headers: []string{`If-None-Match: *`}, body: `{"signature":"a -> b"}`, status: 201, header: `Etag: "1"`},
	{method: "PUT", path: "/v1/sessions/u1/programs/own", headers: []string{`If-None-Match: *`}, body: `{"signature":"a -> b"}`, status: 412},
	{method: "PUT", path: "/v1/sessions/u1/programs/own", headers: []string{`If-Match: *`}, body: `{"signature":"a -> b"}`, status: 200, header: `Etag: "2"`},
	{method: "GET", path: "/v1/sessions/u1/programs/own", status: 200},
	{method: "GET", path: "/v1/sessions/u1/programs", status: 200},
	{method: "GET", path: "/v1/sessions/u9/programs", status: 404},
	{method: "POST", path: "/v1/sessions/u1/programs/qa/run", status: 200},
	{
		method: "POST", path: "/v1/sessions/u1/programs/own/run", body: `{"inputs":{"a":"x"}}`, status: 200,
		want: `{"outputs":{"a":"x"},"revision":2,"worker":"qa-1","queue_ms":0,"run_ms":1}`,
	},
	{method: "DELETE", path: "/v1/sessions/u1/programs/own", headers: []string{`If-Match: "1"`}, status: 412},
	{method: "DELETE", path: "/v1/sessions/u1/programs/own", headers: []string{`If-Match: "2"`}, status: 204},
	{method: "DELETE", path: "/v1/sessions/u1/programs/own", status: 404},
	{method: "DELETE", path: "/v1/programs/qa", status: 204},
	{method: "DELETE", path: "/v1/sessions/u1", headers: []string{`If-Match: "1"`}, status: 412},
	{method: "DELETE", path: "/v1/sessions/u1", headers: []string{`If-None-Match: *`}, status: 400},
	{method: "DELETE", path: "/v1/sessions/u1", status: 204},
	{method: "DELETE", path: "/v1/sessions/u1", headers: []string{`If-Match: *`}, status: 412},
	{method: "DELETE", path: "/v1/sessions/u1", status: 404},

	{method: "GET", path: "/healthz?verbose", status: 200, want: `{"status":"ok"}`},
	{method: "GET", path: "/readyz", status: 200, want: `{"status":"ready","pools":{"qa":{"status":"ready","ready":2,"workers":2}}}`},
	{method: "GET", path: "/openapi.yaml", status: 200, header: "Content-Type: application/yaml"},
}

func TestEveryRoute(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			x := start(t, newFake(), Options{})
			client, url := x.tcp, x.url
			if network == "unix" {
				client, url = x.unix, "http://anything"
			}
			visited := map[string]bool{}
			for _, e := range story {
				got := send(t, client, e.method, url+e.path, strings.NewReader(e.body), e.headers...)
				name := e.method + " " + e.path + " " + strings.Join(e.headers, " ")
				if got.status != e.status {
					t.Errorf("%s: status = %d, want %d\n%s", name, got.status, e.status, got.body)
					continue
				}
				if got.status >= 400 {
					got.failure(t)
				}
				if e.want != "" {
					if diff := cmp.Diff(parse(t, e.want), parse(t, got.body)); diff != "" {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				}
				if key, value, _ := strings.Cut(e.header, ": "); e.header != "" && got.header.Get(key) != value {
					t.Errorf("%s: %s = %q, want %q", name, key, got.header.Get(key), value)
				}
				r, _ := http.NewRequest(e.method, "http://localhost"+e.path, nil)
				_, pattern := x.server.mux.Handler(r)
				visited[pattern] = true
			}
			for _, r := range x.server.routes() {
				if !visited[r.method+" "+r.path] {
					t.Errorf("%s %s was not visited", r.method, r.path)
				}
			}
		})
	}
}

// parse keeps numbers as they were written.
func parse(t *testing.T, s string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("parse %q: %v", s, err)
	}
	return v
}

func TestCallPassesTheRequestOn(t *testing.T) {
	t.Parallel()
	f := newFake()
	got := make(chan shared.CallRequest, 1)
	f.call = func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		got <- req
		return &shared.CallResult{}, nil
	}
	x := start(t, f, Options{})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	args := "{\"a\": 0.10000000000000000000001,\n\"b\": \"<&>\\u00e9\"}"
	a := x.do(t, "POST", "/v1/pools/p/call",
		`{"command":"c","args":`+args+`,"session":"s","session_data":true,"timeout":"1m30s","idempotent":true}`,
		"Content-Type: application/x-www-form-urlencoded", "Traceparent: "+trace)
	want := shared.CallRequest{
		Pool: "p", Command: "c", Args: json.RawMessage(args), Session: "s", SessionData: true,
		Timeout: 90 * time.Second, Idempotent: true, Traceparent: trace,
	}
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if want := `{"result":null,"worker":"","queue_ms":0,"run_ms":0}` + "\n"; a.body != want {
		t.Errorf("answer = %s, want %s", a.body, want)
	}
	x.do(t, "POST", "/v1/pools/p/call", `{"command":"c"}`, "Traceparent: 00-garbage")
	if diff := cmp.Diff(shared.CallRequest{Pool: "p", Command: "c"}, <-got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestRefusedBodies(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	tests := []struct {
		name, body string
		// message and hint must contain these.
		message, hint string
	}{
		{"empty", ``, "command is missing", "ping"},
		{"no command", `{}`, "command is missing", ""},
		{"form", `command=ping`, "not JSON at byte 0", "object"},
		{"array", `[]`, "not a JSON object", "object"},
		{"text", `"x"`, "not a JSON object", ""},
		{"cut", `{"command":"ping"`, "not JSON at byte 17: unexpected end", ""},
		{"cut in a value", `{"command":"pi`, "not JSON at byte 14: unexpected end", ""},
		{"no colon", `{"command"}`, "not JSON at byte 10", ""},
		{"comma at the end", `{"command":"ping",}`, "not JSON at byte 18", ""},
		{"too deep", `{"args":{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`, "exceeded max depth", ""},
		{"two objects", `{"command":"ping"} {}`, "not JSON at byte 19", ""},
		{"not UTF-8", "{\"command\":\"\xff\"}", "not UTF-8 at byte 12", ""},
		{"unknown", `{"comand":"ping"}`, `member "comand" is not known`, `did you mean "command"?`},
		{"case", `{"Command":"ping"}`, `member "Command" is not known`, `did you mean "command"?`},
		{"far off", `{"xyzzyxyzzy":1}`, `"xyzzyxyzzy"`, "known: command, args"},
		{"long name", `{"` + strings.Repeat("x", 5000) + `":1}`, "...", "known:"},
		{"twice", `{"command":"ping","command":"echo"}`, "twice", ""},
		{"command type", `{"command":1}`, "command is not a string", ""},
		{"args type", `{"command":"ping","args":[1]}`, "args is not a JSON object", ""},
		{"flag type", `{"command":"ping","idempotent":"yes"}`, "idempotent is not true or false", ""},
		{"timeout number", `{"command":"ping","timeout":30}`, "timeout is a number without a unit: 30", `did you mean "30s" or "30ms"?`},
		{"timeout bare", `{"command":"ping","timeout":"30"}`, "has no unit", `"30s"`},
		{"timeout negative", `{"command":"ping","timeout":"-1s"}`, "must not be negative", ""},
		{"timeout type", `{"command":"ping","timeout":{}}`, "timeout is not a string", ""},
	}
	for _, test := range tests {
		e := x.do(t, "POST", "/v1/pools/qa/call", test.body).fails(t, 400, shared.InvalidArgument)
		if !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%s: message %q, hint %q; want %q, %q", test.name, e.Message, e.Hint, test.message, test.hint)
		}
		if e.MayHaveRun != shared.RunNo || e.Retryable || e.Code != "INVALID_ARGUMENT" {
			t.Errorf("%s: %+v, want it not to have run", test.name, e)
		}
		if len(e.Message)+len(e.Hint) > 500 {
			t.Errorf("%s: error of %d bytes repeats the request", test.name, len(e.Message)+len(e.Hint))
		}
	}
	x.do(t, "PUT", "/v1/programs/p", `[]`).fails(t, 400, shared.InvalidArgument)
	x.do(t, "PUT", "/v1/programs/p", ``).fails(t, 400, shared.InvalidArgument)
	x.do(t, "PUT", "/v1/programs/p", `{} x`).fails(t, 400, shared.InvalidArgument)
	x.do(t, "POST", "/v1/pools/qa/call", "\x1f\x8b", "Content-Encoding: gzip").fails(t, 400, shared.InvalidArgument)
}

func TestRefusedURLsAndHeaders(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{})
	long := strings.Repeat("x", 10_000)
	tests := []struct {
		method, path string
		headers      []string
		status       int
		reason       string
		code         string
		allow        string
	}{
		{"GET", "/", nil, 404, pathNotFound, "NOT_FOUND", ""},
		{"GET", "/v1", nil, 404, pathNotFound, "NOT_FOUND", ""},
		{"POST", "/v1/pools//call", nil, 404, pathNotFound, "NOT_FOUND", ""},
		{"PUT", "/v1/sessions/../x", nil, 404, pathNotFound, "NOT_FOUND", ""},
		{"PUT", "/v1/sessions/", nil, 404, pathNotFound, "NOT_FOUND", ""},
		{"GET", "/" + long, nil, 404, pathNotFound, "NOT_FOUND", ""},
		{"POST", "/v1/pools/qa", nil, 405, methodNotAllowed, "UNIMPLEMENTED", "GET, HEAD"},
		{"GET", "/v1/pools/qa/call", nil, 405, methodNotAllowed, "UNIMPLEMENTED", "POST"},
		{"POST", "/v1/sessions/u1", nil, 405, methodNotAllowed, "UNIMPLEMENTED", "DELETE, GET, HEAD, PATCH, PUT"},
		{"OPTIONS", "/v1/sessions/u1", nil, 405, methodNotAllowed, "UNIMPLEMENTED", "DELETE, GET, HEAD, PATCH, PUT"},
		{"GET", "/v1/sessions?limit=0", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions?limit=1001", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions?limit=", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions?limit=1&limit=2", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions?prefx=u", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions?prefix=%ff", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions?prefix=%zz", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"POST", "/v1/pools/qa/call?stream=maybe", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions/%ff", nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/sessions/" + long, nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/" + long, nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"GET", "/v1/pools/" + long, nil, 404, "POOL_NOT_FOUND", "NOT_FOUND", ""},
		{"GET", "/v1/programs/" + long, nil, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/u", []string{`If-Match: "x"`}, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/u", []string{`If-Match: "0"`}, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/u", []string{`If-Match: "01"`}, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/u", []string{`If-Match: "1`}, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/u", []string{`If-Match: "1"`, `If-Match: "2"`}, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
		{"PUT", "/v1/sessions/u", []string{`If-Match: "1"`, "If-None-Match: *"}, 412, "REVISION_CONFLICT", "FAILED_PRECONDITION", ""},
		{"PUT", "/v1/sessions/u", []string{`If-None-Match: "1"`}, 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""},
	}
	for _, test := range tests {
		a := x.do(t, test.method, test.path, "", test.headers...)
		name := test.method + " " + clip(test.path)
		e := a.failure(t)
		if a.status != test.status || e.Reason != test.reason || e.Code != test.code {
			t.Errorf("%s: got %d %s %s, want %d %s %s", name, a.status, e.Reason, e.Code, test.status, test.reason, test.code)
		}
		if got := a.header.Get("Allow"); got != test.allow {
			t.Errorf("%s: Allow = %q, want %q", name, got, test.allow)
		}
		if len(a.body) > 1000 {
			t.Errorf("%s: error of %d bytes repeats the request", name, len(a.body))
		}
	}
	if e := x.do(t, "GET", "/v1/sessions?prefx=u", "").failure(t); e.Hint != `did you mean "prefix"?` {
		t.Errorf("hint = %q, want the right name", e.Hint)
	}
}

func TestEveryReasonHasItsStatus(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.call = func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		return nil, fmt.Errorf("call: %w", &shared.Error{
			Reason: shared.Reason(req.Command), Message: "it broke <here>", Hint: "mend it", MayHaveRun: shared.RunYes,
			RetryAfter: 1200 * time.Millisecond, Cause: errors.New("secret"),
			Remote: &shared.RemoteError{Type: "ValueError", Message: "bad", Traceback: "line 1\nline 2"},
		})
	}
	x := start(t, f, Options{})
	for _, reason := range shared.Reasons() {
		a := x.do(t, "POST", "/v1/pools/qa/call", fmt.Sprintf(`{"command":%q}`, reason))
		if a.status != reason.HTTPStatus() {
			t.Errorf("%s: status = %d, want %d", reason, a.status, reason.HTTPStatus())
		}
		if got := a.header.Get("Retry-After"); got != "2" {
			t.Errorf("%s: Retry-After = %q, want 2", reason, got)
		}
		want := fmt.Sprintf(`{"error":{"code":%q,"reason":%q,"message":"it broke <here>","hint":"mend it","retryable":%v,`+
			`"may_have_run":"yes","remote":{"type":"ValueError","message":"bad","traceback":"line 1\nline 2"},"retry_after_ms":1200}}`+"\n",
			reason.CodeName(), reason, (&shared.Error{Reason: reason}).Retryable())
		if diff := cmp.Diff(want, a.body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
}

func TestErrorsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	f := newFake()
	broken := map[string]error{
		"plain":    errors.New("disk on fire"),
		"canceled": fmt.Errorf("wait: %w", context.Canceled),
		"deadline": context.DeadlineExceeded,
	}
	f.call = func(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
		return nil, broken[req.Command]
	}
	x := start(t, f, Options{})
	x.do(t, "POST", "/v1/pools/qa/call", `{"command":"plain"}`).fails(t, 500, shared.Internal)
	x.do(t, "POST", "/v1/pools/qa/call", `{"command":"canceled"}`).fails(t, 499, shared.Canceled)
	x.do(t, "POST", "/v1/pools/qa/call", `{"command":"deadline"}`).fails(t, 504, shared.ExecutionTimeout)
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.notReady = "pool qa: 0 of 2 workers ready"
	x := start(t, f, Options{})
	a := x.do(t, "GET", "/readyz", "")
	want := `{"status":"not_ready","reason":"pool qa: 0 of 2 workers ready",
		"pools":{"qa":{"status":"degraded","reason":"pool qa: 0 of 2 workers ready","ready":2,"workers":2}},
		"error":{"code":"UNAVAILABLE","reason":"NOT_READY","message":"pool qa: 0 of 2 workers ready","hint":"","retryable":true,"may_have_run":"no"}}`
	if diff := cmp.Diff(parse(t, want), parse(t, a.body)); diff != "" || a.status != 503 {
		t.Errorf("status %d, want 503 (-want +got):\n%s", a.status, diff)
	}
	if a := x.do(t, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("/healthz = %d, want 200", a.status)
	}
}

// TestIfMatchAnySurvivesRaces writes with If-Match: * while others write too.
func TestIfMatchAnySurvivesRaces(t *testing.T) {
	t.Parallel()
	c := condition{exists: true}
	revision, tries := uint64(1), 0
	err := c.write(func(r *uint64) error {
		tries++
		if tries < 5 {
			revision++ // another write comes between
		}
		return compare("session", r, revision)
	}, func() (uint64, error) { return revision, nil })
	if err != nil || tries != 5 {
		t.Errorf("write = %v after %d tries, want success after 5", err, tries)
	}
	err = c.write(func(r *uint64) error {
		revision++
		return compare("session", r, revision)
	}, func() (uint64, error) { return revision, nil })
	if !errors.Is(err, shared.ErrRevisionConflict) {
		t.Errorf("write = %v, want REVISION_CONFLICT", err)
	}
}
