package fakelm

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxKeywords is how many items a list of strings gets.
	maxKeywords = 3
	// maxRead is how much of an input is read for an answer, in bytes.
	maxRead = 64 << 10
	// minKeyword is the length of a word that can be a keyword, in bytes.
	minKeyword = 4
)

var numberPattern = regexp.MustCompile(`-?\d+(?:\.\d+)?`)

// dullWords are never keywords.
var dullWords = []string{
	"about", "does", "from", "have", "into", "that", "their", "there", "these", "they", "this", "those",
	"what", "when", "where", "which", "will", "with", "would", "your",
}

// oneLine squeezes white space and clips a text, so that it cannot be taken for
// one of the markers that adapters look for at the start of a line.
func oneLine(text string) string {
	text = text[:min(len(text), maxRead)]
	text = strings.Join(strings.Fields(printable(strings.ToValidUTF8(text, "?"))), " ")
	count := 0
	for i := range text {
		if count == maxEcho {
			return text[:i] + "…"
		}
		count++
	}
	return text
}

// keywords returns up to maxKeywords distinct telling words of a text, or
// "item" if there are none.
func keywords(text string) []string {
	var out []string
	for _, word := range wordLike.FindAllString(text, -1) {
		dull := len(word) < minKeyword || slices.Contains(dullWords, strings.ToLower(word)) || slices.Contains(out, word)
		if !dull && len(out) < maxKeywords {
			out = append(out, word)
		}
	}
	if out == nil {
		return []string{"item"}
	}
	return out
}

// words turns a field's name into words: "next_tool" into "next tool".
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// label turns a field's name into what introduces its text: "Next tool: ".
func label(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + words(name[size:]) + ": "
}

// firstNumber returns the first number in a text.
func firstNumber(text string) (float64, bool) {
	match := numberPattern.FindString(strings.ReplaceAll(text, ",", ""))
	f, err := strconv.ParseFloat(match, 64)
	return f, err == nil
}
