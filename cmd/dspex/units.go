package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// millis is a duration as a JSON number of milliseconds.
type millis time.Duration

// MarshalJSON writes milliseconds with up to three decimals.
func (m millis) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(time.Duration(m).Microseconds())/1000, 'f', -1, 64), nil
}

// latency writes a short duration with two to three digits: "850µs", "2.3ms",
// "310ms", "1.9s". Zero is nothing.
func latency(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 9950*time.Microsecond:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%.0fms", d.Seconds()*1000)
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 59500*time.Millisecond:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return age(d)
}

// age writes a long duration in its two largest units: "12s", "3m12s", "3h12m",
// "2d4h".
func age(d time.Duration) string {
	seconds := int64(math.Round(d.Seconds()))
	minutes, hours, days := seconds/60, seconds/3600, seconds/86400
	switch {
	case seconds < 0:
		return "0s"
	case minutes == 0:
		return fmt.Sprintf("%ds", seconds)
	case hours == 0:
		return twoUnits(minutes, "m", seconds%60, "s")
	case days == 0:
		return twoUnits(hours, "h", minutes%60, "m")
	}
	return twoUnits(days, "d", hours%24, "h")
}

func twoUnits(large int64, largeUnit string, small int64, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d%s", large, largeUnit)
	}
	return fmt.Sprintf("%d%s%d%s", large, largeUnit, small, smallUnit)
}

// count writes a whole number with commas: "1,204".
func count[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// size writes bytes in the largest binary unit that they fill: "214MiB".
func size[N int64 | uint64](bytes N) string {
	value, unit := float64(bytes), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if value < 9.95 && unit != "B" {
		return fmt.Sprintf("%.1f%s", value, unit)
	}
	return fmt.Sprintf("%.0f%s", value, unit)
}

// percent writes a share with one decimal, or nothing if there is nothing to
// share.
func percent(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", 100*float64(part)/float64(whole))
}

// ttl writes a time to live as people write it: "1h", not "1h0m0s".
func ttl(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
