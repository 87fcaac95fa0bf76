package api

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dspex/dspex/shared"
)

// millis is a duration as a JSON number of milliseconds.
type millis time.Duration

// MarshalJSON writes milliseconds with up to three decimals.
func (m millis) MarshalJSON() ([]byte, error) { return m.append(nil), nil }

func (m millis) append(b []byte) []byte {
	return strconv.AppendFloat(b, float64(time.Duration(m).Microseconds())/1000, 'f', -1, 64)
}

// longest bounds the characters of a duration, so that it cannot be work to read.
const longest = 64

// units of a duration, each before those that it begins with.
var units = []struct {
	name string
	size time.Duration
}{
	{"ms", time.Millisecond},
	{"us", time.Microsecond},
	{"\u00b5s", time.Microsecond},
	{"ns", time.Nanosecond},
	{"s", time.Second},
	{"m", time.Minute},
	{"h", time.Hour},
	{"d", 24 * time.Hour},
}

// parseDuration reads "30s", "1h30m" or "7d". What is longer than a Duration can
// be is the longest one.
func parseDuration(member, text string) (time.Duration, error) {
	bad := func(why string) error {
		return shared.Errorf(shared.InvalidArgument, "%s %q %s", member, clip(text), why).
			WithHint(`write a duration with its unit, such as "500ms", "30s", "1h30m" or "7d"`)
	}
	switch {
	case text == "":
		return 0, bad("is empty")
	case utf8.RuneCountInString(text) > longest:
		return 0, bad("is too long")
	case text[0] == '-':
		return 0, bad("must not be negative")
	}
	total := new(big.Rat)
	for rest := text; rest != ""; {
		end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end < 0 {
			return 0, bad("has no unit")
		}
		number, ok := decimal(rest[:end])
		if !ok {
			return 0, bad("is not a duration")
		}
		rest = rest[end:]
		size := time.Duration(0)
		for _, u := range units {
			if after, found := strings.CutPrefix(rest, u.name); found {
				size, rest = u.size, after
				break
			}
		}
		if size == 0 {
			return 0, bad("is not a duration")
		}
		total.Add(total, number.Mul(number, new(big.Rat).SetInt64(int64(size))))
	}
	ns := new(big.Int).Quo(total.Num(), total.Denom())
	if !ns.IsInt64() {
		return math.MaxInt64, nil
	}
	return time.Duration(ns.Int64()), nil
}

// decimal reads digits, or digits with a point between.
func decimal(s string) (*big.Rat, bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || point && fraction == "" || strings.Contains(fraction, ".") {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// formatDuration writes d so that parseDuration reads it, without parts that are
// zero: "1h", not "1h0m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// durationMember reads a duration in a JSON body, where people write numbers.
func durationMember(member string, raw json.RawMessage) (time.Duration, error) {
	if len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		n := clip(string(raw))
		return 0, shared.Errorf(shared.InvalidArgument, "%s is a number without a unit: %s", member, n).
			WithHint(`write a string with a unit; did you mean "%ss" or "%sms"?`, n, n)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, shared.Errorf(shared.InvalidArgument, "%s is not a string", member).
			WithHint(`write a duration with its unit, such as "30s"`)
	}
	return parseDuration(member, text)
}
