package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema returns the JSON Schema of the slot. Where a type contains itself the
// inner one is left open.
func (s slot) schema() []byte {
	data, err := json.Marshal(s.tree(make(map[*shape]bool)))
	if err != nil {
		// A tree of maps, strings and booleans always encodes.
		panic(fmt.Sprintf("encode schema: %s", err))
	}
	return data
}

func (s slot) tree(open map[*shape]bool) map[string]any {
	tree := make(map[string]any)
	if s.shape.kind == anyKind || open[s.shape] {
		return tree
	}
	open[s.shape] = true
	defer delete(open, s.shape)

	tree["type"] = s.shape.kind.String()
	if s.nullable {
		tree["type"] = []string{s.shape.kind.String(), "null"}
	}
	switch s.shape.kind {
	case stringKind:
		if s.shape.format != "" {
			tree["format"] = s.shape.format
		}
	case arrayKind:
		tree["items"] = s.shape.elem.tree(open)
	case mapKind:
		tree["additionalProperties"] = s.shape.elem.tree(open)
	case objectKind:
		properties := make(map[string]any)
		required := []string{}
		for _, m := range s.shape.fields {
			properties[m.name] = m.slot.tree(open)
			if m.required {
				required = append(required, m.name)
			}
		}
		tree["properties"] = properties
		tree["additionalProperties"] = false
		if len(required) > 0 {
			tree["required"] = required
		}
	}
	return tree
}

// usage lists the members of an object for people; empty for other shapes.
func (s *shape) usage() string {
	if s.kind != objectKind {
		return ""
	}
	if len(s.fields) == 0 {
		return "none"
	}
	words := make([]string, 0, len(s.fields))
	for _, m := range s.fields {
		word := m.name
		if !m.required {
			word += " (optional)"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// check reports the first member of an object in data that is unknown, missing
// or null without being allowed to. Values of another type are left to
// encoding/json, which says more about them.
func (s *shape) check(data json.RawMessage, path string) error {
	if !s.strict {
		return nil
	}
	switch s.kind {
	case objectKind:
		var values map[string]json.RawMessage
		if json.Unmarshal(data, &values) != nil {
			return nil
		}
		return s.checkMembers(values, path)
	case mapKind:
		var values map[string]json.RawMessage
		if json.Unmarshal(data, &values) != nil {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := s.elem.check(values[name], join(path, name)); err != nil {
				return err
			}
		}
	case arrayKind:
		var values []json.RawMessage
		if json.Unmarshal(data, &values) != nil {
			return nil
		}
		for i, value := range values {
			if err := s.elem.check(value, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *shape) checkMembers(values map[string]json.RawMessage, path string) error {
	present := 0
	for _, m := range s.fields {
		value, ok := values[m.name]
		if !ok {
			if m.required {
				return &argumentError{join(path, m.name), "is missing"}
			}
			continue
		}
		present++
		if err := m.slot.check(value, join(path, m.name)); err != nil {
			return err
		}
	}
	if present == len(values) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(s.fields, func(m member) bool { return m.name == name }) {
			return &argumentError{join(path, name), "is unknown"}
		}
	}
	return nil
}

func (s slot) check(data json.RawMessage, path string) error {
	if string(data) != "null" {
		return s.shape.check(data, path)
	}
	if !s.nullable {
		return &argumentError{path, "must not be null"}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
