package fakelm

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// maxNesting bounds the depth of the JSON and Python literals that are read.
const maxNesting = 64

var (
	errTooDeep  = errors.New("nested too deeply")
	errTrailing = errors.New("text after the value")
)

// A value is what a field or a JSON Schema node was answered with: nil, bool,
// int64, float64, json.Number, string, []any or object.

// object is a JSON object that keeps the order of its members.
type object []member

// member is one name and value of an object.
type member struct {
	name  string
	value any
}

// get returns the value of a member, or nil.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// jsonText writes a value as JSON the way Python's json.dumps does, with a space
// after each comma and colon, and without HTML escapes.
func jsonText(value any) string {
	var b strings.Builder
	writeJSON(&b, value)
	return b.String()
}

func writeJSON(b *strings.Builder, value any) {
	switch v := value.(type) {
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quoted(m.name))
			b.WriteString(": ")
			writeJSON(b, m.value)
		}
		b.WriteByte('}')
	case string:
		b.WriteString(quoted(v))
	default:
		b.WriteString(scalarText(v))
	}
}

// scalarText writes nil, a boolean or a number as JSON, and a string as it is.
func scalarText(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		// A float keeps its point, so that a strict reader sees no integer.
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".en") {
			text += ".0"
		}
		return text
	case json.Number:
		return v.String()
	case string:
		return v
	default:
		return jsonText(v)
	}
}

// quoted writes a JSON string.
func quoted(s string) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		// Strings always encode.
		panic("fakelm: " + err.Error())
	}
	return strings.TrimSuffix(buf.String(), "\n")
}

// decodeOrdered reads one JSON value and keeps the order of object members.
// Nesting deeper than maxNesting is an error.
func decodeOrdered(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errTrailing
	}
	return value, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, errTooDeep
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	delim, isDelim := token.(json.Delim)
	if !isDelim {
		return token, nil
	}
	if delim == '[' {
		items := []any{}
		for dec.More() {
			item, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		_, err := dec.Token()
		return items, err
	}
	members := object{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		value, err := decodeValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		members = append(members, member{name, value})
	}
	_, err = dec.Token()
	return members, err
}
