package fakelm

import (
	"encoding/json"
	"strings"
)

// pyScalars maps the names of Python types to the schema of their JSON form.
var pyScalars = map[string]schema{
	"str":       {types: []string{"string"}},
	"int":       {types: []string{"integer"}},
	"float":     {types: []string{"number"}},
	"bool":      {types: []string{"boolean"}},
	"bytes":     {types: []string{"string"}},
	"None":      {types: []string{"null"}},
	"NoneType":  {types: []string{"null"}},
	"Any":       {},
	"object":    {},
	"date":      {types: []string{"string"}, format: "date"},
	"datetime":  {types: []string{"string"}, format: "date-time"},
	"time":      {types: []string{"string"}, format: "time"},
	"timedelta": {types: []string{"string"}, format: "duration"},
	"UUID":      {types: []string{"string"}, format: "uuid"},
	"Decimal":   {types: []string{"number"}},
}

// pyLists and pyDicts are the names of Python's generic containers; the value
// says whether the items are unique.
var (
	pyLists = map[string]bool{
		"list": false, "List": false, "Sequence": false, "Iterable": false, "deque": false,
		"set": true, "Set": true, "frozenset": true, "FrozenSet": true,
	}
	pyDicts = map[string]bool{"dict": true, "Dict": true, "Mapping": true, "MutableMapping": true, "defaultdict": true}
)

// parsePyType reads a Python annotation as DSPy prints it, such as
// "dict[str, list[int]]", "Literal['a', 'b']" or "Union[int, NoneType]". It
// returns nil for a type it does not know, such as a user's own class.
func parsePyType(text string) *schema {
	r := &pyReader{text: text, rawEscapes: true}
	s := r.union(0)
	r.space()
	if r.text != "" {
		return nil
	}
	return s
}

// union reads types separated by "|".
func (r *pyReader) union(depth int) *schema {
	first := r.annotation(depth)
	if first == nil || !r.peek("|") {
		return first
	}
	out := &schema{choices: []*schema{first}}
	for r.take("|") {
		next := r.annotation(depth)
		if next == nil {
			return nil
		}
		out.choices = append(out.choices, next)
	}
	return out
}

// annotation reads a name and its arguments.
func (r *pyReader) annotation(depth int) *schema {
	if depth > maxNesting {
		return nil
	}
	name := r.word()
	name = name[strings.LastIndexByte(name, '.')+1:]
	if name == "Literal" {
		return r.literals()
	}
	var args []*schema
	if r.take("[") {
		for !r.take("]") {
			arg := &schema{loose: true} // stands for the "..." of tuple[int, ...]
			if !r.take("...") {
				arg = r.union(depth + 1)
			}
			if arg == nil || !r.take(",") && !r.peek("]") {
				return nil
			}
			args = append(args, arg)
		}
	}
	return genericType(name, args)
}

// literals reads the arguments of Literal.
func (r *pyReader) literals() *schema {
	if !r.take("[") {
		return nil
	}
	s := &schema{}
	for !r.take("]") {
		value, err := r.literal(0)
		if err != nil || !r.take(",") && !r.peek("]") {
			return nil
		}
		s.enum = append(s.enum, value)
	}
	if len(s.enum) == 0 {
		return nil
	}
	return s
}

// genericType returns the schema of a named type with arguments, or nil.
func genericType(name string, args []*schema) *schema {
	if scalar, known := pyScalars[name]; known && args == nil {
		return &scalar
	}
	arg := func(i int) *schema {
		if i < len(args) {
			return args[i]
		}
		return &schema{}
	}
	if unique, known := pyLists[name]; known {
		return &schema{types: []string{"array"}, items: arg(0), unique: unique}
	}
	switch {
	case pyDicts[name]:
		return &schema{types: []string{"object"}, extra: arg(1)}
	case name == "tuple" || name == "Tuple":
		if len(args) == 2 && args[1].loose {
			return &schema{types: []string{"array"}, items: args[0]}
		}
		return &schema{types: []string{"array"}, prefix: args}
	case name == "Union" && len(args) > 0:
		return &schema{choices: args}
	case name == "Optional" && len(args) == 1:
		return &schema{choices: []*schema{args[0], {types: []string{"null"}}}}
	case name == "Annotated" && len(args) > 0:
		return args[0]
	}
	return nil
}

// literalText writes an allowed value the way a model spells it in plain text.
func literalText(value any) string {
	switch v := value.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		return v.String()
	default:
		return scalarText(v)
	}
}
