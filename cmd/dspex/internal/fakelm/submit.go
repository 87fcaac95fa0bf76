package fakelm

import (
	"regexp"
	"strings"
)

var (
	// submitPattern finds how RLM's instructions say that code hands its outputs in.
	submitPattern = regexp.MustCompile("`SUBMIT\\((\\w+(?:, \\w+)*)\\)`")
	// previewPattern finds the value of a variable in what RLM tells about it.
	previewPattern = regexp.MustCompile("(?s)Preview:\\s*```\n(.*?)\n\\s*```\\s*»»»")
)

// lastVariable returns the value of the last variable that RLM tells about: its
// signatures end with the question. It returns the text itself if there is none.
func lastVariable(text string) string {
	found := previewPattern.FindAllStringSubmatch(text, -1)
	if len(found) == 0 {
		return text
	}
	return found[len(found)-1][1]
}

// submitField returns the value of the field in which RLM expects code: a call
// that hands all outputs in. It is not found for any other field.
func (c *composer) submitField(t *task, f field) (value any, found bool) {
	match := submitPattern.FindStringSubmatch(t.goal)
	if f.name != "code" || match == nil {
		return nil, false
	}
	names := strings.Split(match[1], ", ")
	notes := readNotes(t.goal)
	var arguments []string
	for _, name := range names {
		s := shape{}
		if s.schema, s.bare = noteSchema(notes[name]); s.schema == nil {
			s.schema, s.bare = textSchema(), true
		}
		made := c.field(field{name: name}, s, len(names) == 1)
		arguments = append(arguments, name+"="+pyText(made))
	}
	return "```python\nSUBMIT(" + strings.Join(arguments, ", ") + ")\n```", true
}

// pyText writes a value as a Python expression.
func pyText(value any) string {
	switch v := value.(type) {
	case string:
		// The escapes of JSON are a part of Python's; a backquote could end the
		// Markdown block around the code.
		return strings.ReplaceAll(quoted(v), "`", `\u0060`)
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, pyText(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case object:
		var items []string
		for _, m := range v {
			items = append(items, quoted(m.name)+": "+pyText(m.value))
		}
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return literalText(v)
	}
}
