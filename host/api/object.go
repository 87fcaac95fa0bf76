package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"

	"github.com/dspex/dspex/shared"
)

const (
	// spaces are what JSON allows between tokens.
	spaces = " \t\r\n"
	// endOfInput is encoding/json's word for a text that is cut.
	endOfInput = "unexpected end of JSON input"
)

// checkObject returns the JSON object that body consists of, without the space
// around it.
func checkObject(body []byte) (json.RawMessage, error) {
	const hint = `send an object such as {"name": "value"}`
	if !json.Valid(body) {
		var value any
		err := json.Unmarshal(body, &value) // checks before it allocates anything
		at := int64(len(body))
		if syntax := new(json.SyntaxError); errors.As(err, &syntax) && syntax.Error() != endOfInput {
			at = syntax.Offset - 1
		}
		return nil, shared.Errorf(shared.InvalidArgument, "the body is not JSON at byte %d: %w", at, err).WithHint(hint)
	}
	object := bytes.Trim(body, spaces)
	if object[0] != '{' {
		return nil, shared.Errorf(shared.InvalidArgument, "the body is not a JSON object").WithHint(hint)
	}
	return object, nil
}

// membersOf yields the members of a JSON object in their order. The object must be
// valid. The values are parts of it, not copies: they may be most of a body.
func membersOf(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		rest := bytes.TrimLeft(object[1:], spaces)
		for rest[0] != '}' {
			end := valueEnd(rest)
			name := nameOf(rest[:end])
			rest = bytes.TrimLeft(rest[end:], spaces)
			rest = bytes.TrimLeft(rest[1:], spaces) // the colon
			end = valueEnd(rest)
			if !yield(name, json.RawMessage(rest[:end:end])) {
				return
			}
			rest = bytes.TrimLeft(rest[end:], spaces)
			if rest[0] == ',' {
				rest = bytes.TrimLeft(rest[1:], spaces)
			}
		}
	}
}

// nameOf decodes the text of a name.
func nameOf(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var name string
	_ = json.Unmarshal(quoted, &name) // it is valid
	return name
}

// valueEnd returns the length of the value that valid JSON text begins with.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of a number or word before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// stringEnd returns the index of the quote that ends the string which begins at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}
