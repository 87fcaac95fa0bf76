package program

import (
	"slices"
	"strings"

	"github.com/dspex/dspex/shared"
)

// acceptedTypes is the hint of errors about types.
const acceptedTypes = `accepted types: str, int, float, bool, Any, list[T], dict[str, T], Optional[T], A | B | None, Literal["a", 1, true]`

// typeKind is the outermost part of a type.
type typeKind int

const (
	kindStr typeKind = iota
	kindInt
	kindFloat
	kindBool
	kindAny
	// kindNone occurs only as the last part of a union.
	kindNone
	// kindList has one part, the type of its elements.
	kindList
	// kindDict has one part, the type of its values.
	kindDict
	kindLiteral
	// kindUnion has two parts or more, none of them a union, no two the same.
	kindUnion
)

// simpleTypes are the types without parts; bare list and dict have Any inside.
var simpleTypes = map[string]typ{
	"str":   {kind: kindStr},
	"int":   {kind: kindInt},
	"float": {kind: kindFloat},
	"bool":  {kind: kindBool},
	"Any":   {kind: kindAny},
	"None":  {kind: kindNone},
	"list":  {kind: kindList, parts: []*typ{{kind: kindAny}}},
	"List":  {kind: kindList, parts: []*typ{{kind: kindAny}}},
	"dict":  {kind: kindDict, parts: []*typ{{kind: kindAny}}},
	"Dict":  {kind: kindDict, parts: []*typ{{kind: kindAny}}},
}

// otherNames maps names of types elsewhere to what a caller may have meant.
var otherNames = map[string]string{
	"string": "str", "String": "str", "text": "str", "integer": "int", "number": "float", "double": "float",
	"boolean": "bool", "Boolean": "bool", "array": "list", "object": "dict", "map": "dict", "any": "Any",
	"null": "None", "nil": "None", "NoneType": "None", "tuple": "list", "Tuple": "list", "set": "list",
	"typing.List": "list", "typing.Dict": "dict", "typing.Any": "Any", "typing.Optional": "Optional",
	"typing.Literal": "Literal", "optional": "Optional", "literal": "Literal", "enum": "Literal",
}

// typ is a parsed type. It is immutable after it was parsed.
type typ struct {
	kind     typeKind
	parts    []*typ
	literals []literal
}

// literal is one value of a Literal type.
type literal struct {
	// text is the value as canonical JSON: a string, an integer, or true or false.
	text string
}

// typedField is a field with its parsed type.
type typedField struct {
	name string
	typ  *typ
}

// typesOf parses the types of the fields of a signature.
func typesOf(groups ...[]shared.Field) ([]typedField, error) {
	var fields []typedField
	for _, group := range groups {
		for _, f := range group {
			t, err := parseType(f.Type)
			if err != nil {
				return nil, signatureError("field %s: type: %w", quote(f.Name), err)
			}
			fields = append(fields, typedField{f.Name, t})
		}
	}
	return fields, nil
}

// String returns the type in canonical form.
func (t *typ) String() string {
	var b strings.Builder
	t.write(&b)
	return b.String()
}

func (t *typ) write(b *strings.Builder) {
	switch t.kind {
	case kindStr:
		b.WriteString("str")
	case kindInt:
		b.WriteString("int")
	case kindFloat:
		b.WriteString("float")
	case kindBool:
		b.WriteString("bool")
	case kindAny:
		b.WriteString("Any")
	case kindNone:
		b.WriteString("None")
	case kindList:
		b.WriteString("list[")
		t.parts[0].write(b)
		b.WriteString("]")
	case kindDict:
		b.WriteString("dict[str, ")
		t.parts[0].write(b)
		b.WriteString("]")
	case kindLiteral:
		b.WriteString("Literal[")
		for i, l := range t.literals {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(l.text)
		}
		b.WriteString("]")
	case kindUnion:
		for i, part := range t.parts {
			if i > 0 {
				b.WriteString(" | ")
			}
			part.write(b)
		}
	}
}

// union joins types: unions in them are taken apart, repetitions dropped, and
// None comes last.
func union(types []*typ) *typ {
	var parts []*typ
	none := false
	add := func(t *typ) {
		if t.kind == kindNone {
			none = true
			return
		}
		same := func(other *typ) bool { return other.String() == t.String() }
		if !slices.ContainsFunc(parts, same) {
			parts = append(parts, t)
		}
	}
	for _, t := range types {
		if t.kind == kindUnion {
			for _, part := range t.parts {
				add(part)
			}
			continue
		}
		add(t)
	}
	if none {
		parts = append(parts, &typ{kind: kindNone})
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &typ{kind: kindUnion, parts: parts}
}
