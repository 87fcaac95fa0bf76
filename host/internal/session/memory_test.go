package session

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/dspex/dspex/shared"
)

// TestMemoryPerSession is not parallel: it measures the heap.
func TestMemoryPerSession(t *testing.T) {
	const sessions = 20_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s := newSessions(t, NewMemory(), Options{})
	before := heap()
	for i := range sessions {
		_, _, err := s.Put(t.Context(), shared.PutSessionRequest{
			ID: fmt.Sprintf("user-%012d", i), Data: fmt.Appendf(nil, `{"user":%d,"history":["hello","hi"]}`, i),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := float64(heap()-before) / sessions
	t.Logf("%.0f bytes per session, with its data", got)
	if got > 1024 {
		t.Errorf("%.0f bytes per session, want 1024 at most", got)
	}
	runtime.KeepAlive(s)
}
