package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/host/client"
	"github.com/dspex/dspex/shared"
)

// greeter is a host whose only pool greets.
type greeter struct{ scripted }

func (*greeter) Call(_ context.Context, req shared.CallRequest) (*shared.CallResult, error) {
	if req.Pool != "greet" {
		return nil, shared.Errorf(shared.PoolNotFound, "there is no pool %q", req.Pool).WithHint("pools: greet")
	}
	return &shared.CallResult{Result: json.RawMessage(`{"greeting": "hello, Ada"}`), Worker: "greet-1"}, nil
}

func startGreeter() *httptest.Server {
	server, err := api.New(&greeter{}, api.Options{})
	if err != nil {
		panic(err)
	}
	return httptest.NewServer(server)
}

func Example() {
	host := startGreeter() // a running host; see client.DefaultAddr
	defer host.Close()

	c, err := client.New(host.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	type reply struct {
		Greeting string `json:"greeting"`
	}
	answer, err := client.CallAs[reply](context.Background(), c.Pool("greet"), "hello", map[string]string{"name": "Ada"})
	fmt.Println(answer.Greeting, err)

	_, err = c.Pool("great").Call(context.Background(), "hello", nil)
	if errors.Is(err, shared.ErrPoolNotFound) {
		fmt.Println(err, "-", shared.AsError(err).Hint)
	}
	// Output:
	// hello, Ada <nil>
	// there is no pool "great" - pools: greet
}

func ExamplePool_Stream() {
	server, err := api.New(&scripted{}, api.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	host := httptest.NewServer(server)
	defer host.Close()
	c, err := client.New(host.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	for event, err := range c.Pool("qa").Stream(context.Background(), "count", map[string]int{"to": 2}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Kind, string(event.Data))
	}
	// Output:
	// chunk 1
	// progress {"done":0.50}
	// chunk 2
}
