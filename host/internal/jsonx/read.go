package jsonx

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is the kind of a JSON value, by its name in JSON.
type Kind string

// The kinds of JSON values.
const (
	Object  Kind = "object"
	Array   Kind = "array"
	String  Kind = "string"
	Number  Kind = "number"
	Boolean Kind = "boolean"
	Null    Kind = "null"
)

// KindOf returns the kind of a value that has passed a check.
func KindOf(raw json.RawMessage) Kind {
	raw = raw[skipSpace(raw, 0):]
	if len(raw) == 0 {
		return Null
	}
	switch raw[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Boolean
	case 'n':
		return Null
	}
	return Number
}

// Text returns the text of a string value that has passed a check.
func Text(raw json.RawMessage) string {
	raw = bytes.Trim(raw, " \t\r\n")
	if len(raw) < 2 {
		return ""
	}
	return unescape(raw[1 : len(raw)-1])
}

// Members yields the members of an object that has passed a check, in order.
// The values are parts of obj.
func Members(obj json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for m := range members(obj) {
			if !yield(unescape(m.key), m.value) {
				return
			}
		}
	}
}

// Values yields the values of Members.
func Values(obj json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		for m := range members(obj) {
			if !yield(m.value) {
				return
			}
		}
	}
}

// Elements yields the elements of an array that has passed a check, in order.
// They are parts of array.
func Elements(array json.RawMessage) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		i := skipSpace(array, 0)
		if i == len(array) || array[i] != '[' {
			return
		}
		i = skipSpace(array, i+1)
		for i < len(array) && array[i] != ']' {
			end := skipValue(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = skipSpace(array, end)
			if i < len(array) && array[i] == ',' {
				i = skipSpace(array, i+1)
			}
		}
	}
}

// member is one member in the text of an object: the key without its quotes,
// the value, and where both stand.
type member struct {
	key        []byte
	value      json.RawMessage
	start, end int
}

func members(obj []byte) iter.Seq[member] {
	return func(yield func(member) bool) {
		i := skipSpace(obj, 0)
		if i == len(obj) || obj[i] != '{' {
			return
		}
		i = skipSpace(obj, i+1)
		for i < len(obj) && obj[i] == '"' {
			start := i
			keyEnd := skipString(obj, i)
			i = skipSpace(obj, keyEnd)
			if i == len(obj) || obj[i] != ':' {
				return
			}
			i = skipSpace(obj, i+1)
			end := skipValue(obj, i)
			if !yield(member{obj[start+1 : keyEnd-1], obj[i:end], start, end}) {
				return
			}
			i = skipSpace(obj, end)
			if i < len(obj) && obj[i] == ',' {
				i = skipSpace(obj, i+1)
			}
		}
	}
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the end of the value at i. It always moves on, so that a
// text that no check has seen cannot make a caller loop.
func skipValue(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			i = skipString(data, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
			if depth == 0 {
				return i
			}
			continue
		default:
			for i < len(data) && !endsScalar(data[i]) {
				i++
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return i
}

func endsScalar(c byte) bool {
	switch c {
	case ',', ':', ' ', '\t', '\n', '\r', '{', '}', '[', ']', '"':
		return true
	}
	return false
}

// skipString returns the end of the string whose opening quote is at i.
func skipString(data []byte, i int) int {
	for i++; i < len(data); {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return len(data)
		}
		i += n
		back := i
		for data[back-1] == '\\' {
			back--
		}
		i++
		if (i-1-back)%2 == 0 {
			return i
		}
	}
	return len(data)
}

func unescape(text []byte) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	return string(appendUnescaped(nil, text))
}

// appendUnescaped appends the text of a checked string, given without quotes.
func appendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] != '\\' || i+1 == len(text) {
			dst = append(dst, text[i])
			i++
			continue
		}
		c := text[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(text, i)
			i = min(i+4, len(text))
			if utf16.IsSurrogate(r) {
				low, _ := hex4(text, i+2)
				r = utf16.DecodeRune(r, low)
				i = min(i+6, len(text))
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
