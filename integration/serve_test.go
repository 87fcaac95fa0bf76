package integration

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// acme is a pool of the test module's commands.
func acme(t *testing.T, more string) string {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return `
pool "qa" {
  module            = "acme.workers"
  min_ready         = 2
  size              = 2
  execution_timeout = "60s"
  cancel_grace      = "300ms"
  python {
    path = ["` + dir + `"]
  }
  ` + more + `
}
`
}

func TestEchoPoolAloneIsAConfiguration(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, `pool "echo" {}`)
	// curl's default content type.
	status, body, _ := s.do(http.MethodPost, "/v1/pools/echo/call", `{"command":"ping","args":{"x":1}}`,
		"Content-Type", "application/x-www-form-urlencoded")
	if status != http.StatusOK {
		t.Fatalf("status = %d, body %v", status, body)
	}
	for _, key := range []string{"result", "worker", "queue_ms", "run_ms"} {
		if _, ok := body[key]; !ok {
			t.Errorf("the answer has no %q: %v", key, body)
		}
	}
	out, stderr, code := s.cli("call", "echo", "ping", "x=1", "n:=2")
	if code != 0 {
		t.Fatalf("dspex call: exit %d, %s", code, stderr)
	}
	var answer struct {
		Pong bool           `json:"pong"`
		Args map[string]any `json:"args"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || !answer.Pong || answer.Args["x"] != "1" || answer.Args["n"] != 2.0 {
		t.Errorf("dspex call printed %s (%v), want a pong with x and n", out, err)
	}
	// The default socket: for the user and the group, nobody else.
	info, err := os.Stat(filepath.Join(s.dir, "run", "api.sock"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("api.sock: mode %v, %v; want 0660", info, err)
	}
}

func TestUserCommands(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, ""))
	t.Run("result", func(t *testing.T) {
		got := s.call("qa", "greet", map[string]any{"name": "Ada", "times": 2})
		if want := "hello Ada hello Ada"; got.(map[string]any)["greeting"] != want {
			t.Errorf("greet = %v, want %q", got, want)
		}
	})
	t.Run("described", func(t *testing.T) {
		_, body, _ := s.do(http.MethodGet, "/v1/pools/qa", nil)
		raw, _ := json.Marshal(body)
		for _, want := range []string{`"greet"`, "Greet somebody.", `"ping"`, `"execute_program"`} {
			if !bytes.Contains(raw, []byte(want)) {
				t.Errorf("GET /v1/pools/qa does not show %s: %s", want, raw)
			}
		}
	})
	t.Run("exception", func(t *testing.T) {
		e := s.fails(500, "PYTHON_EXCEPTION", http.MethodPost, "/v1/pools/qa/call", `{"command":"fail","args":{"message":"no luck"}}`)
		remote, _ := e["remote"].(map[string]any)
		if remote["type"] != "ValueError" || remote["message"] != "no luck" || e["may_have_run"] != "yes" {
			t.Errorf("error = %v, want ValueError: no luck, that has run", e)
		}
	})
	t.Run("SystemExit leaves the worker alive", func(t *testing.T) {
		before := s.workers("qa")
		s.fails(500, "PYTHON_EXCEPTION", http.MethodPost, "/v1/pools/qa/call", `{"command":"leave"}`)
		after := s.workers("qa")
		for i := range before {
			if before[i]["pid"] != after[i]["pid"] {
				t.Errorf("worker %v was restarted", before[i]["id"])
			}
		}
	})
	t.Run("unknown command", func(t *testing.T) {
		e := s.fails(404, "COMMAND_NOT_FOUND", http.MethodPost, "/v1/pools/qa/call", `{"command":"gret"}`)
		if hint, _ := e["hint"].(string); !strings.Contains(hint, "greet") {
			t.Errorf("hint = %q, want greet", hint)
		}
	})
	t.Run("bad arguments", func(t *testing.T) {
		for name, body := range map[string]string{
			"missing":        `{"command":"greet"}`,
			"unknown":        `{"command":"greet","args":{"name":"a","nmae":"b"}}`,
			"wrong":          `{"command":"greet","args":{"name":"a","times":"two"}}`,
			"no object":      `{"command":"greet","args":[1]}`,
			"no JSON":        `{"command":`,
			"empty":          `{"command":""}`,
			"unknown member": `{"command":"greet","arsg":{}}`,
			"not UTF-8":      "{\"command\":\"greet\",\"args\":{\"name\":\"\xff\"}}",
			"duration":       `{"command":"greet","args":{"name":"a"},"timeout":"5"}`,
		} {
			e := s.fails(400, "INVALID_ARGUMENT", http.MethodPost, "/v1/pools/qa/call", body)
			if e["message"] == "" {
				t.Errorf("%s: no message", name)
			}
		}
		s.fails(404, "POOL_NOT_FOUND", http.MethodPost, "/v1/pools/none/call", `{"command":"ping"}`)
		long := strings.Repeat("x", 10_000)
		s.fails(400, "INVALID_ARGUMENT", http.MethodPost, "/v1/pools/qa/call", `{"command":"`+long+`"}`)
		s.fails(400, "INVALID_ARGUMENT", http.MethodPost, "/v1/pools/qa/call", `{"command":"greet","session":"`+long+`"}`)
	})
	t.Run("results that cannot travel", func(t *testing.T) {
		s.fails(500, "RESULT_INVALID", http.MethodPost, "/v1/pools/qa/call", `{"command":"unserialisable"}`)
		got := s.call("qa", "large", map[string]any{"size": 5_000_000})
		if len(got.(string)) != 5_000_000 {
			t.Errorf("large result has %d characters, want 5,000,000", len(got.(string)))
		}
	})
	t.Run("environment", func(t *testing.T) {
		env := s.call("qa", "environment", nil).(map[string]any)
		for _, name := range []string{"DSPEX_PYTHON_DIR", "HOME", "GOPATH", "OPENAI_API_KEY"} {
			if v, ok := env[name]; ok {
				t.Errorf("the worker's environment has %s=%v, which no attribute lets through", name, v)
			}
		}
	})
	t.Run("stream", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/pools/qa/call?stream=1", strings.NewReader(`{"command":"count","args":{"to":100}}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		chunks := 0
		events := sse(t, resp.Body)
		progress := false
		for _, e := range events {
			if strings.HasPrefix(e, "chunk ") {
				if want := "chunk " + string(mustJSON(chunks)); e != want {
					t.Fatalf("event = %q, want %q", e, want)
				}
				chunks++
			}
			progress = progress || strings.HasPrefix(e, "progress ")
		}
		if chunks != 100 || !progress || !strings.HasPrefix(events[len(events)-1], "result ") {
			t.Errorf("%d chunks, progress %t, last event %q; want 100, true and the result", chunks, progress, events[len(events)-1])
		}
	})
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

func TestPayloadsOverTheLimit(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, "worker {\n    max_message = \"1MiB\"\n  }"))
	big := strings.Repeat("x", 2<<20)
	e := s.fails(413, "PAYLOAD_TOO_LARGE", http.MethodPost, "/v1/pools/qa/call", map[string]any{"command": "greet", "args": map[string]string{"name": big}})
	if e["may_have_run"] != "no" {
		t.Errorf("may_have_run = %v, want no", e["may_have_run"])
	}
	s.fails(500, "RESULT_TOO_LARGE", http.MethodPost, "/v1/pools/qa/call", `{"command":"large","args":{"size":2097152}}`)
	// Nothing else was disturbed.
	if got := s.call("qa", "large", map[string]any{"size": 1000}); len(got.(string)) != 1000 {
		t.Errorf("a small result after a large one has %d characters, want 1000", len(got.(string)))
	}
	for _, w := range s.workers("qa") {
		if number(t, w["generation"]) != 1 {
			t.Errorf("worker %v was restarted", w["id"])
		}
	}
}

func TestSessionsReachTheWorker(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, ""))
	if status, _, _ := s.do(http.MethodPut, "/v1/sessions/s1", `{"data":{"user":42}}`); status != http.StatusCreated {
		t.Errorf("PUT session: status %d, want 201", status)
	}
	_, body, _ := s.do(http.MethodPost, "/v1/pools/qa/call", `{"command":"whoami","session":"s1"}`)
	if got := body["result"].(map[string]any)["session"]; got != "s1" {
		t.Errorf("session in the worker = %v, want s1", got)
	}
	_, body, _ = s.do(http.MethodPost, "/v1/pools/qa/call", `{"command":"data","session":"s1","session_data":true}`)
	if got := string(mustJSON(body["result"])); got != `{"user":42}` {
		t.Errorf("session data in the worker = %s, want %s", got, `{"user":42}`)
	}
}

func TestWorkerKilledMidCall(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, `worker { concurrency = 1 }`))
	type answer struct {
		status int
		body   map[string]any
	}
	answers := make(chan answer, 2)
	for range 2 {
		go func() {
			status, body, _ := s.do(http.MethodPost, "/v1/pools/qa/call", `{"command":"block","args":{"seconds":2}}`)
			answers <- answer{status, body}
		}()
	}
	s.until("both calls run", func() bool {
		_, body, _ := s.do(http.MethodGet, "/v1/pools/qa", nil)
		return number(t, body["stats"].(map[string]any)["in_flight"]) == 2
	})
	victim := s.workers("qa")[0]
	if err := syscall.Kill(number(t, victim["pid"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lost, fine := 0, 0
	for range 2 {
		a := <-answers
		if a.status == http.StatusOK {
			fine++
			continue
		}
		if e := a.body["error"].(map[string]any); a.status == http.StatusServiceUnavailable && e["reason"] == "WORKER_LOST" && e["may_have_run"] == "maybe" {
			lost++
		} else {
			t.Errorf("answer %d %v", a.status, a.body)
		}
	}
	if lost != 1 || fine != 1 {
		t.Errorf("%d lost and %d fine, want one each", lost, fine)
	}
	s.until("a new process has taken its place", func() bool {
		w := s.workers("qa")[0]
		return w["state"] == "ready" && w["pid"] != victim["pid"] && w["id"] == victim["id"]
	})
}

func TestCallOverItsTimeIsCancelled(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, ""))
	marker := filepath.Join(s.dir, "marker")
	started := time.Now()
	e := s.fails(504, "EXECUTION_TIMEOUT", http.MethodPost, "/v1/pools/qa/call",
		map[string]any{"command": "wait", "args": map[string]any{"marker": marker}, "timeout": "200ms"})
	if e["may_have_run"] == "no" {
		t.Errorf("may_have_run = %v, want maybe or yes", e["may_have_run"])
	}
	if took := time.Since(started); took > patience/2 {
		t.Errorf("the call took %s", took)
	}
	s.until("the task was cancelled in Python", func() bool { _, err := os.Stat(marker); return err == nil })
	_, _, code := s.cli("call", "qa", "wait", "--timeout", "100ms")
	if code != 6 {
		t.Errorf("dspex call over its time: exit %d, want 6", code)
	}
}

func TestWorkerThatIgnoresCancelIsReplaced(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, ""))
	before := map[any]any{}
	for _, w := range s.workers("qa") {
		before[w["id"]] = w["pid"]
	}
	s.fails(504, "EXECUTION_TIMEOUT", http.MethodPost, "/v1/pools/qa/call", `{"command":"stubborn","timeout":"100ms"}`)
	s.until("one worker has a new process", func() bool {
		replaced := 0
		for _, w := range s.workers("qa") {
			if w["state"] == "ready" && w["pid"] != before[w["id"]] {
				replaced++
			}
		}
		return replaced == 1
	})
}

func TestSecondServeOnOneFolder(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, `pool "echo" {
  size = 1
}`)
	second := launchPlain(t, s.dir)
	<-second.done
	if code := second.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("second serve: exit %d, want 1", code)
	}
	if want := regexp.MustCompile(`process ` + string(mustJSON(s.cmd.Process.Pid))); !want.MatchString(second.log.String()) {
		t.Errorf("the second serve does not say who holds the folder: %s", second.log)
	}
	s.call("echo", "ping", nil)
}

// launchPlain starts a second host on a folder, without any clean-up of its own.
func launchPlain(t *testing.T, dir string) *server {
	t.Helper()
	config := filepath.Join(dir, "second.hcl")
	if err := os.WriteFile(config, []byte(`pool "echo" {}
listener "tcp" "other" { address = "127.0.0.1:0" }`), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, nil, "serve", "-c", config)
}

func TestTerminationDrains(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, acme(t, "")+"\nhost {\n  drain_timeout = \"30s\"\n}\n")
	answer := make(chan int, 1)
	go func() {
		status, _, _ := s.do(http.MethodPost, "/v1/pools/qa/call", `{"command":"block","args":{"seconds":1}}`)
		answer <- status
	}()
	s.until("the call runs", func() bool {
		_, body, _ := s.do(http.MethodGet, "/v1/pools/qa", nil)
		return number(t, body["stats"].(map[string]any)["in_flight"]) == 1
	})
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got != http.StatusOK {
		t.Errorf("the running call: status %d, want 200", got)
	}
	<-s.done
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d after SIGTERM, want 0", code)
	}
	s.noneLeft()
}

func TestThousandPings(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := ready(t, `pool "echo" {
  size = 2
  queue {
    capacity = 2000
  }
}`)
	var wg sync.WaitGroup
	failed := make(chan string, 1000)
	for range 1000 {
		wg.Go(func() {
			status, body, _ := s.do(http.MethodPost, "/v1/pools/echo/call", `{"command":"ping"}`)
			if status != http.StatusOK {
				failed <- string(mustJSON(body))
			}
		})
	}
	wg.Wait()
	if len(failed) > 0 {
		t.Errorf("%d of 1000 pings failed, the first with %s", len(failed), <-failed)
	}
	_, body, _ := s.do(http.MethodGet, "/v1/stats", nil)
	stats := body["pools"].(map[string]any)["echo"].(map[string]any)
	if got := number(t, stats["requests"]); got != 1000 {
		t.Errorf("requests = %d, want 1000", got)
	}
	if got := number(t, stats["errors"]); got != 0 {
		t.Errorf("errors = %d, want 0", got)
	}
}
