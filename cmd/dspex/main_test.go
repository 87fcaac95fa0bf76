package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/plugin"
)

// patience bounds the waits of these tests. It is no measure of speed.
const patience = time.Minute

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain makes this test binary three programs: the tests, dspex itself, and a
// worker in Go for its pools.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dspex":   main,
		"greeter": greeter,
	})
}

// greeter is a worker with commands in Go.
func greeter() {
	app := plugin.New("greeter")
	type person struct {
		Name string `json:"name"`
	}
	plugin.Command(app, "greet", func(_ *plugin.Context, args person) (string, error) { return "hello " + args.Name, nil })
	plugin.Command(app, "wait", func(ctx *plugin.Context, _ struct{}) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	type file struct {
		Path string `json:"path"`
	}
	plugin.Command(app, "hold", func(ctx *plugin.Context, args file) (string, error) {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			if _, err := os.Stat(args.Path); err == nil {
				return "held until there was a file", nil
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	})
	plugin.Serve(app)
}

// serveFake serves a fake host on a free port.
func serveFake(backend api.Backend) (addr string, stop func(), err error) {
	server, err := api.New(backend, api.Options{Listeners: []api.Listener{{Name: "test", Network: "tcp", Address: "127.0.0.1:0"}}, Version: "1.2.3"})
	if err != nil {
		return "", nil, err
	}
	if err := server.Listen(); err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	return server.Addrs()[0].Address, func() { cancel(); <-served }, nil
}

// dspex runs a command line in this process.
func dspex(t *testing.T, env map[string]string, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	code = run(t.Context(), newCLI(strings.NewReader(stdin), &out, &errOut, getenv), args)
	return out.String(), errOut.String(), code
}

// golden compares with a golden file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it with: go test ./cmd/dspex -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; see whether it should, then: go test ./cmd/dspex -update\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
