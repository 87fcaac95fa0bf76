package fakelm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestScriptedBehaviors scripts one behavior at a time.
func TestScriptedBehaviors(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	for behavior, c := range map[string]struct {
		status int
		header string // "Name: value" that must be there, or "!Name" that must not
		body   string // must be in the body
	}{
		`{"status": 429, "retry_after": 1}`:   {429, "Retry-After: 1", `"code":"rate_limit_exceeded"`},
		`{"status": 429, "retry_after": 0.5}`: {429, "Retry-After: 0.5", `"code":"rate_limit_exceeded"`},
		`{"status": 429}`:                     {429, "!Retry-After", `"code":"rate_limit_exceeded"`},
		`{"status": 401}`:                     {401, "", `"code":"invalid_api_key"`},
		`{"status": 500}`:                     {500, "", `"type":"server_error"`},
		`{"status": 529}`:                     {529, "", `"type":"server_error"`},
		`{"status": 418}`:                     {418, "", `"type":"invalid_request_error"`},
		`{"status": 400, "body": "{\"error\": {\"code\": \"context_length_exceeded\"}}"}`: {400, "", "context_length_exceeded"},
		`{"body": "raw text"}`: {200, "Content-Type: application/json", "raw text"},
		`{"body": ""}`:         {200, "Content-Length: 0", ""},
		`{"body": "x", "content_type": "text/plain"}`:  {200, "Content-Type: text/plain", "x"},
		`{"content": "exactly this"}`:                  {200, "", `"content":"exactly this"`},
		`{"content": ""}`:                              {200, "", `"content":""`},
		`{"finish_reason": "length"}`:                  {200, "", `"finish_reason":"length"`},
		`{"usage": {"prompt_tokens": -5}}`:             {200, "", `"prompt_tokens":-5,"completion_tokens":0`},
		`{"content_type": "text/html"}`:                {200, "Content-Type: text/html", "<!DOCTYPE html>"},
		`{"content_type": "text/html", "status": 502}`: {502, "Content-Type: text/html", "<!DOCTYPE html>"},
		`{"content_type": "application/octet-stream"}`: {200, "Content-Type: application/octet-stream", "Echo: hi"},
		`{"latency": "1ms", "token_delay": 0.001}`:     {200, "", "Echo: hi"},
		`{}`: {200, "", "Echo: hi"},
	} {
		f.control(t, `{"next": [`+behavior+`]}`)
		got := f.do(t, ask("hi"))
		if got.status != c.status || !strings.Contains(got.body, c.body) || got.err != nil {
			t.Errorf("%s: got %d %s, error %v, want %d and %s", behavior, got.status, got.body, got.err, c.status, c.body)
		}
		if name, absent := strings.CutPrefix(c.header, "!"); absent {
			if value := got.header.Get(name); value != "" {
				t.Errorf("%s: got %s: %s, want none", behavior, name, value)
			}
		} else if name, want, found := strings.Cut(c.header, ": "); found && got.header.Get(name) != want {
			t.Errorf("%s: got %s: %q, want %q", behavior, name, got.header.Get(name), want)
		}
		// The script is used up.
		if after := f.do(t, ask("hi")).said(t); after != "Echo: hi" {
			t.Errorf("%s: next answer got %q, want an ordinary one", behavior, after)
		}
	}
	f.control(t, `{"next": [{"no_usage": true}, {"broken_json": true}]}`)
	if got := decodeAnswer(t, f.do(t, ask("hi")).body); got.Usage != nil || len(got.Choices) != 1 {
		t.Errorf("no_usage: got %+v", got)
	}
	if got := f.do(t, ask("hi")); json.Valid([]byte(got.body)) || got.err != nil || got.status != http.StatusOK {
		t.Errorf("broken_json: got %d %q, error %v, want a whole body that is no JSON", got.status, got.body, got.err)
	}
}

// TestWhoDecides checks the order of headers, model name, rules, script, rates.
func TestWhoDecides(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{ErrorRate: 1})
	f.control(t, `{"next": [{"status": 501}], "rules": [{"match": "odd", "times": 2, "status": 502}]}`)
	model := func(name, question string) string {
		return strings.Replace(ask(question), `"m"`, quoted(name), 1)
	}
	for i, step := range []struct {
		body   string
		header []string
		status int
	}{
		{model("m?status=503", "odd"), []string{"X-Fakelm-Status", "504"}, 504},
		{model("m?status=503&retry_after=7", "odd"), nil, 503},
		{model("m", "an odd one"), nil, 502},
		{model("m", "even"), nil, 501},
		{model("m", "odd"), nil, 502},
		{model("m", "odd"), nil, 500},
		{model("m", "even"), []string{"X-Fakelm-Content", "fine"}, 200},
		{model("m?nonsense=1", "even"), nil, 400},
		{model("m?status=x", "even"), nil, 400},
		{model("m?status=99", "even"), nil, 400},
		{model("m?cut_after=-1", "even"), nil, 400},
		{model("m?%zz", "even"), nil, 400},
		{model("m", "even"), []string{"X-Fakelm-Latency", "soon"}, 400},
	} {
		if got := f.do(t, step.body, step.header...); got.status != step.status {
			t.Errorf("step %d: got %d %s, want %d", i, got.status, got.body, step.status)
		}
	}
	named := decodeAnswer(t, f.do(t, model("m?status=0&content=42", "even")).body)
	if named.Model != "m" || named.Choices[0].Message.Content != "42" {
		t.Errorf("model with a query: got %+v, want model m and content 42", named)
	}
}

func TestCutPlainAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	f.control(t, `{"next": [{"cut_after": 10}, {"cut_after": 0}, {"cut_after": 100000}, {"cut_after": 4, "body": "some text"}]}`)
	whole := f.do(t, ask("other"), "X-Fakelm-Status", "200")
	for i, want := range []string{whole.body[:10], "", "", "some"} {
		got := f.do(t, ask("hi"))
		if i == 2 {
			if got.err != nil || got.said(t) != "Echo: hi" {
				t.Errorf("cut behind the end: got %q, error %v, want the whole answer", got.body, got.err)
			}
			continue
		}
		if !errors.Is(got.err, io.ErrUnexpectedEOF) || got.body != want || got.status != http.StatusOK {
			t.Errorf("step %d: got %d %q, error %v, want %q and a cut", i, got.status, got.body, got.err, want)
		}
	}
	f.await(t, "the count", func(s Stats) bool { return s.Cut == 3 && s.Completed == 2 && s.Cancelled == 0 })
}

func TestCutStream(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{ChunkTokens: 1})
	for cut, want := range map[int]string{0: "", 2: "Echo:", 100: "Echo: one two three"} {
		f.control(t, fmt.Sprintf(`{"next": [{"cut_after": %d}]}`, cut))
		got := f.do(t, ask("one two three", `"stream": true`))
		text := ""
		for _, data := range sseData(got.body) {
			if data != "[DONE]" {
				text += decodeAnswer(t, data).Choices[0].Delta.Content
			}
		}
		ended := strings.HasSuffix(got.body, "data: [DONE]\n\n")
		if cutOff := cut < 100; text != want || ended == cutOff || errors.Is(got.err, io.ErrUnexpectedEOF) != cutOff {
			t.Errorf("cut after %d: got %q, ended %v, error %v, want %q", cut, text, ended, got.err, want)
		}
	}
}

// fates sends n requests and tells how each ended.
func fates(t *testing.T, f *fixture, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		body := ask("one two three four five six")
		if i%2 == 1 {
			body = ask("one two three four five six", `"stream": true`)
		}
		switch got := f.do(t, body); {
		case got.err != nil:
			b.WriteByte('C')
		case got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") == "2":
			b.WriteByte('L')
		case got.status == http.StatusInternalServerError:
			b.WriteByte('E')
		case got.status == http.StatusOK:
			b.WriteByte('.')
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

func TestRates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"errors": {Options{ErrorRate: 1}, "EEEE"},
		"limits": {Options{RateLimitRate: 1, ErrorRate: 1, RetryAfter: 1500 * time.Millisecond}, "LLLL"},
		"cuts":   {Options{CutRate: 1}, "CCCC"},
		"none":   {Options{}, "...."},
	} {
		if got := fates(t, setup(t, c.options), 4); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	mixed := Options{ErrorRate: 0.2, RateLimitRate: 0.2, CutRate: 0.2, RetryAfter: 2 * time.Second, Seed: 7}
	f := setup(t, mixed)
	first := fates(t, f, 200)
	for _, fate := range "ELC." {
		if n := strings.Count(first, string(fate)); n < 15 || n > 120 {
			t.Errorf("fate %c: got %d of 200 in %s", fate, n, first)
		}
	}
	f.Reset()
	if again := fates(t, f, 200); again != first {
		t.Errorf("same seed: got\n%s, want\n%s", again, first)
	}
	mixed.Seed = 8
	if other := fates(t, setup(t, mixed), 200); other == first {
		t.Errorf("another seed: got the same fates %s", other)
	}
}

// TestCancelledCall shows that the end of a client reaches the request at once:
// while it waits for the first byte, hangs, and streams.
func TestCancelledCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ behavior, more string }{
		"latency":        {`{"latency": "1h"}`, ""},
		"hang":           {`{"hang": true}`, ""},
		"token delay":    {`{"token_delay": "1h"}`, `"stream": true`},
		"stream hangs":   {`{"hang_after": 1}`, `"stream": true`},
		"body hangs":     {`{"hang_after": 5}`, `"n": 1`},
		"endless":        {`{"endless": true}`, `"n": 1`},
		"endless stream": {`{"endless": true}`, `"stream": true`},
		"slow endless":   {`{"endless": true, "token_delay": "1ms"}`, `"stream": true`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, Options{ChunkTokens: 1})
			f.control(t, `{"next": [`+c.behavior+`]}`)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			body := ask("hi")
			if c.more != "" {
				body = ask("hi", c.more)
			}
			go func() {
				resp, err := f.post(ctx, "/v1/chat/completions", body)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				ended <- err
			}()
			f.await(t, "the request", func(s Stats) bool { return s.InFlight == 1 })
			cancelled := time.Now()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("request: got %v, want context.Canceled", err)
			}
			stats := f.await(t, "the cancellation", func(s Stats) bool { return s.Cancelled == 1 })
			if stats.InFlight != 0 || stats.Completed != 0 || len(stats.Cancellations) != 1 {
				t.Fatalf("stats: got %+v", stats)
			}
			if late := stats.Cancellations[0].At.Sub(cancelled); late > 500*time.Millisecond {
				t.Errorf("the server noticed after %v, want 500 ms at most", late)
			}
		})
	}
}

// TestStreamHangs reads what a stream sends before it falls silent.
func TestStreamHangs(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{ChunkTokens: 1})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := f.post(ctx, "/v1/chat/completions", ask("one two", `"stream": true`), "X-Fakelm-Hang-After", "3")
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	defer resp.Body.Close()
	scanner := bufio.NewScanner(resp.Body)
	text := ""
	for text != "Echo: one" && scanner.Scan() {
		if data, found := strings.CutPrefix(scanner.Text(), "data: "); found {
			text += decodeAnswer(t, data).Choices[0].Delta.Content
		}
	}
	stats := f.Stats()
	cancel()
	if text != "Echo: one" || stats.InFlight != 1 {
		t.Errorf("got %q with %d in flight, want \"Echo: one\" and one", text, stats.InFlight)
	}
	f.await(t, "the cancellation", func(s Stats) bool {
		return s.Cancelled == 1 && s.Cancellations[0].Chunks == 3
	})
}

func TestBigAnswers(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	got := f.do(t, ask("hi"), "X-Fakelm-Size", "300000")
	if said := got.said(t); len(said) != 300000 || !strings.HasPrefix(said, "Echo: hixxx") {
		t.Errorf("size 300000: got %d bytes %.20q", len(said), said)
	}
	text := ""
	for _, data := range sseData(f.do(t, ask("hi", `"stream": true`), "X-Fakelm-Size", "300000").body) {
		if len(data) > 60<<10 {
			t.Errorf("line of %d bytes", len(data))
		}
		if data != "[DONE]" {
			text += decodeAnswer(t, data).Choices[0].Delta.Content
		}
	}
	if len(text) != 300000 {
		t.Errorf("streamed size 300000: got %d", len(text))
	}
	cut := f.do(t, ask("hi"), "X-Fakelm-Size", "300000", "X-Fakelm-Cut-After", "200000")
	if len(cut.body) != 200000 || !errors.Is(cut.err, io.ErrUnexpectedEOF) {
		t.Errorf("cut in the padding: got %d bytes, error %v, want 200000 and a cut", len(cut.body), cut.err)
	}

	const huge = 100_000_000
	resp, err := f.post(t.Context(), "/v1/chat/completions", ask("hi"), "X-Fakelm-Size", fmt.Sprint(huge))
	if err != nil {
		t.Fatalf("post: %v", err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if n < huge || n != resp.ContentLength || err != nil {
		t.Errorf("size %d: got %d of %d bytes, error %v", huge, n, resp.ContentLength, err)
	}
}

func TestBrokenStream(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{ChunkTokens: 1})
	data := sseData(f.do(t, ask("one two", `"stream": true`), "X-Fakelm-Broken-Json", "true").body)
	broken := 0
	for _, text := range data {
		if text != "[DONE]" && !json.Valid([]byte(text)) {
			broken++
		}
	}
	if broken != 1 || data[len(data)-1] != "[DONE]" {
		t.Errorf("broken lines: got %d in %q, want 1", broken, data)
	}
	got := f.do(t, ask("hi", `"stream": true`), "X-Fakelm-Status", "429", "X-Fakelm-Retry-After", "3")
	if got.status != 429 || got.header.Get("Retry-After") != "3" || decodeAnswer(t, got.body).Error.Code == "" {
		t.Errorf("refused stream: got %d %v %s", got.status, got.header, got.body)
	}
}

// TestDelays measures the delays on a fake clock.
func TestDelays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		options := Options{Latency: 300 * time.Millisecond, TokenDelay: 20 * time.Millisecond, ChunkTokens: 1}
		took := func(o Options, body string) time.Duration {
			began := time.Now()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
			New(o).Handler().ServeHTTP(httptest.NewRecorder(), req)
			return time.Since(began)
		}
		if got := took(options, ask("hi")); got != 300*time.Millisecond {
			t.Errorf("plain answer: took %v, want 300ms", got)
		}
		// "Echo", ":" and " hi", and once more before the end.
		if got := took(options, ask("hi", `"stream": true`)); got != 380*time.Millisecond {
			t.Errorf("stream: took %v, want 380ms", got)
		}
		options.Jitter = time.Second
		seen := map[time.Duration]bool{}
		for seed := range uint64(20) {
			options.Seed = seed
			got := took(options, ask("hi"))
			if got < 300*time.Millisecond || got >= 1300*time.Millisecond {
				t.Errorf("seed %d: took %v, want from 300ms to 1.3s", seed, got)
			}
			if again := took(options, ask("hi")); again != got {
				t.Errorf("seed %d: took %v, then %v", seed, got, again)
			}
			seen[got] = true
		}
		if len(seen) < 10 {
			t.Errorf("jitter: got %d different latencies of 20", len(seen))
		}
		if got := took(options, strings.Replace(ask("hi"), `"m"`, `"m?latency=5s"`, 1)); got != 5*time.Second {
			t.Errorf("own latency: took %v, want 5s without jitter", got)
		}
	})
}

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	for _, good := range []Options{{}, {ErrorRate: 1, CutRate: 0.5, KeepRequests: -1, Latency: time.Second}} {
		if err := good.Validate(); err != nil {
			t.Errorf("Validate(%+v): got %v, want nil", good, err)
		}
	}
	bad := Options{
		ErrorRate: 1.5, RateLimitRate: -1, Latency: -1, Jitter: -1, TokenDelay: -1, RetryAfter: -1, StopGrace: -1,
		ChunkTokens: -1, KeepRequests: 1 << 20,
	}
	err := bad.Validate()
	for _, want := range []string{
		"error rate", "rate limit rate", "latency", "jitter", "token delay", "retry after", "stop grace", "chunk tokens",
		"keep requests",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate: got %v, want %q in it", err, want)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		`"300ms"`: 300 * time.Millisecond, `0.25`: 250 * time.Millisecond, `2`: 2 * time.Second, `"2"`: 2 * time.Second,
		`0`: 0,
	} {
		var got Duration
		if err := json.Unmarshal([]byte(text), &got); err != nil || time.Duration(got) != want {
			t.Errorf("decode %s: got %v, error %v, want %v", text, time.Duration(got), err, want)
		}
	}
	for _, text := range []string{`"soon"`, `true`, `{}`, `1e300`, `"NaN"`} {
		var got Duration
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("decode %s: got %v, want an error", text, time.Duration(got))
		}
	}
	data, err := json.Marshal(Duration(1500 * time.Millisecond))
	if diff := cmp.Diff(`"1.5s"`, string(data)); diff != "" || err != nil {
		t.Errorf("encode: error %v (-want +got):\n%s", err, diff)
	}
}
