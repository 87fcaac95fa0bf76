package plugin

import (
	"os"

	"github.com/dspex/dspex/shared"
)

// realStdout carries the handshake line and nothing else: a host that reads any
// other line first gives up the worker. What the program prints before Serve
// therefore goes to stderr. It is set while the package is initialised, and only
// in a process that a host started; else it is nil.
var realStdout = takeStdout()

func takeStdout() *os.File {
	handshake := shared.Handshake()
	if os.Getenv(handshake.MagicCookieKey) != handshake.MagicCookieValue {
		return nil
	}
	stdout := os.Stdout
	os.Stdout = os.Stderr
	return stdout
}

// giveStdout restores os.Stdout for the handshake. From there on go-plugin sends
// what is printed to the host.
func giveStdout() {
	if realStdout != nil {
		os.Stdout = realStdout
	}
}
