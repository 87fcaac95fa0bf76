package fakelm

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// Phrases by which DSPy's adapters mark the parts of a prompt.
const (
	inputsHeading  = "Your input fields are:\n"
	outputsHeading = "Your output fields are:\n"
	layoutHeading  = "All interactions will be structured in the following way"
	goalHeading    = "In adhering to this structure, your objective is:"
	jsonHeading    = "Outputs will be a JSON object with the following fields."
	noteMark       = "# note: the value you produce "

	twoStepInputs  = "As input, you will be provided with:\n"
	twoStepOutputs = "Your outputs must contain:\n"
	twoStepLayout  = "You should lay out your outputs in detail"
	twoStepGoal    = "Specific instructions:"

	jsonReminder = "Respond with a JSON object in the following order of fields: "
	xmlReminder  = "Respond with the corresponding output fields wrapped in XML tags "
	chatReminder = "Respond with the corresponding output fields, starting with the field "
)

// replyFormat is how an answer's fields are laid out.
type replyFormat int

const (
	// formatEcho: no DSPy prompt; the answer is plain text.
	formatEcho replyFormat = iota
	// formatChat: ChatAdapter's [[ ## field ## ]] markers.
	formatChat
	// formatJSON: one JSON object (JSONAdapter and BAMLAdapter).
	formatJSON
	// formatXML: one tag for each field (XMLAdapter).
	formatXML
	// formatProse: "field: value" paragraphs (first stage of TwoStepAdapter).
	formatProse
)

// task is a DSPy prompt that was read back into its signature.
type task struct {
	format  replyFormat
	inputs  []field
	outputs []field
	// goal is the signature's instructions.
	goal string
	// values holds the input values of the current turn by name.
	values map[string]string
}

// field is one declared field of a signature.
type field struct {
	name       string
	annotation string // Python type as printed
	about      string // description and constraints
}

var (
	entryPattern  = regexp.MustCompile("^(\\d+)\\. `(\\w+)` \\(")
	markerPattern = regexp.MustCompile(`^\[\[ ## (\w+) ## \]\]$`)
	tagPattern    = regexp.MustCompile(`^<(\w+)>$`)
)

// readTask reads a request's messages. A prompt that no DSPy adapter wrote
// gives a task of formatEcho without fields.
func readTask(r *request) *task {
	system := r.system()
	t := &task{values: map[string]string{}}
	if inputs, rest, found := between(system, inputsHeading, outputsHeading); found {
		outputs, structure, _ := strings.Cut(rest, layoutHeading)
		t.inputs, t.outputs = readFields(inputs, shown(system)), readFields(outputs, shown(system))
		_, t.goal, _ = strings.Cut(structure, goalHeading)
		t.format = formatChat
		if strings.Contains(structure, jsonHeading) || r.jsonMode {
			t.format = formatJSON
		}
	} else if inputs, rest, found := between(system, twoStepInputs, twoStepOutputs); found {
		outputs, structure, _ := strings.Cut(rest, twoStepLayout)
		t.inputs, t.outputs = readFields(inputs, anyName), readFields(outputs, anyName)
		_, t.goal, _ = strings.Cut(structure, twoStepGoal)
		t.format = formatProse
	}
	t.goal = strings.TrimSpace(t.goal)
	if t.format == formatEcho {
		return t
	}

	asked := r.said("user")
	if len(asked) > 0 && t.format != formatProse {
		if format, at := lastReminder(asked[len(asked)-1]); at >= 0 {
			t.format = format
		}
	}
	// The newest turn wins; older ones fill what it leaves out, as in a tool
	// loop, whose later turns carry no question.
	for _, text := range asked {
		maps.Copy(t.values, t.readInputs(text))
	}
	return t
}

// layout returns the part of a system prompt that shows the fields' structure.
func layout(system string) string {
	_, rest, _ := strings.Cut(system, layoutHeading)
	shown, _, _ := strings.Cut(rest, goalHeading)
	return shown
}

// lastReminder finds the reminder of the format at the end of a user message;
// at is -1 if there is none.
func lastReminder(text string) (format replyFormat, at int) {
	at = -1
	for phrase, asks := range map[string]replyFormat{
		jsonReminder: formatJSON, xmlReminder: formatXML, chatReminder: formatChat,
	} {
		if i := strings.LastIndex(text, phrase); i > at {
			format, at = asks, i
		}
	}
	return format, at
}

// shown returns a function that reports whether the structure in a system prompt
// shows a field.
func shown(system string) func(name string) bool {
	structure := layout(system)
	return func(name string) bool {
		return strings.Contains(structure, "{"+name+"}") || strings.Contains(structure, "<"+name+">") ||
			strings.Contains(structure, bamlHeading(name))
	}
}

// anyName accepts the fields of a prompt that shows no structure.
func anyName(string) bool { return true }

// readFields reads a numbered list of fields. An entry goes on until the line
// with the next number and a declared name, so a description may have several
// lines.
func readFields(text string, declared func(name string) bool) []field {
	var fields []field
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if f, number, found := readEntry(line); found && number == len(fields)+1 && declared(f.name) {
			fields = append(fields, f)
		} else if n := len(fields); n > 0 {
			fields[n-1].about += "\n" + line
		}
	}
	for i := range fields {
		fields[i].about = strings.TrimSpace(fields[i].about)
	}
	return fields
}

// readEntry reads the first line of a field: "1. `name` (type): description".
func readEntry(line string) (f field, number int, found bool) {
	match := entryPattern.FindStringSubmatchIndex(line)
	if match == nil {
		return field{}, 0, false
	}
	number, err := strconv.Atoi(line[match[2]:match[3]])
	if err != nil {
		return field{}, 0, false
	}
	annotation, rest, found := cutAnnotation(line[match[1]:])
	return field{name: line[match[4]:match[5]], annotation: annotation, about: rest}, number, found
}

// cutAnnotation cuts "type): rest" at the parenthesis that ends the type, which
// may itself hold parentheses and quoted strings.
func cutAnnotation(text string) (annotation, rest string, found bool) {
	depth := 0
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(' || c == '[':
			depth++
		case c == ']':
			depth--
		case c == ')' && depth > 0:
			depth--
		case c == ')':
			rest, found = strings.CutPrefix(text[i:], "):")
			return text[:i], rest, found
		}
	}
	return "", "", false
}

// readInputs reads the values of the input fields out of a user message. Only
// declared names in their declared order open a section, so text inside a value
// that looks like one stays part of the value.
func (t *task) readInputs(text string) map[string]string {
	if _, at := lastReminder(text); at >= 0 && t.format != formatProse {
		text = text[:at]
	}
	values := map[string]string{}
	open, next := "", 0
	var section strings.Builder
	end := func() {
		if open != "" {
			value := strings.TrimSpace(section.String())
			if t.format == formatXML {
				value = strings.TrimSpace(strings.TrimSuffix(value, "</"+open+">"))
			}
			values[open] = value
		}
		section.Reset()
	}
	for line := range strings.Lines(text) {
		name, rest := t.opening(strings.TrimSuffix(line, "\n"))
		at := -1
		for i := next; i < len(t.inputs) && name != ""; i++ {
			if t.inputs[i].name == name {
				at = i
				break
			}
		}
		if at < 0 {
			section.WriteString(line)
			continue
		}
		end()
		open, next = name, at+1
		section.WriteString(rest)
	}
	end()
	return values
}

// opening returns the name of the field whose section a line opens, and the
// part of the value that is on the same line.
func (t *task) opening(line string) (name, rest string) {
	switch t.format {
	case formatProse:
		name, rest, found := strings.Cut(line, ": ")
		if !found {
			name = strings.TrimSuffix(line, ":")
		}
		return name, rest + "\n"
	case formatXML:
		if match := tagPattern.FindStringSubmatch(line); match != nil {
			return match[1], ""
		}
	default:
		if match := markerPattern.FindStringSubmatch(strings.TrimSpace(line)); match != nil {
			return match[1], ""
		}
	}
	return "", ""
}

// has reports whether an output field of that name is asked for.
func (t *task) has(output string) bool {
	for _, f := range t.outputs {
		if f.name == output {
			return true
		}
	}
	return false
}

// between returns the text from first to second, and what follows second.
func between(text, first, second string) (inside, after string, found bool) {
	_, rest, found := strings.Cut(text, first)
	if !found {
		return "", "", false
	}
	return strings.Cut(rest, second)
}
