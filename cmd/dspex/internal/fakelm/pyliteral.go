package fakelm

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

var errPython = errors.New("not a Python literal")

// pyReader reads Python source from the start of text.
type pyReader struct {
	text string
	// rawEscapes leaves a backslash as it is, except before a quote.
	rawEscapes bool
}

// parsePyLiteral reads a Python literal as repr prints it: None, booleans,
// numbers, strings, lists, tuples and dicts with string keys. Anything else,
// such as an object's repr, is an error.
func parsePyLiteral(text string) (any, error) {
	r := &pyReader{text: text}
	value, err := r.literal(0)
	if err != nil {
		return nil, err
	}
	r.space()
	if r.text != "" {
		return nil, errTrailing
	}
	return value, nil
}

// literal reads one literal.
func (r *pyReader) literal(depth int) (any, error) {
	r.space()
	switch {
	case depth > maxNesting:
		return nil, errTooDeep
	case r.text == "":
		return nil, errPython
	case r.text[0] == '\'' || r.text[0] == '"':
		return r.str()
	case r.take("["):
		return r.sequence("]", depth)
	case r.take("("):
		return r.sequence(")", depth)
	case r.take("{"):
		return r.dict(depth)
	}
	word := r.word()
	switch word {
	case "None":
		return nil, nil
	case "True":
		return true, nil
	case "False":
		return false, nil
	}
	if _, err := strconv.ParseFloat(word, 64); err != nil {
		return nil, errPython
	}
	return json.Number(word), nil
}

// sequence reads the items of a list or tuple up to its closing bracket.
func (r *pyReader) sequence(end string, depth int) (any, error) {
	items := []any{}
	for !r.take(end) {
		item, err := r.literal(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if !r.take(",") && !r.peek(end) {
			return nil, errPython
		}
	}
	return items, nil
}

// dict reads the members of a dict after its opening brace.
func (r *pyReader) dict(depth int) (any, error) {
	members := object{}
	for !r.take("}") {
		key, err := r.literal(depth + 1)
		if err != nil {
			return nil, err
		}
		name, isString := key.(string)
		if !isString || !r.take(":") {
			return nil, errPython
		}
		value, err := r.literal(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, value})
		if !r.take(",") && !r.peek("}") {
			return nil, errPython
		}
	}
	return members, nil
}

// str reads a quoted string.
func (r *pyReader) str() (string, error) {
	quote := r.text[0]
	var b strings.Builder
	for i := 1; i < len(r.text); {
		c := r.text[i]
		switch {
		case c == quote:
			r.text = r.text[i+1:]
			return b.String(), nil
		case c != '\\' || i+1 == len(r.text):
			b.WriteByte(c)
			i++
		case r.rawEscapes && r.text[i+1] != quote:
			b.WriteByte(c)
			i++
		default:
			decoded, size := unescape(r.text[i+1:])
			b.WriteString(decoded)
			i += 1 + size
		}
	}
	return "", errPython
}

// word reads letters, digits and the characters of numbers and dotted names.
func (r *pyReader) word() string {
	r.space()
	end := strings.IndexFunc(r.text, func(c rune) bool {
		return !strings.ContainsRune("_.+-", c) && (c < '0' || c > '9') &&
			(c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c < utf8.RuneSelf
	})
	if end < 0 {
		end = len(r.text)
	}
	word := r.text[:end]
	r.text = r.text[end:]
	return word
}

// take skips white space, and prefix if it comes next.
func (r *pyReader) take(prefix string) bool {
	r.space()
	rest, found := strings.CutPrefix(r.text, prefix)
	r.text = rest
	return found
}

// peek reports whether prefix comes next.
func (r *pyReader) peek(prefix string) bool {
	r.space()
	return strings.HasPrefix(r.text, prefix)
}

func (r *pyReader) space() { r.text = strings.TrimLeft(r.text, " \t\r\n") }

// unescape decodes what follows a backslash and returns how much of s it used.
func unescape(s string) (string, int) {
	switch s[0] {
	case 'n':
		return "\n", 1
	case 't':
		return "\t", 1
	case 'r':
		return "\r", 1
	case '\\', '\'', '"':
		return s[:1], 1
	}
	if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]; digits > 0 && len(s) > digits {
		if code, err := strconv.ParseUint(s[1:1+digits], 16, 32); err == nil {
			return string(rune(code)), 1 + digits
		}
	}
	return `\` + s[:1], 1
}
