package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// dspyPool is a pool of DSPy workers that use the fake LM.
func dspyPool(lmURL string, size int) string {
	return fmt.Sprintf(`
lm "main" {
  model    = "openai/gpt-4o-mini"
  api_base = "%s/v1"
  api_key  = "sk-canary-0123456789"
  cache    = false
}
pool "qa" {
  lm   = "main"
  size = %d
  python {}
  worker {
    concurrency = 32
  }
}
program "capital" {
  pool         = "qa"
  signature    = "question -> answer"
  instructions = "Answer questions concisely."
}
`, lmURL, size)
}

func TestProgramsEndToEnd(t *testing.T) {
	t.Parallel()
	needPython(t)
	lm := fakeLM(t, "--latency", "50ms")
	s := ready(t, dspyPool(lm, 2))

	t.Run("create and execute in a session", func(t *testing.T) {
		status, body, _ := s.do(http.MethodPost, "/v1/pools/qa/call", map[string]any{
			"command": "create_program", "session": "user_session_123",
			"args": map[string]any{
				"id": "qa_program",
				"signature": map[string]any{
					"inputs":  []any{map[string]string{"name": "question", "type": "str"}},
					"outputs": []any{map[string]string{"name": "answer", "type": "str"}},
				},
				"instructions": "Answer questions concisely",
			},
		})
		if status != http.StatusOK {
			t.Fatalf("create_program: %d %v", status, body)
		}
		if got := number(t, body["result"].(map[string]any)["revision"]); got != 1 {
			t.Errorf("revision = %d, want 1", got)
		}
		// More often than there are workers: each must be able to run it.
		for range 6 {
			status, body, _ = s.do(http.MethodPost, "/v1/pools/qa/call", map[string]any{
				"command": "execute_program", "session": "user_session_123",
				"args": map[string]any{"program_id": "qa_program", "inputs": map[string]string{"question": "What is the capital of France?"}},
			})
			if status != http.StatusOK {
				t.Fatalf("execute_program: %d %v", status, body)
			}
			outputs := body["result"].(map[string]any)["outputs"].(map[string]any)
			if answer, _ := outputs["answer"].(string); !strings.Contains(answer, "Paris") {
				t.Errorf("answer = %q, want Paris", answer)
			}
		}
		// Another session does not see it.
		s.fails(404, "PROGRAM_NOT_FOUND", http.MethodPost, "/v1/pools/qa/call", map[string]any{
			"command": "execute_program", "session": "other",
			"args": map[string]any{"program_id": "qa_program", "inputs": map[string]string{"question": "?"}},
		})
	})

	t.Run("global program of the configuration", func(t *testing.T) {
		for _, path := range []string{"/v1/programs/capital/run", "/v1/sessions/user_session_123/programs/capital/run"} {
			status, body, _ := s.do(http.MethodPost, path, `{"inputs":{"question":"What is the capital of Japan?"}}`)
			if status != http.StatusOK {
				t.Fatalf("POST %s: %d %v", path, status, body)
			}
			if answer, _ := body["outputs"].(map[string]any)["answer"].(string); !strings.Contains(answer, "Tokyo") {
				t.Errorf("POST %s: answer = %q, want Tokyo", path, answer)
			}
		}
	})

	t.Run("typed outputs and chain of thought", func(t *testing.T) {
		status, body, _ := s.do(http.MethodPut, "/v1/programs/extract", `{
			"signature": "text -> names: list[str], count: int, positive: bool, tone: Literal['calm', 'angry']",
			"module": "ChainOfThought", "pool": "qa"}`)
		if status != http.StatusCreated {
			t.Fatalf("PUT program: %d %v", status, body)
		}
		status, body, _ = s.do(http.MethodPost, "/v1/programs/extract/run", `{"inputs":{"text":"Ada met Grace."}}`)
		if status != http.StatusOK {
			t.Fatalf("run: %d %v", status, body)
		}
		out := body["outputs"].(map[string]any)
		if _, ok := out["names"].([]any); !ok {
			t.Errorf("names = %v, want a list", out["names"])
		}
		if _, ok := out["count"].(json.Number); !ok {
			t.Errorf("count = %v, want a number", out["count"])
		}
		if _, ok := out["positive"].(bool); !ok {
			t.Errorf("positive = %v, want a bool", out["positive"])
		}
		if out["tone"] != "calm" && out["tone"] != "angry" {
			t.Errorf("tone = %v, want calm or angry", out["tone"])
		}
		if reasoning, _ := out["reasoning"].(string); reasoning == "" {
			t.Errorf("no reasoning in %v", out)
		}
	})

	t.Run("bad definitions and inputs are refused before a worker", func(t *testing.T) {
		calls := s.totalCalls("qa")
		for _, bad := range []string{
			`q: os.environ -> a`, `q: antigravity -> a`, `q -> a: __import__('os')`, `q: list[ -> a`, `-> a`, `q ->`, `q -> q`, `q: pathlib.Path -> a`,
		} {
			s.fails(400, "SIGNATURE_INVALID", http.MethodPut, "/v1/programs/bad", map[string]string{"signature": bad})
		}
		s.fails(400, "INVALID_ARGUMENT", http.MethodPut, "/v1/programs/bad", `{"signature":"q -> a","module":"os.system"}`)
		s.fails(400, "INVALID_ARGUMENT", http.MethodPut, "/v1/programs/bad", `{"signature":"q -> a","lm":"none"}`)
		for _, inputs := range []string{`{}`, `{"question":"?","extra":1}`, `{"question":7}`} {
			e := s.fails(400, "INPUT_MISMATCH", http.MethodPost, "/v1/programs/capital/run", `{"inputs":`+inputs+`}`)
			if e["may_have_run"] != "no" {
				t.Errorf("inputs %s: may_have_run = %v, want no", inputs, e["may_have_run"])
			}
		}
		s.fails(404, "PROGRAM_NOT_FOUND", http.MethodPost, "/v1/programs/none/run", `{"inputs":{}}`)
		if got := s.totalCalls("qa"); got != calls {
			t.Errorf("workers ran %d calls for these", got-calls)
		}
	})

	t.Run("100 runs at once overlap", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				status, body, _ := s.do(http.MethodPost, "/v1/programs/capital/run", fmt.Sprintf(`{"inputs":{"question":"What is %d plus 1?"}}`, i))
				if status != http.StatusOK {
					t.Errorf("run %d: %d %v", i, status, body)
				}
			})
		}
		wg.Wait()
	})

	t.Run("list and delete", func(t *testing.T) {
		_, body, _ := s.do(http.MethodPost, "/v1/pools/qa/call", `{"command":"list_programs","session":"user_session_123"}`)
		raw := string(mustJSON(body["result"]))
		for _, want := range []string{"qa_program", "capital", "extract"} {
			if !strings.Contains(raw, want) {
				t.Errorf("list_programs = %s, want %s in it", raw, want)
			}
		}
		if status, body, _ := s.do(http.MethodPost, "/v1/pools/qa/call", `{"command":"delete_program","session":"user_session_123","args":{"program_id":"qa_program"}}`); status != http.StatusOK {
			t.Errorf("delete_program: %d %v", status, body)
		}
		s.fails(404, "PROGRAM_NOT_FOUND", http.MethodGet, "/v1/sessions/user_session_123/programs/qa_program", nil)
	})

	t.Run("the key of the provider is in no environment", func(t *testing.T) {
		for _, w := range s.workers("qa") {
			raw := readFile(t, fmt.Sprintf("/proc/%d/environ", number(t, w["pid"])))
			if strings.Contains(raw, "sk-canary") {
				t.Errorf("worker %v has the key in its environment", w["id"])
			}
		}
		if strings.Contains(s.log.String(), "sk-canary") {
			t.Error("the log has the key")
		}
	})
}

// totalCalls is the number of calls that a pool's workers have answered.
func (s *server) totalCalls(pool string) int {
	s.t.Helper()
	total := 0
	for _, w := range s.workers(pool) {
		total += number(s.t, w["calls"])
	}
	return total
}

func TestCallersThatLeaveStopTheSpending(t *testing.T) {
	t.Parallel()
	needPython(t)
	lm := fakeLM(t, "--latency", "1h")
	s := ready(t, dspyPool(lm, 1))
	s.fails(504, "EXECUTION_TIMEOUT", http.MethodPost, "/v1/programs/capital/run", `{"inputs":{"question":"?"},"timeout":"300ms"}`)
	s.until("the fake LM saw its request closed", func() bool {
		resp, err := http.Get(lm + "/control/stats")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		raw, _ := io.ReadAll(resp.Body)
		var stats map[string]any
		if json.Unmarshal(raw, &stats) != nil {
			return false
		}
		cancelled, _ := stats["cancelled"].(float64)
		return cancelled >= 1
	})
}

func TestSessionsAndProgramsSurviveARestart(t *testing.T) {
	t.Parallel()
	needPython(t)
	dir := shortDir(t)
	config := "pool \"echo\" {\n  size = 1\n}\n"
	first := launch(t, dir, config)
	first.url = "http://" + first.address()
	first.until("ready", func() bool { status, _ := first.get("/readyz"); return status == http.StatusOK })
	if status, _, _ := first.do(http.MethodPut, "/v1/sessions/s1", `{"data":{"n":12345678901234567},"ttl":"1h"}`); status != http.StatusCreated {
		t.Fatalf("PUT session: %d", status)
	}
	if status, _, _ := first.do(http.MethodPut, "/v1/sessions/s1/programs/p1", `{"signature":"q -> a"}`); status != http.StatusCreated {
		t.Fatalf("PUT program: %d", status)
	}
	first.stop()
	second := launch(t, dir, config)
	second.url = "http://" + second.address()
	status, body, header := second.do(http.MethodGet, "/v1/sessions/s1", nil)
	if status != http.StatusOK || string(mustJSON(body["data"])) != `{"n":12345678901234567}` || header.Get("ETag") != `"1"` {
		t.Errorf("session after the restart: %d %v, ETag %s", status, body, header.Get("ETag"))
	}
	if status, _, _ := second.do(http.MethodGet, "/v1/sessions/s1/programs/p1", nil); status != http.StatusOK {
		t.Errorf("program after the restart: %d", status)
	}
}

func TestSessionRevisions(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := serve(t, `pool "echo" {
  size = 1
}`)
	status, _, header := s.do(http.MethodPut, "/v1/sessions/cas", `{"data":{"a":1}}`, "If-None-Match", "*")
	if status != http.StatusCreated || header.Get("ETag") != `"1"` {
		t.Errorf("create: %d, ETag %s", status, header.Get("ETag"))
	}
	s.fails(412, "REVISION_CONFLICT", http.MethodPut, "/v1/sessions/cas", `{"data":{}}`, "If-None-Match", "*")
	status, body, header := s.do(http.MethodPatch, "/v1/sessions/cas", `{"data":{"b":2}}`, "If-Match", `"1"`)
	if status != http.StatusOK || header.Get("ETag") != `"2"` || string(mustJSON(body["data"])) != `{"a":1,"b":2}` {
		t.Errorf("patch: %d %v, ETag %s", status, body, header.Get("ETag"))
	}
	s.fails(412, "REVISION_CONFLICT", http.MethodPatch, "/v1/sessions/cas", `{"data":{"b":3}}`, "If-Match", `"1"`)
	// Of many writers at one revision exactly one wins.
	var wg sync.WaitGroup
	won := make(chan int, 20)
	for i := range 20 {
		wg.Go(func() {
			status, _, _ := s.do(http.MethodPut, "/v1/sessions/cas", map[string]any{"data": map[string]int{"writer": i}}, "If-Match", `"2"`)
			if status == http.StatusOK {
				won <- i
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d writers won, want 1", len(won))
	}
	if status, _, _ := s.do(http.MethodDelete, "/v1/sessions/cas", nil); status != http.StatusNoContent {
		t.Errorf("delete: %d, want 204", status)
	}
	s.fails(404, "SESSION_NOT_FOUND", http.MethodGet, "/v1/sessions/cas", nil)
	s.fails(400, "INVALID_ARGUMENT", http.MethodPut, "/v1/sessions/"+strings.Repeat("x", 10_000), `{"data":{}}`)
}

func TestBrowsersOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	needPython(t)
	s := serve(t, `pool "echo" {
  size = 1
}`)
	s.fails(403, "FORBIDDEN", http.MethodPost, "/v1/pools/echo/call", `{"command":"ping"}`, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	s.fails(403, "FORBIDDEN", http.MethodGet, "/v1/pools", nil, "Host", "evil.example")
	if status, _, _ := s.do(http.MethodGet, "/v1/pools", nil); status != http.StatusOK {
		t.Errorf("a plain request: %d, want 200", status)
	}
}
