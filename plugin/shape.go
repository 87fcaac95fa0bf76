package plugin

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// shapeKind is what kind of JSON value a Go type takes.
type shapeKind int

const (
	// anyKind takes any value: interfaces and types with JSON methods.
	anyKind shapeKind = iota
	// objectKind takes an object with known members: structs.
	objectKind
	// mapKind takes an object with members of one shape.
	mapKind
	// arrayKind takes an array with elements of one shape.
	arrayKind
	// stringKind takes a string.
	stringKind
	// integerKind takes a number without a fraction.
	integerKind
	// numberKind takes a number.
	numberKind
	// booleanKind takes true or false.
	booleanKind
)

// String returns the name of the JSON Schema type; empty for any.
func (k shapeKind) String() string {
	switch k {
	case objectKind, mapKind:
		return "object"
	case arrayKind:
		return "array"
	case stringKind:
		return "string"
	case integerKind:
		return "integer"
	case numberKind:
		return "number"
	case booleanKind:
		return "boolean"
	default:
		return ""
	}
}

// shape is the JSON that a Go type takes. Shapes of recursive types have cycles.
// A shape is immutable once shapeOf has returned.
type shape struct {
	kind   shapeKind
	format string   // of a string
	fields []member // of an object, in the order of the struct
	elem   slot     // of a map or an array
	strict bool     // an object is in here, so that values are worth a check
}

// slot is a place for a shape: one that may also hold null, or not.
type slot struct {
	shape    *shape
	nullable bool
}

// member is one field of an object.
type member struct {
	name     string
	required bool
	slot     slot
}

var (
	jsonMarshalers = []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler]()}
	textMarshalers = []reflect.Type{reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
)

// slotOf returns the slot of a type.
func slotOf(t reflect.Type) slot {
	s := slotIn(t, make(map[reflect.Type]*shape))
	s.shape.mark(make(map[*shape]bool))
	return s
}

func slotIn(t reflect.Type, known map[reflect.Type]*shape) slot {
	nullable := false
	for t.Kind() == reflect.Pointer {
		nullable = true
		t = t.Elem()
	}
	s := known[t]
	if s == nil {
		s = &shape{}
		known[t] = s
		s.fill(t, known)
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Interface:
		nullable = true
	}
	return slot{s, nullable || s.kind == anyKind}
}

func (s *shape) fill(t reflect.Type, known map[reflect.Type]*shape) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.kind, s.format = stringKind, "date-time"
		return
	case t == reflect.TypeFor[json.Number]():
		s.kind = numberKind
		return
	case implements(t, jsonMarshalers):
		s.kind = anyKind
		return
	case implements(t, textMarshalers):
		s.kind = stringKind
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		s.kind = booleanKind
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		s.kind = integerKind
	case reflect.Float32, reflect.Float64:
		s.kind = numberKind
	case reflect.String:
		s.kind = stringKind
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			s.kind, s.format = stringKind, "byte"
			return
		}
		s.kind = arrayKind
		s.elem = slotIn(t.Elem(), known)
	case reflect.Map:
		s.kind = mapKind
		s.elem = slotIn(t.Elem(), known)
	case reflect.Struct:
		s.kind = objectKind
		s.fields = membersOf(t, known)
	}
}

// mark sets strict on the shapes in which an object can be reached.
func (s *shape) mark(seen map[*shape]bool) bool {
	if seen[s] {
		return s.strict
	}
	seen[s] = true
	s.strict = s.kind == objectKind
	for _, m := range s.fields {
		m.slot.shape.mark(seen)
	}
	if s.elem.shape != nil && s.elem.shape.mark(seen) {
		s.strict = true
	}
	return s.strict
}

// candidate is a field that encoding/json may give a struct.
type candidate struct {
	member
	depth  int // of embedding
	tagged bool
}

// membersOf returns the members that encoding/json gives a struct: those of
// embedded structs included. Of one name the outermost wins, then the one that
// is named by its tag, and else none.
func membersOf(t reflect.Type, known map[reflect.Type]*shape) []member {
	all := candidates(nil, t, 0, false, nil, known)
	var members []member
	for i, c := range all {
		beaten := func(k int) bool {
			other := all[k]
			if k == i || other.name != c.name || other.depth > c.depth {
				return false
			}
			return other.depth < c.depth || other.tagged || !c.tagged
		}
		wins := true
		for k := range all {
			wins = wins && !beaten(k)
		}
		if wins {
			members = append(members, c.member)
		}
	}
	return members
}

// candidates appends the fields of t and of the structs embedded in it. They are
// optional where t itself is embedded as a pointer.
func candidates(all []candidate, t reflect.Type, depth int, optional bool, path []reflect.Type, known map[reflect.Type]*shape) []candidate {
	if slices.Contains(path, t) {
		return all // embeds itself: the inner names can never win
	}
	path = append(path, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if inner := embedded(f); inner != nil && name == "" {
			all = candidates(all, inner, depth+1, optional || f.Type.Kind() == reflect.Pointer, path, known)
			continue
		}
		if !f.IsExported() {
			continue
		}
		opts := strings.Split(options, ",")
		m := member{name: name, slot: slotIn(f.Type, known)}
		if name == "" {
			m.name = f.Name
		}
		if slices.Contains(opts, "string") && m.slot.shape.kind >= stringKind {
			m.slot.shape = &shape{kind: stringKind}
		}
		m.required = !optional && f.Type.Kind() != reflect.Pointer &&
			!slices.Contains(opts, "omitempty") && !slices.Contains(opts, "omitzero")
		all = append(all, candidate{m, depth, name != ""})
	}
	return all
}

// embedded returns the struct type that the field embeds, nil if none.
func embedded(f reflect.StructField) reflect.Type {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !f.Anonymous || t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

func implements(t reflect.Type, interfaces []reflect.Type) bool {
	return slices.ContainsFunc(interfaces, func(i reflect.Type) bool {
		return t.Kind() != reflect.Interface && (t.Implements(i) || reflect.PointerTo(t).Implements(i))
	})
}
