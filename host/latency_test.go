package host

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBucketsHoldTheirValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Uint64Range(0, 1<<40).Draw(t, "micros")
		d := time.Duration(micros) * time.Microsecond
		i := bucketOf(micros)
		upper := upperBound(i)
		if d >= upper {
			t.Fatalf("%s is in bucket %d, which ends at %s", d, i, upper)
		}
		if i > 0 && d < upperBound(i-1) {
			t.Fatalf("%s is in bucket %d, but below the end of the one before, %s", d, i, upperBound(i-1))
		}
		if slack := upper - d; slack > d/16+time.Microsecond {
			t.Fatalf("bucket %d ends %s above %s, more than a sixteenth", i, slack, d)
		}
	})
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var l latency
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	s := l.summary()
	for _, tc := range []struct {
		name      string
		got, want time.Duration
	}{{"p50", s.P50, 500 * time.Millisecond}, {"p95", s.P95, 950 * time.Millisecond}, {"p99", s.P99, 990 * time.Millisecond}, {"max", s.Max, time.Second}} {
		if tc.got < tc.want || tc.got > tc.want+tc.want/16+time.Millisecond {
			t.Errorf("%s = %s, want %s or up to a sixteenth more", tc.name, tc.got, tc.want)
		}
	}
}
