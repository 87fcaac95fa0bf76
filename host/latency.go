package host

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/dspex/dspex/shared"
)

// subBits is the resolution of a latency histogram: 2^subBits buckets for each
// doubling, so that a quantile is at most 1/16 too high.
const subBits = 4

// latency is a histogram of durations with logarithmic buckets, in microseconds.
// It is safe for concurrent use and takes no lock.
type latency struct {
	buckets [64 << subBits]atomic.Int64
	max     atomic.Int64 // nanoseconds
}

func (l *latency) add(d time.Duration) {
	l.buckets[bucketOf(uint64(max(d, 0)/time.Microsecond))].Add(1)
	for {
		old := l.max.Load()
		if int64(d) <= old || l.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// summary returns the quantiles of what was added before.
func (l *latency) summary() shared.Latency {
	var counts [len(l.buckets)]int64
	s := shared.Latency{Max: time.Duration(l.max.Load())}
	for i := range counts {
		counts[i] = l.buckets[i].Load()
		s.Count += counts[i]
	}
	if s.Count == 0 {
		return s
	}
	quantile := func(q float64) time.Duration {
		rank, seen := int64(math.Ceil(q*float64(s.Count))), int64(0)
		for i, n := range counts {
			if seen += n; seen >= rank {
				return min(upperBound(i), s.Max)
			}
		}
		return s.Max
	}
	s.P50, s.P95, s.P99 = quantile(0.5), quantile(0.95), quantile(0.99)
	return s
}

// bucketOf returns the bucket of a value: exact below 2^subBits, then by its
// highest bits.
func bucketOf(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	exp := bits.Len64(v) - subBits - 1
	return exp<<subBits + int(v>>exp)
}

// upperBound is the largest duration in a bucket.
func upperBound(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i+1) * time.Microsecond
	}
	exp := i>>subBits - 1
	top := uint64(i&(1<<subBits-1)+1<<subBits+1) << exp
	return time.Duration(top) * time.Microsecond
}
