package jsonx

import "encoding/json"

// MergePatch applies a JSON Merge Patch (RFC 7396) and returns the result; it
// shares nothing with its arguments. Both must have passed a check. Numbers and
// strings stay as they are written, and members keep their order.
func MergePatch(target, patch json.RawMessage) json.RawMessage {
	return appendMerged(make([]byte, 0, len(target)+len(patch)), target, patch)
}

// appendMerged appends target after patch. A nil target is one that is absent.
func appendMerged(out []byte, target, patch json.RawMessage) []byte {
	if KindOf(patch) != Object {
		return append(out, patch...)
	}
	changes := map[string]json.RawMessage{}
	for key, change := range Members(patch) {
		changes[key] = change
	}
	first := true
	add := func(key []byte, old, change json.RawMessage) {
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(out, '"')
		out = append(out, key...)
		out = append(out, '"', ':')
		if change == nil {
			out = append(out, old...)
			return
		}
		out = appendMerged(out, old, change)
	}
	out = append(out, '{')
	for m := range members(target) {
		key := unescape(m.key)
		change, ok := changes[key]
		delete(changes, key)
		if !ok || KindOf(change) != Null {
			add(m.key, m.value, change)
		}
	}
	for m := range members(patch) {
		if change, ok := changes[unescape(m.key)]; ok && KindOf(change) != Null {
			add(m.key, nil, change)
		}
	}
	return append(out, '}')
}
