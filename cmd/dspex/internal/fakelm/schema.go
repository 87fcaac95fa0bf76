package fakelm

import (
	"encoding/json"
	"slices"
	"strings"
)

// schema is the part of JSON Schema that decides what a value looks like.
type schema struct {
	types   []string // empty: any type
	props   []property
	extra   *schema // values of further members; nil if none are allowed
	items   *schema
	prefix  []*schema // a tuple's items
	enum    []any
	choices []*schema // anyOf and oneOf
	all     []*schema
	ref     string // name of a definition
	defs    map[string]*schema
	format  string
	preset  any // default or first example; nil if there is none
	limits  limits
	unique  bool
	// loose marks a scalar whose type the prompt does not tell (XML skeletons).
	loose bool
}

// property is one named member of an object schema.
type property struct {
	name   string
	schema *schema
}

// parseSchema reads a JSON Schema text; nil if it is not one.
func parseSchema(text string) *schema {
	value, err := decodeOrdered([]byte(text))
	if err != nil {
		return nil
	}
	return newSchema(value)
}

// newSchema reads a decoded JSON Schema; nil if value is neither an object nor
// true. Keywords of the wrong type are ignored.
func newSchema(value any) *schema {
	if open, isBool := value.(bool); isBool && open {
		return &schema{}
	}
	obj, isObject := value.(object)
	if !isObject {
		return nil
	}
	s := &schema{}
	for _, m := range obj {
		s.set(m.name, m.value)
	}
	if s.types == nil && s.props != nil {
		s.types = []string{"object"}
	}
	return s
}

// is reports whether the schema names exactly this type.
func (s *schema) is(name string) bool {
	return len(s.types) == 1 && s.types[0] == name
}

// property returns the schema of a member, or nil.
func (s *schema) property(name string) *schema {
	for _, p := range s.props {
		if p.name == name {
			return p.schema
		}
	}
	return nil
}

// admits reports whether the schema allows a value's JSON type.
func (s *schema) admits(value any) bool {
	for _, choice := range s.choices {
		if choice.admits(value) {
			return true
		}
	}
	for _, allowed := range s.enum {
		if jsonText(allowed) == jsonText(value) {
			return true
		}
	}
	if s.choices != nil || s.enum != nil {
		return false
	}
	return len(s.types) == 0 || slices.Contains(s.types, jsonType(value)) ||
		s.is("number") && jsonType(value) == "integer"
}

// set applies one keyword.
func (s *schema) set(keyword string, value any) {
	switch keyword {
	case "type":
		s.types = stringsOf(value)
	case "properties":
		members, _ := value.(object)
		s.props = []property{}
		for _, m := range members {
			if sub := newSchema(m.value); sub != nil {
				s.props = append(s.props, property{m.name, sub})
			}
		}
	case "additionalProperties":
		s.extra = newSchema(value)
	case "items":
		s.items = newSchema(value)
	case "prefixItems":
		s.prefix = schemasOf(value)
	case "enum":
		s.enum, _ = value.([]any)
	case "const":
		s.enum = []any{value}
	case "anyOf", "oneOf":
		s.choices = schemasOf(value)
	case "allOf":
		s.all = schemasOf(value)
	case "$ref":
		ref, _ := value.(string)
		s.ref = ref[strings.LastIndexByte(ref, '/')+1:]
	case "$defs", "definitions":
		members, _ := value.(object)
		s.defs = map[string]*schema{}
		for _, m := range members {
			if sub := newSchema(m.value); sub != nil {
				s.defs[m.name] = sub
			}
		}
	case "format":
		s.format, _ = value.(string)
	case "default":
		s.preset = value
	case "examples":
		if list, _ := value.([]any); len(list) > 0 && s.preset == nil {
			s.preset = list[0]
		}
	case "uniqueItems":
		s.unique, _ = value.(bool)
	default:
		s.limits.set(keyword, value)
	}
}

// jsonType names the JSON Schema type of a value.
func jsonType(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	case int64:
		return "integer"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

// schemasOf reads a list of schemas.
func schemasOf(value any) []*schema {
	list, _ := value.([]any)
	var out []*schema
	for _, item := range list {
		if s := newSchema(item); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// stringsOf reads a string or a list of strings.
func stringsOf(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if s, isString := item.(string); isString {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
