package fakelm

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTokenLetters is the longest run of letters or digits that is one token.
const maxTokenLetters = 8

// tokens yields the pieces of text; joined they are text again. A piece is
// white space followed by one short run of letters and digits, or by one other
// character: close enough to a real tokenizer for counting and for streaming.
func tokens(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for text != "" {
			n := tokenLen(text)
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// countTokens returns the number of tokens of text.
func countTokens(text string) int64 {
	var n int64
	for range tokens(text) {
		n++
	}
	return n
}

// clipTokens returns the first limit tokens of text and whether it cut any.
func clipTokens(text string, limit int64) (string, bool) {
	var n int64
	end := 0
	for token := range tokens(text) {
		if n == limit {
			return text[:end], true
		}
		n++
		end += len(token)
	}
	return text, false
}

// chunks yields text in groups of size tokens.
func chunks(text string, size int) iter.Seq[string] {
	return func(yield func(string) bool) {
		var group strings.Builder
		held := 0
		for token := range tokens(text) {
			group.WriteString(token)
			held++
			if held == size {
				if !yield(group.String()) {
					return
				}
				group.Reset()
				held = 0
			}
		}
		if held > 0 {
			yield(group.String())
		}
	}
}

// tokenLen returns the length in bytes of the first token of a non-empty text.
func tokenLen(text string) int {
	n := 0
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if !unicode.IsSpace(r) {
			break
		}
		n += size
	}
	for letters := 0; n < len(text) && letters < maxTokenLetters; letters++ {
		r, size := utf8.DecodeRuneInString(text[n:])
		word := unicode.IsLetter(r) || unicode.IsDigit(r)
		if !word && letters > 0 {
			break
		}
		n += size
		if !word {
			break
		}
	}
	return n
}
