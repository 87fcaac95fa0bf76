package program

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/shared"
)

// maxQuoted is how much of a caller's text an error repeats.
const maxQuoted = 64

// readObject splits a checked object into its members. Members that are null
// are left out; a key that is not listed is an error.
func readObject(where string, raw json.RawMessage, keys []string) (map[string]json.RawMessage, error) {
	if kind := jsonx.KindOf(raw); kind != jsonx.Object {
		return nil, invalid(where, "want an object, got %s", kind)
	}
	obj := map[string]json.RawMessage{}
	for key, value := range jsonx.Members(raw) {
		if !slices.Contains(keys, key) {
			return nil, invalid(where, "unknown key %s%s", quote(key), didYouMean(key, keys)).
				WithHint("the keys are %s", strings.Join(keys, ", "))
		}
		if jsonx.KindOf(value) != jsonx.Null {
			obj[key] = value
		}
	}
	return obj, nil
}

// readText reads an optional text for a prompt or a description.
func readText(where string, raw json.RawMessage, limit int) (string, error) {
	if raw == nil {
		return "", nil
	}
	if kind := jsonx.KindOf(raw); kind != jsonx.String {
		return "", invalid(where, "want a string, got %s", kind)
	}
	text := jsonx.Text(raw)
	if len(text) > limit {
		return "", invalid(where, "%d bytes, the limit is %d", len(text), limit)
	}
	if at := strings.IndexFunc(text, isForbidden); at >= 0 {
		return "", invalid(where, "control character at byte %d", at)
	}
	return text, nil
}

// isForbidden reports whether r has no place in a prompt.
func isForbidden(r rune) bool {
	return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f
}

// readBlockName reads an optional name of an HCL block.
func readBlockName(where string, raw json.RawMessage) (string, error) {
	name, err := readText(where, raw, maxSpec)
	if err != nil || name == "" {
		return "", err
	}
	valid := len(name) <= maxBlockName && isLower(name[0])
	for i := range len(name) {
		valid = valid && (isLower(name[i]) || isDigit(name[i]) || name[i] == '-')
	}
	if !valid {
		return "", invalid(where, "%s is not a name: want a-z, 0-9 and -, at most %d, a letter first", quote(name), maxBlockName)
	}
	return name, nil
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func index(where string, i int) string { return where + "[" + strconv.Itoa(i) + "]" }

func invalid(where, format string, args ...any) *shared.Error {
	return shared.Errorf(shared.InvalidArgument, "%s: "+format, append([]any{where}, args...)...)
}

// clip shortens text to limit bytes, at the boundary of a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}

// quote repeats a caller's text in an error: clipped, in quotes, escaped.
func quote(text string) string { return strconv.Quote(clip(text, maxQuoted)) }

// didYouMean is "; did you mean ...?" if a candidate is close to word, else empty.
func didYouMean(word string, candidates []string) string {
	word = clip(word, maxQuoted)
	best, distance := "", min((len(word)+2)/3, len(word)-1)+1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
