package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/dspex/dspex/shared"
)

// Faults of a payload, as they stand in the messages of errors.
var (
	errNotUTF8 = errors.New("is not valid UTF-8")
	errNotJSON = errors.New("is not valid JSON")
	errTooDeep = fmt.Errorf("is nested deeper than %d levels", shared.MaxDepth)
)

// checkJSON reports why data is not a JSON value that may cross.
func checkJSON(data []byte) error {
	switch {
	case !utf8.Valid(data):
		return errNotUTF8
	case depth(data) > shared.MaxDepth:
		return errTooDeep
	case !json.Valid(data):
		return errNotJSON
	}
	return nil
}

// checkArgs reports why data is not the arguments of a call.
func checkArgs(data []byte) error {
	if err := checkJSON(data); err != nil {
		return err
	}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); trimmed[0] != '{' {
		return errors.New("must be a JSON object")
	}
	return nil
}

// encode makes the JSON value that crosses of a value of the command's code.
// What names the value in the message: "result", "chunk".
func encode(what string, value any, limit uint64) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, shared.Errorf(shared.ResultInvalid, "encode %s: %w", what, err).
			WithHint("return values that encoding/json can encode")
	}
	data := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	// Encode lets through the invalid UTF-8 of a json.RawMessage and of
	// MarshalJSON methods, and knows no depth.
	if !utf8.Valid(data) {
		return nil, shared.Errorf(shared.ResultInvalid, "encode %s: %w", what, errNotUTF8)
	}
	if depth(data) > shared.MaxDepth {
		return nil, shared.Errorf(shared.ResultInvalid, "encode %s: %w", what, errTooDeep)
	}
	if uint64(len(data)) > limit {
		return nil, shared.Errorf(shared.ResultTooLarge, "encode %s: %d bytes are more than the limit of %d",
			what, len(data), limit).
			WithHint("send less, or in chunks, or raise max_message of the pool")
	}
	return data, nil
}

// depth returns the deepest nesting of objects and arrays in a JSON text.
func depth(data []byte) int {
	deepest, level := 0, 0
	quoted := false
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			level++
			deepest = max(deepest, level)
		case b == '}' || b == ']':
			level--
		}
	}
	return deepest
}
