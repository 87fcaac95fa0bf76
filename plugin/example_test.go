package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/dspex/dspex/plugin"
	"github.com/dspex/dspex/shared"
)

type Person struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
}

type Greeting struct {
	Text string `json:"text"`
}

func greet(_ *plugin.Context, p Person) (Greeting, error) {
	if p.Name == "" {
		return Greeting{}, shared.Errorf(shared.InvalidArgument, "name is empty").WithHint("say who is to be greeted")
	}
	return Greeting{Text: "Hello, " + p.Title + p.Name}, nil
}

// An app is a set of commands. Main hands it to Serve; tests hand it to
// ServeTest.
func Example() {
	app := plugin.New("acme")
	plugin.Command(app, "greet", greet, plugin.Doc("Greet a person."), plugin.Idempotent())

	// In main: plugin.Serve(app)

	w, err := plugin.ServeTest(context.Background(), app)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	reply, err := w.Call(context.Background(), "greet", Person{Name: "Ada"})
	fmt.Printf("%s %v\n", reply.Result, err)
	// Output: {"text":"Hello, Ada"} <nil>
}

// Typed arguments are checked before the command runs.
func ExampleCommand() {
	app := plugin.New("acme")
	plugin.Command(app, "greet", greet)
	w, err := plugin.ServeTest(context.Background(), app)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	for _, args := range []string{`{"name":"Ada","title":"Lady "}`, `{"title":"Lady "}`, `{"name":"Ada","age":36}`, `{"name":5}`, `{"name":""}`} {
		reply, err := w.Call(context.Background(), "greet", json.RawMessage(args))
		if e := shared.AsError(err); e != nil {
			fmt.Printf("%s: %s (%s)\n", e.Reason, e.Message, e.Hint)
			continue
		}
		fmt.Printf("%s\n", reply.Result)
	}
	// Output:
	// {"text":"Hello, Lady Ada"}
	// INVALID_ARGUMENT: call command "greet": argument "name" is missing (its arguments are name, title (optional))
	// INVALID_ARGUMENT: call command "greet": argument "age" is unknown (its arguments are name, title (optional))
	// INVALID_ARGUMENT: call command "greet": argument "name" must be a string, not number (its arguments are name, title (optional))
	// INVALID_ARGUMENT: name is empty (say who is to be greeted)
}

// A stream sends chunks before its result and stops when its caller leaves.
func ExampleStream() {
	type Range struct {
		To int `json:"to"`
	}
	app := plugin.New("acme")
	plugin.Stream(app, "count", func(ctx *plugin.Context, r Range, send func(int) error) (string, error) {
		for i := range r.To {
			if err := send(i); err != nil {
				return "", err // the caller has left
			}
		}
		return "counted", ctx.Progress(map[string]int{"percent": 100})
	})
	w, err := plugin.ServeTest(context.Background(), app)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	reply, err := w.Call(context.Background(), "count", Range{To: 3})
	fmt.Printf("%s %s %s %v\n", reply.Chunks, reply.Progress, reply.Result, err)
	// Output: [0 1 2] [{"percent":100}] "counted" <nil>
}

// Commands without types get the JSON as it is.
func ExampleApp_Command() {
	app := plugin.New("acme")
	app.Command("keys", func(_ *plugin.Context, args json.RawMessage) (any, error) {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(args, &object); err != nil {
			return nil, err
		}
		return len(object), nil
	}, plugin.Schema(nil, []byte(`{"type":"integer"}`)))
	w, err := plugin.ServeTest(context.Background(), app)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	reply, err := w.Call(context.Background(), "keys", map[string]int{"a": 1, "b": 2})
	fmt.Printf("%s %v\n", reply.Result, err)
	// Output: 2 <nil>
}

// A panic fails its call, with the stack in the error; the worker goes on.
func ExampleServeTest() {
	app := plugin.New("acme")
	app.Command("crash", func(*plugin.Context, json.RawMessage) (any, error) {
		panic("out of coffee")
	})
	w, err := plugin.ServeTest(context.Background(), app)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	_, err = w.Call(context.Background(), "crash", nil)
	var remote *shared.RemoteError
	if errors.As(err, &remote) {
		fmt.Println(remote, remote.Traceback != "")
	}
	reply, err := w.Call(context.Background(), "ping", nil)
	fmt.Println(reply.Result != nil, err)
	// Output:
	// panic: out of coffee true
	// true <nil>
}
