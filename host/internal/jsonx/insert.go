package jsonx

import (
	"encoding/json"
	"slices"
)

// Member is one member of an object.
type Member struct {
	// Name is an ASCII name that needs no escapes, such as "session_id".
	Name string
	// Value is a JSON value. Nil is null.
	Value json.RawMessage
}

// InsertMembers returns a copy of obj with the given members at its end. Members
// that obj has under these names, however spelled, are left out: what the host
// says about a call is never the caller's word. Nil is {}. An obj that no
// check has seen and that is no object counts as {}.
func InsertMembers(obj json.RawMessage, insert ...Member) json.RawMessage {
	size := len(obj) + 2
	for _, m := range insert {
		size += len(m.Name) + len(m.Value) + 8
	}
	out := append(make([]byte, 0, size), '{')
	// Members that stay are copied in runs, with what stands between them.
	run, end := -1, 0
	flush := func() {
		if run >= 0 {
			out = append(comma(out), obj[run:end]...)
		}
		run = -1
	}
	for m := range members(obj) {
		if slices.ContainsFunc(insert, func(in Member) bool { return named(m.key, in.Name) }) {
			flush()
			continue
		}
		if run < 0 {
			run = m.start
		}
		end = m.end
	}
	flush()
	for _, m := range insert {
		out = append(comma(out), '"')
		out = append(out, m.Name...)
		out = append(out, '"', ':')
		if m.Value == nil {
			out = append(out, "null"...)
		}
		out = append(out, m.Value...)
	}
	return append(out, '}')
}

func comma(out []byte) []byte {
	if len(out) > 1 {
		out = append(out, ',')
	}
	return out
}

// named reports whether a key, as it stands in the text, is name.
func named(key []byte, name string) bool {
	if string(key) == name {
		return true
	}
	return len(key) > len(name) && unescape(key) == name
}
