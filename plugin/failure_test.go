package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// myError is an error type of an author.
type myError struct{ text string }

func (e *myError) Error() string { return e.text }

// badJSON is a value whose own encoding is at fault.
type badJSON struct{ mode string }

func (b badJSON) MarshalJSON() ([]byte, error) {
	switch b.mode {
	case "panic":
		panic("cannot encode")
	case "utf8":
		return []byte("\"\xff\""), nil
	default:
		return []byte(`{"open"`), nil
	}
}

func explode() { panic(errors.New("boom")) }

func nested(levels int) json.RawMessage {
	return json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))
}

func TestFailures(t *testing.T) {
	t.Parallel()
	type want struct{ Reason, Type, Message, Hint, Traceback string }
	tests := map[string]struct {
		run  CommandFunc
		want want // Traceback: what it contains
	}{
		"error": {
			func(*Context, json.RawMessage) (any, error) { return nil, &myError{"no luck"} },
			want{"PYTHON_EXCEPTION", "plugin.myError", "no luck", "", ""},
		},
		"wrapped error": {
			func(*Context, json.RawMessage) (any, error) {
				return nil, errors.Join(fmt.Errorf("read it: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}))
			},
			want{"PYTHON_EXCEPTION", "fs.PathError", "read it: open x: file does not exist", "", ""},
		},
		"plain error": {
			func(*Context, json.RawMessage) (any, error) { return "lost", errors.New("plain") },
			want{"PYTHON_EXCEPTION", "errors.errorString", "plain", "", ""},
		},
		"nil error of a type": {
			func(*Context, json.RawMessage) (any, error) {
				var e *myError
				return nil, e
			},
			want{"PYTHON_EXCEPTION", "plugin.myError", "<nil>", "", ""},
		},
		"error of the table": {
			func(*Context, json.RawMessage) (any, error) {
				return nil, shared.Errorf(shared.LMAuth, "key is wrong").WithHint("set it")
			},
			want{"LM_AUTH", "", "key is wrong", "set it", ""},
		},
		"wrapped error of the table": {
			func(*Context, json.RawMessage) (any, error) {
				return nil, fmt.Errorf("ask: %w", shared.Errorf(shared.LMTimeout, "too slow").WithHint("wait"))
			},
			want{"LM_TIMEOUT", "", "ask: too slow", "wait", ""},
		},
		"remote error": {
			func(*Context, json.RawMessage) (any, error) {
				return nil, &shared.Error{
					Reason: shared.PythonException, Message: "bad",
					Remote: &shared.RemoteError{Type: "ValueError", Traceback: "line 1"},
				}
			},
			want{"PYTHON_EXCEPTION", "ValueError", "bad", "", "line 1"},
		},
		"context error without a cancel": {
			func(*Context, json.RawMessage) (any, error) { return nil, context.DeadlineExceeded },
			want{"PYTHON_EXCEPTION", "context.deadlineExceededError", "context deadline exceeded", "", ""},
		},
		"invalid UTF-8": {
			func(*Context, json.RawMessage) (any, error) { return nil, errors.New("a\xffb") },
			want{"PYTHON_EXCEPTION", "errors.errorString", "a\uFFFDb", "", ""},
		},
		"panic": {
			func(*Context, json.RawMessage) (any, error) {
				explode()
				return nil, nil
			},
			want{"PYTHON_EXCEPTION", "panic", "boom", "", "plugin.explode"},
		},
		"nil dereference": {
			func(*Context, json.RawMessage) (any, error) {
				var e *myError
				return e.text, nil
			},
			want{"PYTHON_EXCEPTION", "panic", "runtime error: invalid memory address or nil pointer dereference", "", "failure_test.go"},
		},
		"end of the goroutine": {
			func(*Context, json.RawMessage) (any, error) {
				runtime.Goexit()
				return nil, nil
			},
			want{"PYTHON_EXCEPTION", "goexit", "command ended its goroutine", "return from the command: runtime.Goexit and testing's FailNow do not", ""},
		},
		"result without JSON": {
			func(*Context, json.RawMessage) (any, error) { return math.NaN(), nil },
			want{"RESULT_INVALID", "", "encode result: json: unsupported value: NaN", "return values that encoding/json can encode", ""},
		},
		"result with broken JSON": {
			func(*Context, json.RawMessage) (any, error) { return json.RawMessage(`{"a":`), nil },
			want{"RESULT_INVALID", "", "encode result: json: error calling MarshalJSON for type json.RawMessage: unexpected end of JSON input", "return values that encoding/json can encode", ""},
		},
		"result with invalid UTF-8": {
			func(*Context, json.RawMessage) (any, error) { return badJSON{"utf8"}, nil },
			want{"RESULT_INVALID", "", "encode result: is not valid UTF-8", "", ""},
		},
		"result that panics": {
			func(*Context, json.RawMessage) (any, error) { return badJSON{"panic"}, nil },
			want{"PYTHON_EXCEPTION", "panic", "cannot encode", "", "badJSON.MarshalJSON"},
		},
		"result too deep": {
			func(*Context, json.RawMessage) (any, error) { return nested(65), nil },
			want{"RESULT_INVALID", "", "encode result: is nested deeper than 64 levels", "", ""},
		},
		"result too large": {
			func(*Context, json.RawMessage) (any, error) { return strings.Repeat("x", 199_999), nil },
			want{"RESULT_TOO_LARGE", "", "encode result: 200001 bytes are more than the limit of 200000", "send less, or in chunks, or raise max_message of the pool", ""},
		},
	}
	app := New("acme")
	ids := make(map[string]uint64)
	for name, test := range tests {
		ids[name] = uint64(len(ids))
		app.Command(fmt.Sprint("c", ids[name]), test.run)
	}
	h := attach(t, app, &workerv1.ConfigureRequest{MaxPayloadBytes: 200_000})
	for name, test := range tests {
		id := ids[name]
		h.call(&workerv1.Call{Id: id, Command: fmt.Sprint("c", id)})
		f := h.terminal(id).failure
		got := want{f.GetReason(), f.GetType(), f.GetMessage(), f.GetHint(), test.want.Traceback}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: failure (-want +got):\n%s", name, diff)
		}
		if !strings.Contains(f.GetTraceback(), test.want.Traceback) || (test.want.Traceback == "" && f.GetTraceback() != "") {
			t.Errorf("%s: got traceback %q, want one with %q", name, f.GetTraceback(), test.want.Traceback)
		}
		if strings.Contains(f.GetTraceback(), "debug.Stack") {
			t.Errorf("%s: traceback begins with the recovery:\n%s", name, f.GetTraceback())
		}
	}
	h.call(&workerv1.Call{Id: 1000, Command: "ping"})
	if got := h.terminal(1000); got.result == nil {
		t.Errorf("after all failures: got %v, want the worker to live", got.failure)
	}
}

func TestRejectedArguments(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("echo", func(_ *Context, args json.RawMessage) (any, error) { return args, nil })
	h := attach(t, app, &workerv1.ConfigureRequest{MaxPayloadBytes: 100_000})
	tests := []struct {
		command, args, reason, message string
	}{
		{"nope", `{}`, "COMMAND_NOT_FOUND", `worker has no command "nope"`},
		{"echo", `[1]`, "INVALID_ARGUMENT", `read arguments of command "echo": must be a JSON object`},
		{"echo", ` 3`, "INVALID_ARGUMENT", `read arguments of command "echo": must be a JSON object`},
		{"echo", `{"a":}`, "INVALID_ARGUMENT", `read arguments of command "echo": is not valid JSON`},
		{"echo", "{\"a\":\"\xff\"}", "INVALID_ARGUMENT", `read arguments of command "echo": is not valid UTF-8`},
		{"echo", `{"a":` + string(nested(64)) + `}`, "INVALID_ARGUMENT", `read arguments of command "echo": is nested deeper than 64 levels`},
		{"echo", `{"a":"` + strings.Repeat("x", 100_000) + `"}`, "PAYLOAD_TOO_LARGE", `read arguments of command "echo": 100008 bytes are more than the limit of 100000`},
		{"echo", `{"a":` + string(nested(63)) + `}`, "", ""},
		{"echo", ``, "", ""},
	}
	for i, test := range tests {
		id := uint64(i)
		h.call(&workerv1.Call{Id: id, Command: test.command, Args: []byte(test.args)})
		got := h.terminal(id)
		if got.failure.GetReason() != test.reason || got.failure.GetMessage() != test.message {
			t.Errorf("%s(%.40s): got %s %q, want %s %q", test.command, test.args,
				got.failure.GetReason(), got.failure.GetMessage(), test.reason, test.message)
		}
	}
	// The same over the limit in fragments, of which the worker keeps nothing.
	for range 3 {
		h.send(&workerv1.AttachRequest{Fragments: []*workerv1.Fragment{{CallId: 50, Data: make([]byte, 60_000)}}})
	}
	h.call(&workerv1.Call{Id: 50, Command: "echo", Fragmented: true})
	want := `read arguments of command "echo": 180000 bytes are more than the limit of 100000`
	if got := h.terminal(50).failure; got.GetReason() != "PAYLOAD_TOO_LARGE" || got.GetMessage() != want {
		t.Errorf("got %v, want PAYLOAD_TOO_LARGE %q", got, want)
	}
}

func TestUnknownCommandNamesTheOthers(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Command("a", func(*Context, json.RawMessage) (any, error) { return nil, nil })
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "b"})
	if got, want := h.terminal(1).failure.GetHint(), "its commands are a, ping"; got != want {
		t.Errorf("got hint %q, want %q", got, want)
	}
}

func TestTooLargeChunkFailsItsSend(t *testing.T) {
	t.Parallel()
	app := New("acme")
	app.Stream("s", func(_ *Context, _ json.RawMessage, send func(any) error) (any, error) {
		if err := send(1); err != nil {
			return nil, err
		}
		return nil, send(strings.Repeat("x", 1000))
	})
	h := attach(t, app, &workerv1.ConfigureRequest{MaxPayloadBytes: 500})
	h.call(&workerv1.Call{Id: 1, Command: "s", Stream: true})
	got := h.terminal(1)
	if got.failure.GetReason() != "RESULT_TOO_LARGE" || len(got.chunks) != 1 {
		t.Errorf("got %v after %d chunks, want RESULT_TOO_LARGE after 1", got.failure, len(got.chunks))
	}
}

func TestSendAfterTheCallHasEnded(t *testing.T) {
	t.Parallel()
	sends := make(chan func(any) error, 1)
	app := New("acme")
	app.Stream("s", func(_ *Context, _ json.RawMessage, send func(any) error) (any, error) {
		sends <- send
		return nil, nil
	})
	h := attach(t, app, nil)
	h.call(&workerv1.Call{Id: 1, Command: "s", Stream: true})
	h.terminal(1)
	if err := (<-sends)("late"); err == nil {
		t.Error("got no error of a send after the end of its call")
	}
	h.call(&workerv1.Call{Id: 2, Command: "ping"})
	h.terminal(2)
}

func TestClip(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "ok", strings.Repeat("é", maxText), "\xff\xfe", strings.Repeat("x", maxText-1) + "é"} {
		got := clip(text)
		if !utf8.ValidString(got) || len(got) > maxText+2 {
			t.Errorf("clip of %d bytes: got %d bytes, valid %t", len(text), len(got), utf8.ValidString(got))
		}
	}
	if got := clip("a\xffb"); got != "a\uFFFDb" {
		t.Errorf("got %q", got)
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		``: 0, `1`: 0, `[]`: 1, `{"a":[{}],"b":[]}`: 3, `"[[["`: 0, `["\"[[", "\\", [] ]`: 2, `["\\\"[["]`: 1,
	} {
		if got := depth([]byte(text)); got != want {
			t.Errorf("depth(%s): got %d, want %d", text, got, want)
		}
	}
}
