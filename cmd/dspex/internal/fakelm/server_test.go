package fakelm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChat(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	got := f.do(t, ask("Say hello to Bob"))
	answer := decodeAnswer(t, got.body)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s, want 200 JSON", got.status, got.header.Get("Content-Type"))
	}
	if want := fmt.Sprint(len(got.body)); got.header.Get("Content-Length") != want {
		t.Errorf("Content-Length: got %q, want %s", got.header.Get("Content-Length"), want)
	}
	if !strings.HasPrefix(got.header.Get("X-Request-Id"), "req_fake_") {
		t.Errorf("X-Request-Id: got %q", got.header.Get("X-Request-Id"))
	}
	if answer.Object != "chat.completion" || answer.Model != "m" || len(answer.Choices) != 1 {
		t.Fatalf("got %+v, want one choice of a completion", answer)
	}
	choice := answer.Choices[0]
	if choice.Message.Content != "Echo: Say hello to Bob" || choice.Message.Role != "assistant" || choice.FinishReason != "stop" {
		t.Errorf("choice: got %+v", choice)
	}
	if diff := cmp.Diff(&Usage{4, 6, 10}, answer.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if again := f.do(t, ask("Say hello to Bob")).said(t); again != choice.Message.Content {
		t.Errorf("second answer: got %q, want the first, %q", again, choice.Message.Content)
	}
}

func TestChatOptions(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	tool := `"tools": [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {"what": {"type": "string"}}}}},
		{"type": "function", "function": {"name": "other"}}]`
	for name, c := range map[string]struct{ body, want string }{
		"choices":     {ask("hi", `"n": 2`), "Echo: hi|stop|Echo: hi|stop|"},
		"max tokens":  {ask("one two three", `"max_tokens": 3`), "Echo: one|length|"},
		"enough":      {ask("one two three", `"max_completion_tokens": 5`), "Echo: one two three|stop|"},
		"stop":        {ask("one two three", `"stop": " two"`), "Echo: one|stop|"},
		"stops":       {ask("one two three", `"stop": ["nope", "three"]`), "Echo: one two |stop|"},
		"json object": {ask("What is 2+2?", `"response_format": {"type": "json_object"}`), `{"answer": "4"}|stop|`},
		"json schema": {
			ask("hi", `"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"n": {"type": "integer"}, "b": {"type": "boolean"}}}}}`),
			`{"n": 1, "b": true}|stop|`,
		},
		"tool":        {ask("a city", tool), `|tool_calls|find{"what": "a city"}`},
		"forced tool": {ask("hi", tool, `"tool_choice": {"type": "function", "function": {"name": "other"}}`), "|tool_calls|other{}"},
		"no tool":     {ask("hi", tool, `"tool_choice": "none"`), "Echo: hi|stop|"},
		"tool result": {
			`{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": []}, {"role": "tool", "content": "found it"}], ` + tool + `}`,
			"found it|stop|",
		},
		"parts": {
			`{"messages": [{"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image_url", "image_url": {"url": "x"}}]}]}`,
			"Echo: see [image_url]|stop|",
		},
	} {
		got := ""
		for _, choice := range decodeAnswer(t, f.do(t, c.body).body).Choices {
			got += choice.Message.Content + "|" + choice.FinishReason + "|"
			for _, call := range choice.Message.ToolCalls {
				got += call.Function.Name + call.Function.Arguments
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	two := decodeAnswer(t, f.do(t, ask("hi", `"n": 2`)).body)
	if diff := cmp.Diff(&Usage{1, 6, 7}, two.Usage); diff != "" {
		t.Errorf("usage of two choices (-want +got):\n%s", diff)
	}
	thinking := decodeAnswer(t, f.do(t, ask("hi", `"reasoning_effort": "low"`)).body)
	if thinking.Choices[0].Message.ReasoningContent == "" {
		t.Errorf("reasoning_effort: got no reasoning_content")
	}
}

func TestChatStream(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{ChunkTokens: 2})
	got := f.do(t, ask("one two three four", `"stream": true`))
	if got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("Content-Type: got %q", got.header.Get("Content-Type"))
	}
	data := sseData(got.body)
	var deltas []string
	finish := ""
	for _, text := range data[:len(data)-1] {
		chunk := decodeAnswer(t, text)
		if chunk.Object != "chat.completion.chunk" || chunk.Usage != nil || len(chunk.Choices) != 1 {
			t.Errorf("chunk: got %s", text)
			continue
		}
		deltas = append(deltas, chunk.Choices[0].Delta.Content)
		finish += chunk.Choices[0].FinishReason
	}
	want := []string{"", "Echo:", " one two", " three four", ""}
	if diff := cmp.Diff(want, deltas); diff != "" || finish != "stop" || data[len(data)-1] != "[DONE]" {
		t.Errorf("finish %q, last %q, deltas (-want +got):\n%s", finish, data[len(data)-1], diff)
	}

	counted := sseData(f.do(t, ask("hi", `"stream": true`, `"stream_options": {"include_usage": true}`)).body)
	usage := decodeAnswer(t, counted[len(counted)-2])
	if diff := cmp.Diff(&Usage{1, 3, 4}, usage.Usage); diff != "" || len(usage.Choices) != 0 {
		t.Errorf("usage chunk: %d choices, usage (-want +got):\n%s", len(usage.Choices), diff)
	}

	called := sseData(f.do(t, ask("hi", `"stream": true`, `"tools": [{"function": {"name": "find"}}]`)).body)
	name := ""
	for _, text := range called[:len(called)-1] {
		for _, call := range decodeAnswer(t, text).Choices[0].Delta.ToolCalls {
			name += call.Function.Name
		}
	}
	if name != "find" {
		t.Errorf("streamed tool call: got %q, want find", name)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{ChunkTokens: 1})
	body := `{"model": "m", "instructions": "Be nice.", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi you"}]}]`
	got := f.doPath(t, "/v1/responses", body+"}")
	for _, want := range []string{
		`"status":"completed"`, `"text":"Echo: hi you"`, `"usage":{"input_tokens":5,"output_tokens":4,"total_tokens":9}`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("answer: got %s, want %s in it", got.body, want)
		}
	}
	if plain := f.doPath(t, "/responses", `{"input": "hi you"}`); !strings.Contains(plain.body, "Echo: hi you") {
		t.Errorf("answer to a text: got %s", plain.body)
	}
	streamed := f.doPath(t, "/v1/responses", body+`, "stream": true}`)
	var events []string
	for line := range strings.SplitSeq(streamed.body, "\n") {
		if name, found := strings.CutPrefix(line, "event: response."); found {
			events = append(events, name)
		}
	}
	want := []string{
		"created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
		"output_text.delta", "output_text.delta", "output_text.done", "output_item.done", "completed",
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	cut := f.doPath(t, "/v1/responses", body+`, "max_output_tokens": 2}`)
	if !strings.Contains(cut.body, `"status":"incomplete"`) || !strings.Contains(cut.body, `"text":"Echo:"`) {
		t.Errorf("clipped answer: got %s", cut.body)
	}
	called := f.doPath(t, "/v1/responses", body+`, "tools": [{"type": "function", "name": "find"}]}`)
	if !strings.Contains(called.body, `"type":"function_call"`) {
		t.Errorf("tool call: got %s", called.body)
	}
}

func TestOtherPaths(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	for path, want := range map[string]string{
		"/healthz": `{"status":"ok"}`, "/v1/models": `"id":"gpt-4o-mini"`, "/models": `"object":"list"`,
	} {
		if got := f.get(t, path); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("GET %s: got %d %s, want 200 and %s", path, got.status, got.body, want)
		}
	}
	if got := f.get(t, "/v1/engines"); got.status != http.StatusNotFound || decodeAnswer(t, got.body).Error.Message == "" {
		t.Errorf("unknown path: got %d %s, want 404 and an error object", got.status, got.body)
	}
	if got := f.doPath(t, "/chat/completions", ask("hi")).said(t); got != "Echo: hi" {
		t.Errorf("path without /v1: got %q", got)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	for body, want := range map[string]int{
		"{":                            http.StatusBadRequest,
		"[]":                           http.StatusBadRequest,
		"{}":                           http.StatusBadRequest,
		`{"messages": []}`:             http.StatusBadRequest,
		ask("hi", `"n": 1000`):         http.StatusBadRequest,
		ask("hi", `"stream": "yes"`):   http.StatusBadRequest,
		strings.Repeat("x", maxBody+1): http.StatusRequestEntityTooLarge,
	} {
		got := f.do(t, body)
		if got.status != want || decodeAnswer(t, got.body).Error.Message == "" {
			t.Errorf("%.40q: got %d %.200s, want %d and an error object", body, got.status, got.body, want)
		}
	}
}

func TestRequireKey(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{RequireKey: "secret"})
	for key, want := range map[string]int{
		"": http.StatusUnauthorized, "Bearer wrong": http.StatusUnauthorized, "Bearer secret": http.StatusOK,
	} {
		got := f.do(t, ask("hi"), "Authorization", key)
		if got.status != want {
			t.Errorf("key %q: got %d, want %d", key, got.status, want)
		}
		if want != http.StatusOK && decodeAnswer(t, got.body).Error.Code != "invalid_api_key" {
			t.Errorf("key %q: got %s, want invalid_api_key", key, got.body)
		}
	}
	for _, seen := range f.Requests() {
		if header := fmt.Sprint(seen.Header); strings.Contains(header, "secret") {
			t.Errorf("remembered request holds the key: %s", header)
		}
	}
}

// TestAnswersBelongToTheirRequests asks many different questions at once.
func TestAnswersBelongToTheirRequests(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	var wg sync.WaitGroup
	for worker := range 20 {
		wg.Go(func() {
			for i := range 25 {
				question := fmt.Sprintf("call-%d-%d please", worker, i)
				resp, err := f.post(t.Context(), "/v1/chat/completions", ask(question, `"stream": true`))
				if err != nil {
					t.Errorf("post: %v", err)
					return
				}
				got := ""
				for scanner := bufio.NewScanner(resp.Body); scanner.Scan(); {
					data, found := strings.CutPrefix(scanner.Text(), "data: {")
					if found {
						got += decodeAnswer(t, "{"+data).Choices[0].Delta.Content
					}
				}
				resp.Body.Close()
				if want := "Echo: " + question; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	wg.Wait()
	stats := f.Stats()
	if stats.Requests != 500 || stats.Completed != 500 || stats.InFlight != 0 {
		t.Errorf("stats: got %+v, want 500 requests, all completed", stats)
	}
}

// countingListener counts the writes of its connections.
type countingListener struct {
	net.Listener
	writes atomic.Int64
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &countingConn{conn, &l.writes}, err
}

func (c *countingConn) Write(data []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(data)
}

// TestOneWriteForAnAnswer: two writes, without TCP_NODELAY, cost 40 ms.
func TestOneWriteForAnAnswer(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	listener := &countingListener{Listener: inner}
	f := setupOn(t, Options{}, listener)
	for range 3 {
		f.do(t, ask("hi")).said(t)
	}
	if got := listener.writes.Load(); got != 3 {
		t.Errorf("writes for 3 answers: got %d, want 3", got)
	}
	if stats := f.Stats(); stats.ConnectionsTotal != 1 || stats.Connections != 1 {
		t.Errorf("connections: got %d of %d, want one that is kept alive", stats.Connections, stats.ConnectionsTotal)
	}
	f.do(t, ask("Tell me more", `"stream": true`))
	// The opening, two chunks, the finish, [DONE], and the end of the body.
	if got := listener.writes.Load() - 3; got != 6 {
		t.Errorf("writes for a stream: got %d, want 6", got)
	}
}

// TestStopLetsRequestsEnd stops the server while one request is being answered
// and another hangs.
func TestStopLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{Latency: 200 * time.Millisecond})
	f.control(t, `{"rules": [{"match": "hang", "hang": true}]}`)
	errs := make(chan error, 2)
	for _, question := range []string{"hang", "answer"} {
		go func() {
			resp, err := f.post(context.Background(), "/v1/chat/completions", ask(question))
			if err == nil {
				resp.Body.Close()
			}
			if hangs := question == "hang"; hangs == (err == nil) {
				errs <- fmt.Errorf("%s: got error %v", question, err)
				return
			}
			errs <- nil
		}()
	}
	f.await(t, "both requests", func(s Stats) bool { return s.InFlight == 2 })
	f.stop()
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := <-f.served; err != nil {
		t.Errorf("Serve: got %v, want nil", err)
	}
	f.served <- nil
	if stats := f.Stats(); stats.Completed != 1 || stats.Cut != 1 || stats.Cancelled != 0 {
		t.Errorf("stats: got %+v, want one completed and one cut", stats)
	}
}

// TestStopIsBounded stops the server while a request would take an hour.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{Latency: time.Hour, StopGrace: 10 * time.Millisecond})
	failed := make(chan error, 1)
	go func() {
		resp, err := f.post(context.Background(), "/v1/chat/completions", ask("hi"))
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	f.await(t, "the request", func(s Stats) bool { return s.InFlight == 1 })
	f.stop()
	if err := <-failed; err == nil {
		t.Errorf("request: got an answer, want an error")
	}
	stats := f.await(t, "its end", func(s Stats) bool { return s.InFlight == 0 })
	if stats.Cut != 1 || stats.Cancelled != 0 {
		t.Errorf("stats: got %+v, want one cut by the server", stats)
	}
}

func TestServeReportsListenerError(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	listener.Close()
	if err := New(Options{}).Serve(t.Context(), listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener: got %v, want net.ErrClosed", err)
	}
}

// TestManyAtOnce holds a thousand requests open and lets their clients go.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 1000
	f := setup(t, Options{})
	f.control(t, `{"rules": [{"hang": true}]}`)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			resp, err := f.post(ctx, "/v1/chat/completions", ask(fmt.Sprint("question ", i)))
			if err == nil {
				resp.Body.Close()
				t.Errorf("request %d: got an answer", i)
			}
		})
	}
	f.await(t, "all requests", func(s Stats) bool { return s.InFlight == many })
	cancel()
	wg.Wait()
	stats := f.await(t, "all cancellations", func(s Stats) bool { return s.Cancelled == many })
	if stats.InFlight != 0 || stats.MaxInFlight != many || len(stats.Cancellations) != maxCancellations {
		t.Errorf("stats: got in flight %d, peak %d, %d remembered", stats.InFlight, stats.MaxInFlight, len(stats.Cancellations))
	}
	f.await(t, "closed connections", func(s Stats) bool { return s.Connections == 0 })
}
