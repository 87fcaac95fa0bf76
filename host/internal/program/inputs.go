package program

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/shared"
)

const (
	// maxProblems is how many faults of inputs one error lists.
	maxProblems = 20
	// maxWanted is how much of a long type an error repeats.
	maxWanted = 200
	// maxHint is how much of a long signature a hint repeats.
	maxHint = 1000
)

// ValidateInputs checks that inputs is a JSON object with exactly the inputs of
// the signature, each of its type. An int fits a float; a bool is no int; an
// input whose type has None may be left out. The error is a *shared.Error: InputMismatch with all faults and their paths, such as
// "context[2]: want str, got number", or InvalidArgument if inputs is no
// JSON object. Nil is {}.
func ValidateInputs(sig shared.Signature, inputs json.RawMessage) error {
	if inputs == nil {
		inputs = json.RawMessage("{}")
	}
	if err := jsonx.CheckObject("inputs", inputs, 0, jsonx.MaxDepth); err != nil {
		return err
	}
	fields, err := typesOf(sig.Inputs)
	if err != nil {
		return err
	}
	c := checker{}
	c.members("", fields, inputs, true)
	if len(c.problems) == 0 {
		return nil
	}
	return shared.Errorf(shared.InputMismatch, "inputs: %s", c.summary()).
		WithHint("the signature is %s", clip(FormatSignature(sig), maxHint))
}

// checker holds values against types and gathers the faults.
type checker struct {
	problems []string
	// full says that there are more than maxProblems.
	full bool
}

func (c *checker) summary() string {
	text := strings.Join(c.problems, "; ")
	if c.full {
		text += "; and more"
	}
	return text
}

func (c *checker) add(path, format string, args ...any) {
	if c.full = len(c.problems) == maxProblems; !c.full {
		c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
	}
}

// members checks the members of an object against fields. All of them must be
// there if complete, except those that may be None.
func (c *checker) members(prefix string, fields []typedField, obj json.RawMessage, complete bool) {
	types := make(map[string]*typ, len(fields))
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		types[f.name] = f.typ
		names = append(names, f.name)
	}
	found := make(map[string]bool, len(fields))
	for name, value := range jsonx.Members(obj) {
		t, ok := types[name]
		if !ok {
			c.add(prefix+clip(printable(name), maxQuoted), "not in the signature%s", didYouMean(name, names))
			if c.full {
				return
			}
			continue
		}
		found[name] = true
		c.value(prefix+name, t, value)
	}
	for _, f := range fields {
		if complete && !found[f.name] && !accepts(f.typ, kindNone) {
			c.add(prefix+f.name, "missing")
		}
	}
}

// value adds the faults of one value and of everything in it.
func (c *checker) value(path string, t *typ, raw json.RawMessage) {
	if c.full || matches(t, raw) {
		return
	}
	kind := jsonx.KindOf(raw)
	switch inner := meant(t, kind); {
	case inner == nil:
		c.add(path, "want %s, got %s", clip(t.String(), maxWanted), describe(t, kind, raw))
	case kind == jsonx.Array:
		i := 0
		for element := range jsonx.Elements(raw) {
			if !matches(inner, element) {
				c.value(index(path, i), inner, element)
			}
			i++
		}
	default:
		for key, value := range jsonx.Members(raw) {
			if !matches(inner, value) {
				c.value(path+"["+quote(key)+"]", inner, value)
			}
		}
	}
}

// meant returns the type of the elements or members of a value that should be
// of type t, or nil if t is not about such a value.
func meant(t *typ, kind jsonx.Kind) *typ {
	switch {
	case t.kind == kindList && kind == jsonx.Array, t.kind == kindDict && kind == jsonx.Object:
		return t.parts[0]
	case t.kind == kindUnion:
		var only *typ
		for _, part := range t.parts {
			if inner := meant(part, kind); inner != nil {
				if only != nil {
					return nil
				}
				only = inner
			}
		}
		return only
	}
	return nil
}

// matches reports whether a value is of a type.
func matches(t *typ, raw json.RawMessage) bool {
	kind := jsonx.KindOf(raw)
	switch t.kind {
	case kindAny:
		return true
	case kindStr:
		return kind == jsonx.String
	case kindInt:
		return kind == jsonx.Number && isInteger(raw)
	case kindFloat:
		return kind == jsonx.Number
	case kindBool:
		return kind == jsonx.Boolean
	case kindNone:
		return kind == jsonx.Null
	case kindLiteral:
		return matchesLiteral(t.literals, kind, raw)
	case kindUnion:
		for _, part := range t.parts {
			if matches(part, raw) {
				return true
			}
		}
		return false
	case kindList:
		for element := range jsonx.Elements(raw) {
			if !matches(t.parts[0], element) {
				return false
			}
		}
		return kind == jsonx.Array
	case kindDict:
		for value := range jsonx.Values(raw) {
			if !matches(t.parts[0], value) {
				return false
			}
		}
		return kind == jsonx.Object
	}
	return false
}

func matchesLiteral(literals []literal, kind jsonx.Kind, raw json.RawMessage) bool {
	text := string(raw)
	// One string has many spellings, but those without a backslash are canonical.
	if kind == jsonx.String && strings.Contains(text, `\`) {
		text = jsonString(jsonx.Text(raw))
	}
	for _, l := range literals {
		if l.text == text {
			return true
		}
	}
	return false
}

// describe says what a value is that is not of type t.
func describe(t *typ, kind jsonx.Kind, raw json.RawMessage) string {
	switch {
	case kind == jsonx.Number && !isInteger(raw) && accepts(t, kindInt):
		return "number with a fraction or exponent"
	case accepts(t, kindLiteral):
		return "another " + string(kind)
	}
	return string(kind)
}

// accepts reports whether t is of a kind, or a union with a part that is.
func accepts(t *typ, kind typeKind) bool {
	for _, part := range t.parts {
		if t.kind == kindUnion && part.kind == kind {
			return true
		}
	}
	return t.kind == kind
}

// isInteger reports whether a number is written as an integer.
func isInteger(raw json.RawMessage) bool { return !bytes.ContainsAny(raw, ".eE") }

// printable escapes what a name must not do to a terminal or a log.
func printable(name string) string {
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}
