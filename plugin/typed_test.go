package plugin

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

type address struct {
	Street string `json:"street"`
	Number int    `json:"number,omitempty"`
}

type base struct {
	ID     string `json:"id"`
	Shadow int    `json:"shadow"`
}

type person struct {
	base
	Name     string             `json:"name"`
	Age      *uint8             `json:"age"`
	Tags     []string           `json:"tags,omitempty"`
	Homes    []address          `json:"homes,omitempty"`
	Scores   map[string]float64 `json:"scores,omitempty"`
	Born     time.Time          `json:"born,omitzero"`
	Photo    []byte             `json:"photo,omitempty"`
	Any      any                `json:"any,omitempty"`
	Raw      json.RawMessage    `json:"raw,omitempty"`
	Count    int64              `json:"count,string,omitempty"`
	Boss     *person            `json:"boss,omitempty"`
	Shadow   string             `json:"shadow,omitempty"`
	Hidden   string             `json:"-"`
	private  int
	Untagged bool `json:",omitempty"`
}

func TestTypedArguments(t *testing.T) {
	t.Parallel()
	app := New("acme")
	Command(app, "greet", func(_ *Context, p person) (string, error) {
		_ = p.private
		return "hello " + p.Name + " of " + p.ID, nil
	})
	Command(app, "none", func(*Context, struct{}) (int, error) { return 1, nil })
	Command(app, "map", func(_ *Context, m map[string]address) (int, error) { return len(m), nil })
	Command(app, "any", func(_ *Context, a any) (any, error) { return a, nil })
	Command(app, "raw", func(_ *Context, a json.RawMessage) (json.RawMessage, error) { return a, nil })
	Command(app, "pointer", func(_ *Context, a *address) (string, error) { return a.Street, nil })
	w, err := ServeTest(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tests := []struct{ command, args, want string }{
		{"greet", `{"id":"7","name":"Ada","age":null}`, `"hello Ada of 7"`},
		{"greet", `{"id":"7","name":"Ada","age":36,"tags":null,"homes":[{"street":"x"}],"scores":{"a":1.5},"born":"1815-12-10T00:00:00Z","photo":"aGk=","any":[1],"raw":{"x":1},"count":"5","boss":{"id":"8","name":"B"},"shadow":"s","Untagged":true}`, `"hello Ada of 7"`},
		{"greet", `{"id":"7"}`, `call command "greet": argument "name" is missing`},
		{"greet", `{"name":"Ada"}`, `call command "greet": argument "id" is missing`},
		{"greet", `{"id":"7","name":"Ada","nmae":1}`, `call command "greet": argument "nmae" is unknown`},
		{"greet", `{"id":"7","Name":"Ada"}`, `call command "greet": argument "name" is missing`},
		{"greet", `{"id":"7","name":"Ada","Hidden":"x"}`, `call command "greet": argument "Hidden" is unknown`},
		{"greet", `{"id":"7","name":"Ada","private":1}`, `call command "greet": argument "private" is unknown`},
		{"greet", `{"id":"7","name":null}`, `call command "greet": argument "name" must not be null`},
		{"greet", `{"id":"7","name":5}`, `call command "greet": argument "name" must be a string, not number`},
		{"greet", `{"id":"7","name":"Ada","age":300}`, `call command "greet": argument "age" must be an integer that fits into uint8, not number 300`},
		{"greet", `{"id":"7","name":"Ada","tags":{}}`, `call command "greet": argument "tags" must be an array, not object`},
		{"greet", `{"id":"7","name":"Ada","shadow":5}`, `call command "greet": argument "shadow" must be a string, not number`},
		{"greet", `{"id":"7","name":"Ada","homes":[{"street":"x"},{"number":1}]}`, `call command "greet": argument "homes[1].street" is missing`},
		{"greet", `{"id":"7","name":"Ada","homes":[null]}`, `call command "greet": argument "homes[0]" must not be null`},
		{"greet", `{"id":"7","name":"Ada","boss":{"id":"8"}}`, `call command "greet": argument "boss.name" is missing`},
		{"greet", `{"id":"7","name":"Ada","born":"yesterday"}`, `call command "greet": parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"`},
		{"none", `{}`, `1`},
		{"none", `{"x":1}`, `call command "none": argument "x" is unknown`},
		{"map", `{"a":{"street":"x"},"b":{"street":"y"}}`, `2`},
		{"map", `{"a":{"street":"x"},"b":{"strait":"y"}}`, `call command "map": argument "b.street" is missing`},
		{"any", `{"a":[1,{"b":null}]}`, `{"a":[1,{"b":null}]}`},
		{"raw", `{"a":1}`, `{"a":1}`},
		{"pointer", `{"street":"x"}`, `"x"`},
	}
	for _, test := range tests {
		reply, err := w.Call(t.Context(), test.command, json.RawMessage(test.args))
		got := string(reply.Result)
		if err != nil {
			got = err.Error()
			if !errors.Is(err, shared.ErrInvalidArgument) {
				t.Errorf("%s(%s): got reason %s, want %s", test.command, test.args, shared.AsError(err).Reason, shared.InvalidArgument)
			}
		}
		if got != test.want {
			t.Errorf("%s(%s):\n got %s\nwant %s", test.command, test.args, got, test.want)
		}
	}
}

func TestTypedHintNamesTheArguments(t *testing.T) {
	t.Parallel()
	app := New("acme")
	Command(app, "move", func(*Context, address) (int, error) { return 0, nil })
	Command(app, "none", func(*Context, struct{}) (int, error) { return 0, nil })
	w, err := ServeTest(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for command, want := range map[string]string{
		"move": "its arguments are street, number (optional)",
		"none": "its arguments are none",
	} {
		_, err := w.Call(t.Context(), command, map[string]int{"x": 1})
		if got := shared.AsError(err).Hint; got != want {
			t.Errorf("%s: got hint %q, want %q", command, got, want)
		}
	}
}

func TestDerivedSchemas(t *testing.T) {
	t.Parallel()
	type left struct {
		Both  int `json:"both"`
		Outer int `json:"outer"`
	}
	type right struct {
		Both int `json:"both"`
		Own  int `json:"x"`
	}
	type embeds struct {
		left
		*right
		Outer string `json:"outer"`
	}
	app := New("acme")
	Command(app, "greet", func(*Context, person) (map[string]*address, error) { return nil, nil })
	Command(app, "embeds", func(*Context, embeds) (any, error) { return nil, nil })
	Stream(app, "own", func(*Context, address, func(int) error) ([2]float32, error) { return [2]float32{}, nil },
		Schema([]byte(`{"title":"mine"}`), nil))
	if err := app.Err(); err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	for _, c := range describe(app.snapshot())[:3] {
		got[c.GetName()] = []string{string(c.GetArgsSchema()), string(c.GetResultSchema())}
	}
	address := `"additionalProperties":false,"properties":{"number":{"type":"integer"},"street":{"type":"string"}},"required":["street"]`
	want := map[string][]string{
		"greet": {
			`{"additionalProperties":false,"properties":{` +
				`"Untagged":{"type":"boolean"},"age":{"type":["integer","null"]},"any":{},"born":{"format":"date-time","type":"string"},` +
				`"boss":{},"count":{"type":"string"},"homes":{"items":{` + address + `,"type":"object"},"type":["array","null"]},` +
				`"id":{"type":"string"},"name":{"type":"string"},"photo":{"format":"byte","type":["string","null"]},"raw":{},` +
				`"scores":{"additionalProperties":{"type":"number"},"type":["object","null"]},"shadow":{"type":"string"},` +
				`"tags":{"items":{"type":"string"},"type":["array","null"]}},"required":["id","name"],"type":"object"}`,
			`{"additionalProperties":{` + address + `,"type":["object","null"]},"type":["object","null"]}`,
		},
		"embeds": {
			`{"additionalProperties":false,"properties":{"outer":{"type":"string"},"x":{"type":"integer"}},"required":["outer"],"type":"object"}`,
			`{}`,
		},
		"own": {`{"title":"mine"}`, `{"items":{"type":"number"},"type":"array"}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
}
