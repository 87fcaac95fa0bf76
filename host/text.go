package host

import (
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// clip shortens a caller's text for a message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// nearest returns the known name that is most like name, or nothing.
func nearest[V any](name string, known map[string]V) string {
	best, distance := "", max(2, len(name)/3)+1
	if len(name) > 64 {
		return ""
	}
	for k := range known {
		if d := levenshtein.Distance(name, k, nil); d < distance || d == distance && k < best {
			best, distance = k, d
		}
	}
	return best
}
