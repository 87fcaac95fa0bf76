package session

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzDecodeHead(f *testing.F) {
	f.Add(head{incarnation: 1, revision: 2, ttl: 3, created: 4, updated: 5, deadline: 6, programs: 7}.encode())
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 80))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := decodeHead("s", raw)
		if err != nil {
			return
		}
		again, err := decodeHead("s", h.encode())
		if diff := cmp.Diff(h, again, cmp.AllowUnexported(head{})); err != nil || diff != "" {
			t.Fatalf("head %x: %v (-first +again):\n%s", raw, err, diff)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	at := cell{dataTable, "s"}
	f.Add(seal(at, []byte("value")))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		value, err := unseal(at, sealed)
		if err != nil {
			return
		}
		if got := seal(at, value); !bytes.Equal(got, sealed) {
			t.Fatalf("unseal accepts %x, seal makes %x", sealed, got)
		}
		if _, err := unseal(cell{dataTable, "other"}, sealed); err == nil {
			t.Fatalf("%x is accepted under another key", sealed)
		}
	})
}
