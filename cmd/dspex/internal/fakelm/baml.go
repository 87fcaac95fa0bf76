package fakelm

import (
	"encoding/json"
	"strings"
)

// bamlReader reads the type notation of BAMLAdapter, such as
//
//	{
//	  # full name
//	  name: string,
//	  kind: "a" or "b",
//	  home: { street: string, } or null,
//	  tags: string[],
//	}
type bamlReader struct{ text string }

// bamlScalars maps its names of types to JSON Schema's.
var bamlScalars = map[string]string{
	"string": "string", "int": "integer", "float": "number", "boolean": "boolean", "null": "null",
}

// bamlHeading is what comes before the rendering of a field's type.
func bamlHeading(name string) string { return "Output field `" + name + "` should be of type: " }

// parseBAML finds and reads BAMLAdapter's rendering of a field's type; nil if
// the prompt has none or it cannot be read.
func parseBAML(shown, name string) *schema {
	_, text, found := strings.Cut(shown, bamlHeading(name))
	if !found {
		return nil
	}
	r := &bamlReader{text: text}
	return r.union(0)
}

// union reads types separated by "or".
func (r *bamlReader) union(depth int) *schema {
	first := r.suffixed(depth)
	if first == nil || !r.takeWord("or") {
		return first
	}
	out := &schema{choices: []*schema{first}}
	for {
		next := r.suffixed(depth)
		if next == nil {
			return nil
		}
		out.choices = append(out.choices, next)
		if !r.takeWord("or") {
			return flatten(out)
		}
	}
}

// flatten turns a union of constants only into one enum.
func flatten(s *schema) *schema {
	out := &schema{}
	for _, choice := range s.choices {
		if len(choice.enum) != 1 {
			return s
		}
		out.enum = append(out.enum, choice.enum...)
	}
	return out
}

// suffixed reads a type and the "[]" behind it.
func (r *bamlReader) suffixed(depth int) *schema {
	if depth > maxNesting {
		return nil
	}
	s := r.single(depth)
	for s != nil && r.take("[]") {
		s = &schema{types: []string{"array"}, items: s}
	}
	return s
}

// single reads one type.
func (r *bamlReader) single(depth int) *schema {
	switch {
	case r.take("{"):
		return r.fields(depth)
	case r.take("["):
		items := r.union(depth + 1)
		if items == nil || !r.take("]") {
			return nil
		}
		return &schema{types: []string{"array"}, items: items}
	case r.take(`"`):
		// The adapter escapes nothing, so the constant ends at the next quote.
		value, rest, found := strings.Cut(r.text, `"`)
		if !found {
			return nil
		}
		r.text = rest
		return &schema{enum: []any{value}}
	}
	word := r.word()
	if name, known := bamlScalars[word]; known {
		return &schema{types: []string{name}}
	}
	switch {
	case word == "dict" && r.take("["):
		key := r.union(depth + 1)
		if key == nil || !r.take(",") {
			return nil
		}
		value := r.union(depth + 1)
		if value == nil || !r.take("]") {
			return nil
		}
		return &schema{types: []string{"object"}, extra: value}
	case word == "true" || word == "false":
		return &schema{enum: []any{word == "true"}}
	case word == "":
		return nil
	}
	if value, err := decodeOrdered([]byte(word)); err == nil {
		if number, isNumber := value.(json.Number); isNumber {
			return &schema{enum: []any{number}}
		}
	}
	// The rest are Python names: date, Any, a class.
	if s := parsePyType(word); s != nil {
		return s
	}
	return textSchema()
}

// fields reads the members of an object after its opening brace.
func (r *bamlReader) fields(depth int) *schema {
	s := &schema{types: []string{"object"}, props: []property{}}
	for !r.take("}") {
		name := r.word()
		if name == "" || !r.take(":") {
			return nil
		}
		value := r.union(depth + 1)
		if value == nil {
			return nil
		}
		s.props = append(s.props, property{name, value})
		r.take(",")
	}
	return s
}

// word reads a name or a number.
func (r *bamlReader) word() string {
	r.space()
	end := strings.IndexAny(r.text, " \t\n,:[]{}\"")
	if end < 0 {
		end = len(r.text)
	}
	word := r.text[:end]
	r.text = r.text[end:]
	return word
}

// take skips white space and comments, and prefix if it comes next.
func (r *bamlReader) take(prefix string) bool {
	r.space()
	rest, found := strings.CutPrefix(r.text, prefix)
	r.text = rest
	return found
}

// takeWord is take for a whole word on the same line.
func (r *bamlReader) takeWord(word string) bool {
	rest, found := strings.CutPrefix(strings.TrimLeft(r.text, " "), word+" ")
	if found {
		r.text = rest
	}
	return found
}

// space skips white space and "# ..." comments.
func (r *bamlReader) space() {
	for {
		r.text = strings.TrimLeft(r.text, " \t\r\n")
		if !strings.HasPrefix(r.text, "#") {
			return
		}
		_, r.text, _ = strings.Cut(r.text, "\n")
	}
}
