package fakelm

import (
	"regexp"
	"strings"
)

// shape is how the value of one output field looks.
type shape struct {
	schema *schema
	// bare: a string is written without quotes in Chat and XML answers.
	bare bool
	// nested: XMLAdapter wants the value as nested tags.
	nested bool
	// fence is the language of a Markdown code block around the value; empty
	// for no block.
	fence string
	// pyBool: True and False instead of true and false.
	pyBool bool
}

// codeType is how DSPy prints its Code type, with the language behind it.
var codeType = regexp.MustCompile(`^Code(?:_(\w+))?$`)

// notedTypes maps notes to the Python types that they are about.
var notedTypes = map[string]string{
	"must be a single int value":   "int",
	"must be a single float value": "float",
	"must be True or False":        "bool",
}

// shapes works out the shape of each output field. In order of preference a
// type comes from the request's response schema, from the Python annotation,
// from the notes in the prompt's structure, from BAMLAdapter's rendering, and
// from XMLAdapter's skeleton; text is what remains.
func (t *task) shapes(r *request) []shape {
	shown := layout(r.system())
	notes := readNotes(shown)
	out := make([]shape, len(t.outputs))
	for i, f := range t.outputs {
		s := &out[i]
		note := notes[f.name]
		s.schema = parsePyType(f.annotation)
		s.bare = f.annotation == "str" || strings.HasPrefix(f.annotation, "Literal[") || optionalText(s.schema)
		s.pyBool = f.annotation == "bool"
		if code := codeType.FindStringSubmatch(f.annotation); code != nil && s.schema == nil {
			s.schema, s.bare, s.fence = textSchema(), true, code[1]
			if s.fence == "" {
				s.fence = "python"
			}
		}
		if s.schema == nil {
			s.schema, s.bare = noteSchema(note)
		}
		if s.schema == nil {
			s.schema = parseBAML(shown, f.name)
		}
		if t.format == formatXML {
			if skeleton := parseSkeleton(shown, f.name); skeleton != nil {
				s.nested = true
				if s.schema == nil {
					s.schema = skeleton
				}
			}
		}
		if s.schema == nil {
			s.schema, s.bare = textSchema(), true
		}
		if _, bounds, found := strings.Cut(f.about, "Constraints: "); found {
			bounds, _, _ = strings.Cut(bounds, "\n")
			s.schema.limits.constrain(bounds, s.schema.is("array"))
		}
		if asked := r.jsonSchema; t.format == formatJSON && asked != nil && asked.property(f.name) != nil {
			s.adopt(asked, f.name)
		}
	}
	return out
}

// adopt takes the field's schema out of the response schema of the request, and
// keeps the bounds that only the prompt states.
func (s *shape) adopt(root *schema, name string) {
	asked := *root.property(name)
	if asked.limits == (limits{}) {
		asked.limits = s.schema.limits
	}
	asked.defs = root.defs
	s.schema = &asked
}

// textSchema returns the schema of a plain string.
func textSchema() *schema { return &schema{types: []string{"string"}} }

// optionalText reports whether s is a union of str and None, which DSPy parses
// without unquoting.
func optionalText(s *schema) bool {
	if s == nil {
		return false
	}
	text, null := false, false
	for _, choice := range s.choices {
		text = text || choice.is("string") && choice.format == ""
		null = null || choice.is("null")
	}
	return text && null
}

// readNotes collects the notes about values by field name: those on the lines
// of the structure, or in the members of its JSON object.
func readNotes(shown string) map[string]string {
	notes := map[string]string{}
	if _, text, found := strings.Cut(shown, jsonHeading); found {
		if value, err := decodeOrdered([]byte(strings.TrimSpace(text))); err == nil {
			members, _ := value.(object)
			for _, m := range members {
				line, _ := m.value.(string)
				_, note, _ := strings.Cut(line, noteMark)
				notes[m.name] = note
			}
			return notes
		}
	}
	for line := range strings.Lines(shown) {
		place, note, found := strings.Cut(strings.TrimSuffix(line, "\n"), noteMark)
		if found {
			notes[strings.Trim(place, "-{} ")] = note
		}
	}
	return notes
}

// noteSchema reads a note's type; nil if it states none. bare is true for the
// values of an enum.
func noteSchema(note string) (s *schema, bare bool) {
	if _, text, found := strings.Cut(note, "must adhere to the JSON schema: "); found {
		return parseSchema(text), false
	}
	for _, phrase := range []string{"must be one of: ", "must exactly match (no extra characters) one of: "} {
		if _, text, found := strings.Cut(note, phrase); found {
			s := &schema{}
			for value := range strings.SplitSeq(text, "; ") {
				s.enum = append(s.enum, value)
			}
			return s, true
		}
	}
	return parsePyType(notedTypes[strings.TrimSpace(note)]), false
}
