package program

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind is the kind of a token of a signature.
type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenInteger
	tokenString
	// tokenMark is one of "," ":" "|" "[" "]" and "->".
	tokenMark
	// tokenBad is anything else.
	tokenBad
)

// token is one word of a signature.
type token struct {
	kind tokenKind
	// at is its byte offset.
	at int
	// text as written; a name includes its dots.
	text string
	// value of a string.
	value string
}

// syntaxError is a fault in the text of a signature or a type.
type syntaxError struct {
	at      int
	problem string
}

// Error names the offset and the fault.
func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.at, e.problem) }

// lexer splits the text of a signature into tokens.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) next() (token, error) {
	l.pos += len(l.text[l.pos:]) - len(strings.TrimLeft(l.text[l.pos:], " \t\r\n"))
	start := l.pos
	if start == len(l.text) {
		return token{kind: tokenEnd, at: start}, nil
	}
	kind := tokenMark
	switch c := l.text[start]; {
	case isNameByte(c) && !isDigit(c):
		kind = tokenName
		l.skip(func(c byte) bool { return isNameByte(c) || c == '.' })
	case isDigit(c) || c == '-' && start+1 < len(l.text) && isDigit(l.text[start+1]):
		kind = tokenInteger
		l.pos++
		l.skip(func(c byte) bool { return isNameByte(c) || c == '.' })
	case c == '"' || c == '\'':
		return l.str()
	case strings.HasPrefix(l.text[start:], "->"):
		l.pos += 2
	case strings.IndexByte(",:|[]", c) >= 0:
		l.pos++
	default:
		kind = tokenBad
		_, size := utf8.DecodeRuneInString(l.text[start:])
		l.pos += size
	}
	return token{kind: kind, at: start, text: l.text[start:l.pos]}, nil
}

func (l *lexer) skip(part func(byte) bool) {
	for l.pos < len(l.text) && part(l.text[l.pos]) {
		l.pos++
	}
}

// str reads a string in single or double quotes. The escapes are those that
// mean the same to Python and JSON.
func (l *lexer) str() (token, error) {
	start, mark := l.pos, l.text[l.pos]
	var value strings.Builder
	for i := start + 1; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == mark:
			l.pos = i + 1
			return token{kind: tokenString, at: start, text: l.text[start:l.pos], value: value.String()}, nil
		case c < ' ' || c == 0x7f:
			return token{}, &syntaxError{i, "control character in a string"}
		case c != '\\':
			value.WriteByte(c)
		case i+1 < len(l.text) && strings.IndexByte(`\'"`, l.text[i+1]) >= 0:
			i++
			value.WriteByte(l.text[i])
		default:
			return token{}, &syntaxError{i, `unknown escape: want \\, \' or \"`}
		}
	}
	return token{}, &syntaxError{start, "string without an end"}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c)
}
