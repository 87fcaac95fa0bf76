package session

import (
	"strconv"
	"unicode/utf8"

	"github.com/dspex/dspex/shared"
)

const (
	// maxName is the longest ID of a session and name of a program.
	maxName = 256
	// maxQuoted is how much of a caller's text an error repeats.
	maxQuoted = 64
)

// checkName refuses IDs of sessions and names of programs that could mean
// something else in a path, a log or a terminal.
func checkName(what, name string) error {
	switch {
	case name == "":
		return shared.Errorf(shared.InvalidArgument, "%s is empty", what)
	case len(name) > maxName:
		return shared.Errorf(shared.InvalidArgument, "%s %s is longer than %d bytes", what, quote(name), maxName)
	case name == "." || name == "..":
		return shared.Errorf(shared.InvalidArgument, "%s %s means a folder", what, quote(name))
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return shared.Errorf(shared.InvalidArgument, "%s %s: byte %d: want letters, digits and any of ._:@~+=-", what, quote(name), i)
		}
	}
	return nil
}

func checkID(id string) error { return checkName("session ID", id) }

func isNameByte(c byte) bool {
	switch c {
	case '.', '_', ':', '@', '~', '+', '=', '-':
		return true
	}
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// quote repeats a caller's text in an error: clipped, in quotes, escaped.
func quote(text string) string {
	if len(text) > maxQuoted {
		end := maxQuoted
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return strconv.Quote(text)
}
