package fakelm

import "strings"

// answered is an output field with its value.
type answered struct {
	name  string
	value any
	shape shape
}

// render lays the answered fields out in a format.
func render(format replyFormat, fields []answered) string {
	switch format {
	case formatJSON:
		members := object{}
		for _, f := range fields {
			members = append(members, member{f.name, f.value})
		}
		return jsonText(members)
	case formatXML:
		return renderXML(fields)
	case formatProse:
		var parts []string
		for _, f := range fields {
			parts = append(parts, f.name+": "+f.text())
		}
		return strings.Join(parts, "\n\n")
	default:
		var b strings.Builder
		for _, f := range fields {
			b.WriteString("[[ ## " + f.name + " ## ]]\n" + f.text() + "\n\n")
		}
		return b.String() + "[[ ## completed ## ]]"
	}
}

// renderXML writes one element for each field.
func renderXML(fields []answered) string {
	var parts []string
	for _, f := range fields {
		if _, isString := f.value.(string); f.shape.nested && !isString {
			parts = append(parts, xmlElement(f.name, "", f.value))
		} else {
			parts = append(parts, "<"+f.name+">\n"+xmlText.Replace(f.text())+"\n</"+f.name+">")
		}
	}
	return strings.Join(parts, "\n\n")
}

// text writes the value as ChatAdapter parses it: text as it is where the type
// says so, else JSON.
func (f answered) text() string {
	switch v := f.value.(type) {
	case string:
		if f.shape.bare {
			return v
		}
	case bool:
		if f.shape.pyBool {
			return literalText(v)
		}
	}
	if f.shape.bare {
		return literalText(f.value)
	}
	return jsonText(f.value)
}
