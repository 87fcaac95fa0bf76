package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dspex/dspex/shared"
)

func TestShutdownLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"h1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			began, finish := make(chan bool), make(chan bool)
			f.call = func(context.Context, shared.CallRequest) (*shared.CallResult, error) {
				began <- true
				<-finish
				return &shared.CallResult{}, nil
			}
			x := start(t, f, Options{})
			client := clientOf(t, proto)
			running := make(chan answer, 1)
			go func() {
				running <- send(t, client, "POST", x.url+"/v1/pools/qa/call", strings.NewReader(`{"command":"ping"}`))
			}()
			<-began
			done := make(chan error, 1)
			go func() { done <- x.server.Shutdown(context.Background()) }()
			refused := func() bool {
				req, _ := http.NewRequest("GET", x.url+"/healthz", nil)
				fresh := clientOf(t, "h1")
				res, err := fresh.Do(req)
				if err == nil {
					_ = res.Body.Close()
				}
				return err != nil
			}
			for !refused() {
				// Shutdown has not closed the listener yet.
			}
			select {
			case err := <-done:
				t.Fatalf("Shutdown = %v while a call runs", err)
			default:
			}
			close(finish)
			if a := <-running; a.status != 200 {
				t.Errorf("running call = %d, want 200", a.status)
			}
			if err := <-done; err != nil {
				t.Errorf("Shutdown = %v, want nil", err)
			}
			if err := x.server.Listen(); !errors.Is(err, shared.ErrDraining) {
				t.Errorf("Listen after Shutdown = %v, want DRAINING", err)
			}
		})
	}
}

func TestShutdownCancelsWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"shutdown", "serve"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			began, ended := make(chan bool), make(chan error, 1)
			f.call = func(ctx context.Context, _ shared.CallRequest) (*shared.CallResult, error) {
				began <- true
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, ctx.Err()
			}
			s, err := New(f, Options{Listeners: []Listener{{Network: "tcp", Address: "127.0.0.1:0"}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Listen(); err != nil {
				t.Fatal(err)
			}
			url := s.Addrs()[0].URL()
			serveCtx, stopServe := context.WithCancel(context.Background())
			defer stopServe()
			served := make(chan error, 1)
			go func() { served <- s.Serve(serveCtx) }()
			left := make(chan bool)
			client := clientOf(t, "h1")
			go func() {
				defer close(left)
				if res, err := client.Post(url+"/v1/pools/qa/call", "", strings.NewReader(`{"command":"ping"}`)); err == nil {
					_ = res.Body.Close()
				}
			}()
			<-began
			if how == "serve" {
				stopServe()
			} else {
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				defer cancel()
				if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Shutdown = %v, want deadline exceeded", err)
				}
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the call ended with %v, want canceled", err)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
			<-left
		})
	}
}

func TestServerWithoutListeners(t *testing.T) {
	t.Parallel()
	s, err := New(newFake(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v, want nil", err)
		}
	}
	if err := <-served; err != nil && !errors.Is(err, shared.ErrDraining) {
		t.Errorf("Serve = %v, want nil, or DRAINING if it came late", err)
	}
	if _, err := New(nil, Options{}); !errors.Is(err, shared.ErrInvalidArgument) {
		t.Errorf("New(nil) = %v, want INVALID_ARGUMENT", err)
	}
}

// clientOf is a client that speaks only HTTP/1.1 or only HTTP/2.
func clientOf(t *testing.T, proto string) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(proto == "h1")
	transport.Protocols.SetUnencryptedHTTP2(proto == "h2")
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
