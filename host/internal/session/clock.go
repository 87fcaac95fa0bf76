package session

import (
	"context"
	"encoding/binary"
	"math"
	"time"
)

// bootTime is how long ago the machine started.
type bootTime struct {
	// id is another one after each start, and for each time namespace.
	id    string
	since time.Duration
}

// clock is the time of a store, in nanoseconds. It began as wall time, but goes on
// with the time since boot: within one boot, steps of the wall clock do not
// change it, even if one process writes and another reads.
type clock struct {
	base int64
	// start has a monotonic reading.
	start time.Time
}

// startClock goes on with the time of the process that used the store before.
func startClock(store Store, boot func() (bootTime, bool)) (clock, error) {
	c := clock{start: time.Now()}
	c.base = c.start.UnixNano()
	now, ok := boot()
	if !ok {
		return c, nil
	}
	err := store.Update(context.Background(), func(w Writer) error {
		// A damaged record is as good as none: wall time decides.
		raw, err := w.Get(stateTable, clockKey)
		then, base, ok := decodeBoot(raw)
		if err == nil && ok && then.id == now.id && then.since <= now.since {
			c.base = base + int64(now.since-then.since)
		}
		w.Put(stateTable, clockKey, encodeBoot(now, c.base))
		return nil
	})
	return c, err
}

func (c clock) now() int64 { return c.base + int64(time.Since(c.start)) }

// addTime is a time after t, or the last one there is.
func addTime(t int64, d time.Duration) int64 {
	if t > math.MaxInt64-int64(d) {
		return math.MaxInt64
	}
	return t + int64(d)
}

// wall is the wall time that a time of the store has now.
func (c clock) wall(t int64) time.Time {
	return utcNow().Add(time.Duration(t - c.now()))
}

func utcNow() time.Time { return time.Now().UTC().Round(0) }

func encodeBoot(b bootTime, base int64) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(base))
	raw = binary.LittleEndian.AppendUint64(raw, uint64(b.since))
	return append(raw, b.id...)
}

func decodeBoot(raw []byte) (b bootTime, base int64, ok bool) {
	if len(raw) < 16 {
		return bootTime{}, 0, false
	}
	b.since = time.Duration(binary.LittleEndian.Uint64(raw[8:]))
	b.id = string(raw[16:])
	return b, int64(binary.LittleEndian.Uint64(raw)), true
}
