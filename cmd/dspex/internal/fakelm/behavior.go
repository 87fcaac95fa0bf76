package fakelm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// headerPrefix starts the request headers that carry a behavior's keys.
const headerPrefix = "X-Fakelm-"

// maxSize bounds Behavior.Size: 8 GiB.
const maxSize = 8 << 30

var errNegative = errors.New("must not be negative")

// Behavior is what the server does to one request in place of an ordinary
// answer. The zero value is an ordinary answer. A pointer that is nil leaves a
// property as it is.
type Behavior struct {
	// Status is the HTTP status. From 400 on, the body is an OpenAI error object
	// unless Body is set. 0 is 200.
	Status int `json:"status,omitempty"`
	// RetryAfter is the Retry-After header, in seconds. Nil sends none.
	RetryAfter *float64 `json:"retry_after,omitempty"`
	// Body replaces the whole HTTP body.
	Body *string `json:"body,omitempty"`
	// Content replaces what the assistant says.
	Content *string `json:"content,omitempty"`
	// FinishReason replaces finish_reason.
	FinishReason string `json:"finish_reason,omitempty"`
	// Usage replaces the token counts, which may be negative or absurd.
	Usage *Usage `json:"usage,omitempty"`
	// NoUsage leaves the token counts out.
	NoUsage bool `json:"no_usage,omitempty"`
	// ContentType replaces the Content-Type header. "text/html" without a Body
	// sends an HTML page, as a proxy in between does.
	ContentType string `json:"content_type,omitempty"`
	// Latency replaces Options.Latency and Options.Jitter.
	Latency *Duration `json:"latency,omitempty"`
	// TokenDelay replaces Options.TokenDelay.
	TokenDelay *Duration `json:"token_delay,omitempty"`
	// CutAfter cuts the connection after so many chunks of a stream, or bytes of
	// a plain body.
	CutAfter *int `json:"cut_after,omitempty"`
	// HangAfter falls silent, with the connection open, after so many chunks of a
	// stream, or bytes of a plain body.
	HangAfter *int `json:"hang_after,omitempty"`
	// Hang never answers: not even the headers.
	Hang bool `json:"hang,omitempty"`
	// Size pads the content to so many bytes, at most 8 GiB.
	Size int64 `json:"size,omitempty"`
	// Endless never ends the content.
	Endless bool `json:"endless,omitempty"`
	// BrokenJSON sends a body, or a chunk of a stream, that is no JSON.
	BrokenJSON bool `json:"broken_json,omitempty"`
}

// Usage is a token count as the API reports it.
type Usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
}

// Duration is a time.Duration whose JSON is a string such as "300ms", or a
// number of seconds.
type Duration time.Duration

var (
	_ json.Marshaler   = Duration(0)
	_ json.Unmarshaler = (*Duration)(nil)
)

// MarshalJSON writes the duration as a string.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads a string such as "300ms", or a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text := string(data)
	if err := json.Unmarshal(data, &text); err != nil && text[0] == '"' {
		return fmt.Errorf("decode duration: %w", err)
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		text += "s"
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("decode duration: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// Validate returns an error that names the first property out of its range.
func (b *Behavior) Validate() error {
	if b.Status != 0 && (b.Status < 200 || b.Status > 599) {
		return fmt.Errorf("status: %d is not within 200 and 599", b.Status)
	}
	if b.Size < 0 || b.Size > maxSize {
		return fmt.Errorf("size: %d is not within 0 and %d", b.Size, int64(maxSize))
	}
	for name, negative := range map[string]bool{
		"retry_after": b.RetryAfter != nil && *b.RetryAfter < 0,
		"latency":     b.Latency != nil && *b.Latency < 0,
		"token_delay": b.TokenDelay != nil && *b.TokenDelay < 0,
		"cut_after":   b.CutAfter != nil && *b.CutAfter < 0,
		"hang_after":  b.HangAfter != nil && *b.HangAfter < 0,
	} {
		if negative {
			return fmt.Errorf("%s: %w", name, errNegative)
		}
	}
	return nil
}

// ownBehavior returns the behavior that a request asks for itself, by headers or
// by the query part of its model name, which it cuts off. It returns nil if the
// request asks for none.
func ownBehavior(header http.Header, req *request) (*Behavior, error) {
	asked := map[string]string{}
	if base, query, found := strings.Cut(req.model, "?"); found {
		values, err := url.ParseQuery(query)
		if err != nil {
			return nil, fmt.Errorf("model %q: %w", req.model, err)
		}
		for name := range values {
			asked[name] = values.Get(name)
		}
		req.model = base
	}
	for name := range header {
		if key, found := strings.CutPrefix(name, headerPrefix); found {
			asked[strings.ReplaceAll(strings.ToLower(key), "-", "_")] = header.Get(name)
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	return behaviorOf(asked)
}

// behaviorOf reads a behavior from the texts of its properties.
func behaviorOf(asked map[string]string) (*Behavior, error) {
	object := map[string]json.RawMessage{}
	for name, text := range asked {
		raw := json.RawMessage(text)
		switch name {
		case "body", "content", "content_type", "finish_reason", "latency", "token_delay":
			raw = json.RawMessage(quoted(text))
		default:
			if !json.Valid(raw) {
				return nil, fmt.Errorf("%s: %q is not valid", name, text)
			}
		}
		object[name] = raw
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode behavior: %w", err)
	}
	b := &Behavior{}
	if err := decodeStrict(data, b); err != nil {
		return nil, err
	}
	return b, b.Validate()
}

// decodeStrict reads one JSON value and refuses names that it does not know.
func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errTrailing
	}
	return nil
}
