package proc

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// maxHandshake is the longest handshake line, in bytes.
	maxHandshake = 4 << 10
	// maxSocketPath is the longest path of a unix socket on Linux, in bytes.
	maxSocketPath = 107
)

// handshakeReader hands one line to go-plugin and then ends with the process.
type handshakeReader struct {
	line chan []byte
	done <-chan struct{}
	once sync.Once
	rest []byte // owned by the reader
}

func newHandshakeReader(done <-chan struct{}) *handshakeReader {
	return &handshakeReader{line: make(chan []byte, 1), done: done}
}

// offer gives the first line of stdout. A line that go-plugin must not see is
// replaced by one that it refuses with a message.
func (h *handshakeReader) offer(line []byte) {
	h.once.Do(func() { h.line <- append(sanitiseHandshake(line), '\n') })
}

func (h *handshakeReader) Read(b []byte) (int, error) {
	if len(h.rest) == 0 {
		select {
		case h.rest = <-h.line:
		default:
			select {
			case h.rest = <-h.line:
			case <-h.done:
				return 0, io.EOF
			}
		}
	}
	n := copy(b, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

// Close does nothing: the reader ends with the process.
func (h *handshakeReader) Close() error { return nil }

// sanitiseHandshake returns the line if go-plugin can be given it. It refuses a
// certificate in field 6: without TLS on the host it makes go-plugin panic.
func sanitiseHandshake(line []byte) []byte {
	if len(line) > maxHandshake || bytes.IndexByte(line, 0) >= 0 {
		return []byte("unreadable: " + clip(printable(line), 200))
	}
	fields := strings.Split(strings.TrimSpace(string(line)), "|")
	if len(fields) < 4 {
		return []byte("not a handshake: " + clip(printable(line), 200))
	}
	if len(fields) >= 6 && fields[5] != "" {
		return []byte("handshake with a certificate, which this host did not ask for")
	}
	if len(fields) > 6 {
		fields = fields[:6]
	}
	return []byte(strings.Join(fields, "|"))
}

// checkAddress reports an error unless the address is a unix socket that lies
// directly in dir.
func checkAddress(dir, network, address string) error {
	switch {
	case network != "unix":
		return fmt.Errorf("check handshake address: network %q is not unix", clip(network, 32))
	case len(address) > maxSocketPath:
		return fmt.Errorf("check handshake address: path of %d bytes is longer than %d", len(address), maxSocketPath)
	case filepath.Clean(address) != address || filepath.Dir(address) != filepath.Clean(dir):
		return fmt.Errorf("check handshake address: %q is not in %q", clip(printable([]byte(address)), 120), dir)
	}
	return nil
}

// blockingReader yields nothing and ends when done is closed.
type blockingReader struct{ done <-chan struct{} }

func (r *blockingReader) Read([]byte) (int, error) {
	<-r.done
	return 0, io.EOF
}

func (r *blockingReader) Close() error { return nil }
