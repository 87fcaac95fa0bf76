package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/host/config"
)

func TestListenersOf(t *testing.T) {
	t.Parallel()
	both := []config.Listener{
		{Kind: "unix", Name: "u", Path: "/r/api.sock", Mode: 0o600},
		{Kind: "tcp", Name: "t", Address: "127.0.0.1:4680"},
	}
	unix := api.Listener{Name: "u", Network: "unix", Address: "/r/api.sock", Mode: 0o600}
	tcp := api.Listener{Name: "t", Network: "tcp", Address: "127.0.0.1:4680"}
	for _, tc := range []struct {
		name   string
		config []config.Listener
		flags  []string
		env    string
		want   []api.Listener
		fails  bool
	}{
		{name: "configuration", config: both, want: []api.Listener{unix, tcp}},
		{
			name: "DSPEX_ADDR in place of TCP", config: both, env: "127.0.0.1:9",
			want: []api.Listener{unix, {Name: "t", Network: "tcp", Address: "127.0.0.1:9"}},
		},
		{
			name: "DSPEX_ADDR as a URL", config: both, env: "http://localhost:9/",
			want: []api.Listener{unix, {Name: "t", Network: "tcp", Address: "localhost:9"}},
		},
		{
			name: "DSPEX_ADDR in place of a socket", config: both, env: "unix:///x.sock",
			want: []api.Listener{{Name: "u", Network: "unix", Address: "/x.sock", Mode: 0o600}, tcp},
		},
		{
			name: "DSPEX_ADDR beside", config: both[:1], env: "[::1]:9",
			want: []api.Listener{unix, {Name: "env", Network: "tcp", Address: "[::1]:9"}},
		},
		{
			name: "flags", config: both, flags: []string{"127.0.0.1:0", "unix:/x.sock"}, env: "127.0.0.1:9",
			want: []api.Listener{{Name: "listen-1", Network: "tcp", Address: "127.0.0.1:0"}, {Name: "listen-2", Network: "unix", Address: "/x.sock"}},
		},
		{name: "all interfaces", config: both, env: "0.0.0.0:9", fails: true},
		{name: "no host", config: both, env: ":9", fails: true},
		{name: "other machine", config: both, flags: []string{"10.0.0.1:9"}, fails: true},
		{name: "no port", config: both, flags: []string{"127.0.0.1"}, fails: true},
		{name: "bad port", config: both, flags: []string{"127.0.0.1:http"}, fails: true},
		{name: "relative socket", config: both, flags: []string{"unix:x.sock"}, fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := listenersOf(&config.Config{Listeners: tc.config}, tc.flags, tc.env)
			if (err != nil) != tc.fails {
				t.Fatalf("error = %v, want one: %t", err, tc.fails)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("listeners (-want +got):\n%s", diff)
			}
		})
	}
}
