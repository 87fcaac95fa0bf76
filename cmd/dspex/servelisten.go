package main

import (
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dspex/dspex/host/api"
	"github.com/dspex/dspex/host/config"
)

// listenersOf returns where to listen: at the addresses of --listen if there are
// any, else where the configuration says, less what DSPEX_ADDR replaces.
func listenersOf(cfg *config.Config, flags []string, env string) ([]api.Listener, error) {
	var listeners []api.Listener
	for i, addr := range flags {
		l, err := parseListener("--listen", addr)
		if err != nil {
			return nil, err
		}
		l.Name = "listen-" + strconv.Itoa(i+1)
		listeners = append(listeners, l)
	}
	if len(flags) > 0 {
		return listeners, nil
	}
	for _, l := range cfg.Listeners {
		listener := api.Listener{Name: l.Name, Network: l.Kind, Address: l.Address}
		if l.Kind == "unix" {
			listener.Address, listener.Mode = l.Path, fs.FileMode(l.Mode)
		}
		listeners = append(listeners, listener)
	}
	if env == "" {
		return listeners, nil
	}
	instead, err := parseListener("DSPEX_ADDR", env)
	if err != nil {
		return nil, err
	}
	for i := range listeners {
		if listeners[i].Network == instead.Network {
			listeners[i].Address = instead.Address
			return listeners, nil
		}
	}
	instead.Name = "env"
	return append(listeners, instead), nil
}

// parseListener reads an address in the forms that clients take.
func parseListener(source, addr string) (api.Listener, error) {
	const hint = `use "127.0.0.1:4680" or "unix:///run/dspex/api.sock"`
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		path = strings.TrimPrefix(path, "//")
		if !filepath.IsAbs(path) {
			return api.Listener{}, &usageError{message: source + ": " + addr + " has no absolute path of a socket", hint: hint}
		}
		return api.Listener{Network: "unix", Address: path}, nil
	}
	address := strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return api.Listener{}, &usageError{message: source + ": " + addr + " is no address to listen on", hint: hint}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return api.Listener{}, &usageError{message: source + ": " + port + " is no port", hint: hint}
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return api.Listener{}, &usageError{
			message: source + ": " + addr + " is not a loopback address; this version has neither TLS nor authentication",
			hint:    "listen on 127.0.0.1, [::1] or localhost, with a proxy that has them in front",
		}
	}
	return api.Listener{Network: "tcp", Address: address}, nil
}
