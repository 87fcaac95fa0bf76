package jsonx

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
)

const (
	// maxNumber is the longest number literal.
	maxNumber = 1024
	// fewKeys is up to how many keys of an object are compared pair by pair.
	fewKeys = 12

	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

var hashSeed = maphash.MakeSeed()

// scanner checks one JSON document. It does not allocate, apart from scratch.
type scanner struct {
	data     []byte
	pos      int
	maxDepth int
	scratch  *scratch
	// at and problem are the first fault.
	at      int
	problem string
}

// scratch holds the keys of the objects that are open.
type scratch struct {
	keys []key
	text []byte
}

// key is the place of an object's key, quotes included.
type key struct {
	hash       uint64
	start, end int
}

func (s *scanner) document(object bool) bool {
	s.space()
	if object && (s.pos == len(s.data) || s.data[s.pos] != '{') {
		return s.fail(s.pos, "want a JSON object")
	}
	if !s.value(1) {
		return false
	}
	s.space()
	if s.pos != len(s.data) {
		return s.fail(s.pos, "text after the end of the value")
	}
	return true
}

func (s *scanner) fail(at int, problem string) bool {
	s.at, s.problem = at, problem
	return false
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) bool {
	if s.pos == len(s.data) {
		return s.fail(s.pos, "unexpected end")
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		_, ok := s.text()
		return ok
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail(s.pos, "want a JSON value")
}

func (s *scanner) word(word string) bool {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.fail(s.pos, "want a JSON value")
	}
	s.pos += len(word)
	return true
}

func (s *scanner) array(depth int) bool {
	if depth > s.maxDepth {
		return s.fail(s.pos, "nested too deep")
	}
	s.pos++
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == ']' {
		s.pos++
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		if s.pos == len(s.data) {
			return s.fail(s.pos, "unexpected end")
		}
		switch s.data[s.pos] {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return true
		default:
			return s.fail(s.pos, `want "," or "]"`)
		}
	}
}

func (s *scanner) object(depth int) bool {
	if depth > s.maxDepth {
		return s.fail(s.pos, "nested too deep")
	}
	s.pos++
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == '}' {
		s.pos++
		return true
	}
	first := len(s.scratch.keys)
	for {
		if !s.member(depth) {
			return false
		}
		s.space()
		if s.pos == len(s.data) {
			return s.fail(s.pos, "unexpected end")
		}
		switch s.data[s.pos] {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			unique := s.uniqueKeys(s.scratch.keys[first:])
			s.scratch.keys = s.scratch.keys[:first]
			return unique
		default:
			return s.fail(s.pos, `want "," or "}"`)
		}
	}
}

func (s *scanner) member(depth int) bool {
	start := s.pos
	if start == len(s.data) {
		return s.fail(start, "unexpected end")
	}
	if s.data[start] != '"' {
		return s.fail(start, "want a key in double quotes")
	}
	escaped, ok := s.text()
	if !ok {
		return false
	}
	text := s.data[start+1 : s.pos-1]
	if escaped {
		s.scratch.text = appendUnescaped(s.scratch.text[:0], text)
		text = s.scratch.text
	}
	s.scratch.keys = append(s.scratch.keys, key{maphash.Bytes(hashSeed, text), start, s.pos})
	s.space()
	if s.pos == len(s.data) {
		return s.fail(s.pos, "unexpected end")
	}
	if s.data[s.pos] != ':' {
		return s.fail(s.pos, `want ":"`)
	}
	s.pos++
	s.space()
	return s.value(depth + 1)
}

func (s *scanner) uniqueKeys(keys []key) bool {
	if len(keys) <= fewKeys {
		for i := range keys {
			for j := range i {
				if keys[i].hash == keys[j].hash && s.sameKey(keys[i], keys[j]) {
					return s.fail(keys[i].start, "duplicate key")
				}
			}
		}
		return true
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Compare(a.hash, b.hash) })
	for i := 1; i < len(keys); i++ {
		// More than two different keys of one 64-bit hash do not happen.
		if keys[i].hash == keys[i-1].hash && s.sameKey(keys[i], keys[i-1]) {
			return s.fail(max(keys[i].start, keys[i-1].start), "duplicate key")
		}
	}
	return true
}

func (s *scanner) sameKey(a, b key) bool {
	return bytes.Equal(
		appendUnescaped(nil, s.data[a.start+1:a.end-1]),
		appendUnescaped(nil, s.data[b.start+1:b.end-1]))
}

// text scans a string and reports whether it has escapes.
func (s *scanner) text() (escaped, ok bool) {
	data, i := s.data, s.pos+1
	for {
		for i+8 <= len(data) {
			if hit := special(binary.LittleEndian.Uint64(data[i:])); hit != 0 {
				i += bits.TrailingZeros64(hit) / 8
				break
			}
			i += 8
		}
		if i >= len(data) {
			return escaped, s.fail(len(data), "unexpected end in a string")
		}
		switch c := data[i]; {
		case c == '"':
			s.pos = i + 1
			return escaped, true
		case c == '\\':
			escaped = true
			n := s.escape(i)
			if n == 0 {
				return escaped, false
			}
			i += n
		case c < 0x20:
			return escaped, s.fail(i, "control character in a string")
		case c < utf8.RuneSelf:
			i++
		default:
			for i < len(data) && data[i] >= utf8.RuneSelf {
				_, size := utf8.DecodeRune(data[i:])
				if size == 1 {
					return escaped, s.fail(i, "invalid UTF-8")
				}
				i += size
			}
		}
	}
}

// special marks, in the top bit of each byte of w, the bytes that end a run of
// plain ASCII in a string. Marks above the lowest one may be false.
func special(w uint64) uint64 {
	quote, back := w^('"'*ones), w^('\\'*ones)
	return (w-0x20*ones)&^w&highs | (quote-ones)&^quote&highs | (back-ones)&^back&highs | w&highs
}

// escape checks the escape at i and returns its length, or 0 after a fault.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.data) {
		s.fail(len(s.data), "unexpected end in a string")
		return 0
	}
	switch s.data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		s.fail(i, "unknown escape")
		return 0
	}
	r, ok := hex4(s.data, i+2)
	switch {
	case !ok:
		s.fail(i, "want four hex digits after \\u")
		return 0
	case r < 0xd800 || r > 0xdfff:
		return 6
	case r < 0xdc00 && i+7 < len(s.data) && s.data[i+6] == '\\' && s.data[i+7] == 'u':
		if low, ok := hex4(s.data, i+8); ok && low >= 0xdc00 && low <= 0xdfff {
			return 12
		}
	}
	s.fail(i, "unpaired surrogate")
	return 0
}

func hex4(data []byte, i int) (rune, bool) {
	if i+4 > len(data) {
		return 0, false
	}
	var r rune
	for _, c := range data[i : i+4] {
		switch {
		case isDigit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (s *scanner) number() bool {
	start := s.pos
	if s.data[s.pos] == '-' {
		s.pos++
	}
	whole := s.digits()
	if whole == 0 || whole > 1 && s.data[s.pos-whole] == '0' {
		return s.fail(start, "malformed number")
	}
	integer, exponent := true, false
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		integer = false
		if s.digits() == 0 {
			return s.fail(start, "malformed number")
		}
	}
	if s.pos < len(s.data) && (s.data[s.pos] == 'e' || s.data[s.pos] == 'E') {
		s.pos++
		integer, exponent = false, true
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.fail(start, "malformed number")
		}
	}
	literal := s.data[start:s.pos]
	switch {
	case len(literal) > maxNumber:
		return s.fail(start, "number with too many digits")
	case integer:
		if whole > 18 && !fits64(literal) {
			return s.fail(start, "integer beyond 64 bits")
		}
	case exponent || whole > 300:
		if _, err := strconv.ParseFloat(string(literal), 64); err != nil {
			return s.fail(start, "number beyond a 64-bit float")
		}
	}
	return true
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
	}
	return s.pos - start
}

// fits64 reports whether an integer literal fits int64 or uint64.
func fits64(literal []byte) bool {
	if literal[0] == '-' {
		_, err := strconv.ParseInt(string(literal), 10, 64)
		return err == nil
	}
	_, err := strconv.ParseUint(string(literal), 10, 64)
	return err == nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
