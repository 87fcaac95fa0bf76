package main

import (
	"encoding/json"
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ got, want string }{
		{latency(0), ""},
		{latency(850 * time.Microsecond), "850µs"},
		{latency(2345 * time.Microsecond), "2.3ms"},
		{latency(9960 * time.Microsecond), "10ms"},
		{latency(310 * time.Millisecond), "310ms"},
		{latency(999600 * time.Microsecond), "1.0s"},
		{latency(1900 * time.Millisecond), "1.9s"},
		{latency(9960 * time.Millisecond), "10s"},
		{latency(59600 * time.Millisecond), "1m"},
		{latency(192 * time.Second), "3m12s"},
		{age(-time.Second), "0s"},
		{age(time.Hour), "1h"},
		{age(3*time.Hour + 12*time.Minute + 29*time.Second), "3h12m"},
		{age(52 * time.Hour), "2d4h"},
		{count(7), "7"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(int64(1234567)), "1,234,567"},
		{count(-1234), "-1,234"},
		{size(int64(0)), "0B"},
		{size(uint64(1023)), "1023B"},
		{size(uint64(5 << 20)), "5.0MiB"},
		{size(uint64(214 << 20)), "214MiB"},
		{size(uint64(3 << 30)), "3.0GiB"},
		{percent(49, 12345), "0.4"},
		{percent(0, 0), ""},
		{ttl(time.Hour), "1h"},
		{ttl(90 * time.Second), "1m30s"},
		{plural(1, "pool"), "1 pool"},
		{plural(2, "process"), "2 processes"},
		{plural(0, "worker"), "0 workers"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
	if raw, err := json.Marshal(millis(1500 * time.Microsecond)); err != nil || string(raw) != "1.5" {
		t.Errorf("millis = %s, %v; want 1.5", raw, err)
	}
}
