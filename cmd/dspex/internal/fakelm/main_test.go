package fakelm

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds what a test waits for; it is only used up by a failure.
const patience = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a running server and a client of its own.
type fixture struct {
	*Server
	url    string
	client *http.Client
	stop   context.CancelFunc
	served chan error
}

// setup starts a server; the test's end stops it and waits for it.
func setup(t *testing.T, options Options) *fixture {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return setupOn(t, options, listener)
}

// setupOn is setup on a listener.
func setupOn(t *testing.T, options Options, listener net.Listener) *fixture {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	f := &fixture{
		Server: New(options), url: "http://" + listener.Addr().String(), stop: stop,
		client: &http.Client{Transport: transport}, served: make(chan error, 1),
	}
	go func() { f.served <- f.Serve(ctx, listener) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		select {
		case err := <-f.served:
			if err != nil {
				t.Errorf("Serve: got %v, want nil", err)
			}
		case <-time.After(patience):
			t.Errorf("Serve did not return")
		}
	})
	return f
}

// ask builds the body of a chat request with one user message; more is put into
// the body as it is, such as `"stream": true`.
func ask(text string, more ...string) string {
	body := `"model": "m", "messages": [{"role": "user", "content": ` + quoted(text) + `}]`
	return "{" + strings.Join(append([]string{body}, more...), ", ") + "}"
}

// post sends a request and returns the answer, whose body the test must close.
func (f *fixture) post(ctx context.Context, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return f.client.Do(req)
}

// exchange is a request's whole answer.
type exchange struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// do sends a chat request and reads the answer.
func (f *fixture) do(t *testing.T, body string, header ...string) exchange {
	t.Helper()
	return f.doPath(t, "/v1/chat/completions", body, header...)
}

// doPath is do for another path.
func (f *fixture) doPath(t *testing.T, path, body string, header ...string) exchange {
	t.Helper()
	resp, err := f.post(t.Context(), path, body, header...)
	if err != nil {
		t.Fatalf("post %s: %v", path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return exchange{resp.StatusCode, resp.Header, string(data), err}
}

// get reads a path.
func (f *fixture) get(t *testing.T, path string) exchange {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, nil)
	if err != nil {
		t.Fatalf("new request: %v", err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatalf("get %s: %v", path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return exchange{resp.StatusCode, resp.Header, string(data), err}
}

// control changes settings over HTTP.
func (f *fixture) control(t *testing.T, settings string) {
	t.Helper()
	if got := f.doPath(t, "/control", settings); got.status != http.StatusOK {
		t.Fatalf("POST /control %s: got %d %s, want 200", settings, got.status, got.body)
	}
}

// await waits for a condition on the statistics.
func (f *fixture) await(t *testing.T, what string, fulfilled func(Stats) bool) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stats, err := f.Await(ctx, fulfilled)
	if err != nil {
		t.Fatalf("wait for %s: %v; got %+v", what, err, stats)
	}
	return stats
}

// chatAnswer is what a chat answer is decoded into.
type chatAnswer struct {
	ID      string
	Object  string
	Model   string
	Choices []struct {
		Index   int
		Message struct {
			Role             string
			Content          string
			ReasoningContent string `json:"reasoning_content"`
			ToolCalls        []struct {
				ID       string
				Type     string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Delta struct {
			Role      string
			Content   string
			ToolCalls []struct {
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		FinishReason string `json:"finish_reason"`
	}
	Usage *Usage
	Error struct{ Message, Type, Code string }
}

// decodeAnswer decodes a chat answer, or fails the test.
func decodeAnswer(t *testing.T, text string) chatAnswer {
	t.Helper()
	var answer chatAnswer
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("decode answer %.200q: %v", text, err)
	}
	return answer
}

// said returns what the assistant said.
func (e exchange) said(t *testing.T) string {
	t.Helper()
	answer := decodeAnswer(t, e.body)
	if e.err != nil || e.status != http.StatusOK || len(answer.Choices) != 1 {
		t.Fatalf("got %d %.300q, error %v, want one choice", e.status, e.body, e.err)
	}
	return answer.Choices[0].Message.Content
}

// sseData returns the data of each server-sent event.
func sseData(body string) []string {
	var out []string
	for block := range strings.SplitSeq(body, "\n\n") {
		for line := range strings.SplitSeq(block, "\n") {
			if data, found := strings.CutPrefix(line, "data: "); found {
				out = append(out, data)
			}
		}
	}
	return out
}

// compact removes the white space between the tokens of a JSON text.
func compact(t *testing.T, text string) string {
	t.Helper()
	var buf bytes.Buffer
	if err := json.Compact(&buf, []byte(text)); err != nil {
		t.Fatalf("compact %q: %v", text, err)
	}
	return buf.String()
}

// ptr returns a pointer to a copy of v.
func ptr[T any](v T) *T { return &v }
