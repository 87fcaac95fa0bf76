package client

import (
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dspex/dspex/shared"
)

const (
	// defaultTCP is where a host listens that was told nothing else.
	defaultTCP = "127.0.0.1:4680"
	// socketName is the host's socket in its run folder.
	socketName = "api.sock"

	addrHint = `use "unix:///run/dspex/api.sock", "http://host:4680" or "host:4680"`
)

// DefaultAddr returns the address of the host on this machine, for New: that in
// DSPEX_ADDR, else the socket in the run folder if there is one, else
// 127.0.0.1:4680. The run folder is runDir, else DSPEX_RUN_DIR, else /run/dspex
// for root, else $XDG_RUNTIME_DIR/dspex, else dspex-<uid> in the folder for
// temporary files.
func DefaultAddr(getenv func(string) string, runDir string) string {
	if addr := getenv("DSPEX_ADDR"); addr != "" {
		return addr
	}
	if runDir == "" {
		runDir = defaultRunDir(getenv, os.Getuid())
	}
	socket := filepath.Join(runDir, socketName)
	if info, err := os.Stat(socket); err == nil && info.Mode().Type() == fs.ModeSocket {
		return "unix://" + socket
	}
	return defaultTCP
}

func defaultRunDir(getenv func(string) string, uid int) string {
	if dir := getenv("DSPEX_RUN_DIR"); dir != "" {
		return dir
	}
	if uid == 0 {
		return "/run/dspex"
	}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "dspex")
	}
	return filepath.Join(os.TempDir(), "dspex-"+strconv.Itoa(uid))
}

// parseAddr returns what to dial, and the base of URLs on that connection.
func parseAddr(addr string) (network, target, base string, err error) {
	bad := func(why string) error {
		return shared.Errorf(shared.InvalidArgument, "address %q %s", addr, why).WithHint(addrHint)
	}
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		path = strings.TrimPrefix(path, "//")
		if !filepath.IsAbs(path) {
			return "", "", "", bad("has no absolute path of a socket")
		}
		return "unix", path, "http://localhost", nil
	}
	if rest, found := strings.CutPrefix(addr, "http://"); found {
		u, err := url.Parse(addr)
		if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return "", "", "", bad("is not http://host:port")
		}
		target = strings.TrimRight(rest, "/")
		if u.Port() == "" {
			target = net.JoinHostPort(u.Hostname(), "80")
		}
		return "tcp", target, "http://" + target, nil
	}
	if strings.Contains(addr, "://") {
		return "", "", "", bad("has a scheme that is not supported")
	}
	if host, port, err := net.SplitHostPort(addr); err != nil || port == "" || strings.Contains(host, "/") {
		return "", "", "", bad("is not host:port")
	} else if host == "" {
		addr = net.JoinHostPort("localhost", port)
	}
	return "tcp", addr, "http://" + addr, nil
}
