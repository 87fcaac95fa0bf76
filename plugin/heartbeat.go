package plugin

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"time"

	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// beat sends heartbeats until the stream ends.
func (a *attachment) beat(interval time.Duration) {
	due := time.Now().Add(interval)
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-timer.C:
		case <-a.ending:
			return
		}
		now := time.Now()
		a.out.beat(&workerv1.Heartbeat{
			Seq:      seq,
			InFlight: uint32(a.inFlight()),
			LagMs:    lag(due, now),
			RssBytes: rss(),
		})
		due = now.Add(interval)
		timer.Reset(interval)
	}
}

// lag is how late now is, in milliseconds. In a Go worker it is the time that a
// ready goroutine waited for a processor.
func lag(due, now time.Time) uint32 {
	return uint32(min(max(0, now.Sub(due).Milliseconds()), math.MaxUint32))
}

// rss is the resident set size of this process in bytes; 0 where the operating
// system has no /proc.
func rss() uint64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
