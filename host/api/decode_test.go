package api

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "7d": 168 * time.Hour,
		"1d12h": 36 * time.Hour, "1.5s": 1500 * time.Millisecond, "0s": 0, "007s": 7 * time.Second, "5us": 5 * time.Microsecond,
		"5\u00b5s": 5 * time.Microsecond, "9ns": 9, "0.1ns": 0, "1m1m": 2 * time.Minute, "1ms1m": time.Minute + time.Millisecond,
		"300y": -1, "99999999d": math.MaxInt64, strings.Repeat("9", 62) + "h": math.MaxInt64,
	} {
		got, err := parseDuration("timeout", text)
		if want < 0 {
			if err == nil {
				t.Errorf("parseDuration(%q) = %v, want an error", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "30", "s", "-1s", "+1s", "1", "1.", "1.s", ".5s", "1..2s", "1.2.3s", "1e3s", " 1s", "1s ", "1 s", "1S", "0x1s", "1_0s",
		"inf", "NaN", "1/2s", "\uff11s", "\u0661s", strings.Repeat("9", 64) + "h",
	} {
		got, err := parseDuration("timeout", text)
		e := shared.AsError(err)
		if e == nil || e.Reason != shared.InvalidArgument || !strings.Contains(e.Message, "timeout") || !strings.Contains(e.Hint, `"30s"`) {
			t.Errorf("parseDuration(%q) = %v, %v, want INVALID_ARGUMENT with a hint", text, got, err)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", 24 * time.Hour: "24h", 10 * time.Minute: "10m", 61 * time.Minute: "1h1m",
		time.Hour + time.Second: "1h0m1s", 10 * time.Second: "10s", 1500 * time.Millisecond: "1.5s", 20 * time.Hour: "20h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%d) = %q, want %q", d, got, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []int64{0, 1, 1e3, 1e9, 60e9, 3600e9, 3601e9, math.MaxInt64} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		if n < 0 {
			t.Skip()
		}
		text := formatDuration(time.Duration(n))
		if got, err := parseDuration("x", text); err != nil || int64(got) != n {
			t.Errorf("parseDuration(formatDuration(%d) = %q) = %d, %v", n, text, got, err)
		}
	})
}

func TestMillis(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0", time.Millisecond: "1", 1500 * time.Microsecond: "1.5", 999: "0", 1234567: "1.234", time.Hour: "3600000",
		math.MaxInt64: "9223372036854.775",
	} {
		if got, err := json.Marshal(millis(d)); err != nil || string(got) != want {
			t.Errorf("millis(%d) = %s, %v, want %s", d, got, err, want)
		}
	}
}

// FuzzDecodeBody checks that whatever passes is JSON, and means the same to
// encoding/json.
func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"command":"c","args":{"a":[1,{"b":null}]},"idempotent":true,"timeout":"1s"}`, `{"command":"\ud800"}`,
		`{"args":{"a":1}}{}`, `[`, `{"a"`, "{\"command\":\"\x00\"}", strings.Repeat(`{"args":`, 100), `{"args":{"a":1e400}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		var command string
		var args json.RawMessage
		var idempotent bool
		var timeout time.Duration
		err := decodeBody(r, text("command", &command), object("args", &args), flag("idempotent", &idempotent), duration("timeout", &timeout))
		if err != nil {
			if e := shared.AsError(err); e.Reason != shared.InvalidArgument || len(e.Message) > 1000 {
				t.Fatalf("decodeBody(%q) = %v, want a short INVALID_ARGUMENT", body, err)
			}
			return
		}
		var want struct {
			Command    *string
			Args       json.RawMessage
			Idempotent *bool
		}
		if len(strings.TrimSpace(string(body))) == 0 {
			return
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("decodeBody accepted %q, which is no JSON: %v", body, err)
		}
		if want.Command != nil && *want.Command != command || want.Idempotent != nil && *want.Idempotent != idempotent {
			t.Errorf("decodeBody(%q) = %q, %v, want %+v", body, command, idempotent, want)
		}
		if args != nil && (string(args) != string(want.Args) || args[0] != '{') {
			t.Errorf("decodeBody(%q): args = %q, want %q", body, args, want.Args)
		}
	})
}

// FuzzMembers compares the members of valid objects with those that encoding/json
// finds.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b":[{"x":"}"}] ,"c": "\\\"" } `, `{"\u0061":tru\u0065}`, `{"a":-1e5,"b":null}`, `{"a":{"a":{"a":[]}},"":""}`,
		"{\n\t\"a\"\r:\n[ 1 ,2 ]\n}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want := map[string]json.RawMessage{}
		object, err := checkObject(body)
		if bad := json.Unmarshal(body, &want); (bad == nil) != (err == nil) && string(bytes.Trim(body, spaces)) != "null" {
			t.Fatalf("checkObject(%q) = %v, encoding/json says %v", body, err, bad)
		}
		if err != nil {
			return
		}
		got := map[string]json.RawMessage{}
		for name, value := range membersOf(object) {
			got[strings.ToValidUTF8(name, "\uFFFD")] = value // readBody refuses what is not UTF-8
		}
		if !utf8.Valid(body) {
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("members of %q (-encoding/json +got):\n%s", body, diff)
		}
	})
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"command", "args", "session", "session_data", "timeout", "idempotent"}
	for name, want := range map[string]string{
		"comand": "command", "Command": "command", "arg": "args", "sesion-data": "session_data", "time_out": "timeout",
		"x": "", "": "", "completely": "", strings.Repeat("args", 100): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestTraceparent(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for value, want := range map[string]string{
		good: good, good + "-later": "", good + "-00": good + "-00", "": "", good[1:]: "", strings.ToUpper(good): "",
		strings.ReplaceAll(good, "-", "0"): "", good + strings.Repeat("0", 100): "",
	} {
		if got := traceparentOf(http.Header{"Traceparent": {value}}); got != want {
			t.Errorf("traceparentOf(%q) = %q, want %q", value, got, want)
		}
	}
}
