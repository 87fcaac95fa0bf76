package fakelm

import (
	"regexp"
	"slices"
	"strings"
)

// extractGoal is what TwoStepAdapter asks of its second model.
const extractGoal = "extract the fields from the text verbatim"

var (
	// subjectNames are inputs that an answer is about, the likeliest first.
	subjectNames = []string{"question", "query", "q", "prompt", "user_query", "message", "request", "input", "text"}
	// asideNames are inputs that an answer is never about.
	asideNames = []string{"trajectory", "history", "tools", "tool_call_results", "demos", "examples"}
	// observationPattern finds what tools returned, in ReAct's trajectory.
	observationPattern = regexp.MustCompile(
		`(?s)(?:\[\[ ## observation_\d+ ## \]\]|<observation_\d+>|observation_\d+:)\s*(.*?)(?:\n\n|\n</observation|\z)`)
)

// answer is what the model says, before it is put on the wire.
type answer struct {
	content   string
	reasoning string // native reasoning; empty unless the request asked for it
	calls     []toolCall
	finish    string // finish_reason
}

// toolCall is a function call that the model asks for.
type toolCall struct {
	name      string
	arguments object
}

// compose answers a request.
func compose(r *request) *answer {
	t := readTask(r)
	subject, primary := t.subject(r)
	c := newComposer(subject, primary, t.observed(r))
	a := &answer{finish: "stop"}
	if r.effort != "" && r.effort != "none" {
		a.reasoning = c.thought()
	}
	if call := c.nativeCall(r); call != nil {
		a.calls, a.finish = []toolCall{*call}, "tool_calls"
	}
	switch {
	case t.format != formatEcho:
		if fields := t.answer(r, c); len(fields) > 0 {
			a.content = render(t.format, fields)
		}
	case a.calls != nil:
	case r.jsonMode && r.jsonSchema != nil:
		c.defs = r.jsonSchema.defs
		a.content = jsonText(c.value(r.jsonSchema, "answer", 0))
	case r.jsonMode:
		a.content = jsonText(object{{"answer", c.answer}})
	default:
		a.content = c.answer
	}
	a.limit(r)
	return a
}

// limit applies the stop words and the token limit of the request.
func (a *answer) limit(r *request) {
	for _, word := range r.stop {
		if before, _, found := strings.Cut(a.content, word); found && word != "" {
			a.content = before
		}
	}
	if r.maxTokens > 0 {
		if clipped, cut := clipTokens(a.content, r.maxTokens); cut {
			a.content, a.finish = clipped, "length"
		}
	}
}

// subject returns the name and value of the input that the answer is about: for
// a prompt that is not DSPy's, the last thing that the user said.
func (t *task) subject(r *request) (name, value string) {
	if t.format == formatEcho {
		if asked := r.said("user"); len(asked) > 0 {
			return "request", asked[len(asked)-1]
		}
		return "request", r.messages[len(r.messages)-1].text
	}
	if variables := t.values["variables_info"]; variables != "" {
		return "request", lastVariable(variables)
	}
	for _, name := range subjectNames {
		if value := t.values[name]; value != "" {
			return name, value
		}
	}
	for _, f := range t.inputs {
		if value := t.values[f.name]; value != "" && !slices.Contains(asideNames, f.name) {
			return f.name, value
		}
	}
	return "task", t.goal
}

// observed returns what a tool last returned, or "".
func (t *task) observed(r *request) string {
	if results := r.said("tool"); len(results) > 0 {
		return results[len(results)-1]
	}
	found := ""
	for _, match := range observationPattern.FindAllStringSubmatch(t.values["trajectory"], -1) {
		// What the finish tool returns is no observation.
		if value := strings.TrimSpace(match[1]); value != "Completed." {
			found = value
		}
	}
	if found == "" {
		found = toolResult(r)
	}
	return found
}

// answer makes the value of each output field.
func (t *task) answer(r *request, c *composer) []answered {
	shapes := t.shapes(r)
	plain := 0
	for _, f := range t.outputs {
		if !thoughtNames.MatchString(f.name) {
			plain++
		}
	}
	given := t.extracted()
	var out []answered
	for i, f := range t.outputs {
		s := shapes[i]
		value, found := any(nil), false
		about := c
		if text, stated := given[f.name]; stated {
			if value, found = readStated(text, s); !found {
				about = newComposer("text", strings.TrimPrefix(text, label(f.name)), "")
			}
		}
		if !found {
			value, found = c.toolField(t, r, f)
		}
		if !found {
			value, found = c.submitField(t, f)
		}
		if !found {
			value = about.field(f, s, plain == 1)
		}
		out = append(out, answered{f.name, value, s})
	}
	return out
}

// extracted returns the "field: value" paragraphs of the text that
// TwoStepAdapter's second model is to take apart; nil for any other task.
func (t *task) extracted() map[string]string {
	if !strings.Contains(t.goal, extractGoal) {
		return nil
	}
	prose := &task{format: formatProse, inputs: t.outputs}
	return prose.readInputs(t.values["text"])
}

// readStated reads a value that a text states. It is not found if its type does
// not fit.
func readStated(text string, s shape) (value any, found bool) {
	if s.fence != "" || s.bare && s.schema.enum == nil {
		return text, true
	}
	if s.bare {
		for _, allowed := range s.schema.enum {
			if literalText(allowed) == text {
				return allowed, true
			}
		}
		return nil, false
	}
	if s.pyBool {
		return text == "True", text == "True" || text == "False"
	}
	value, err := decodeOrdered([]byte(text))
	return value, err == nil && s.schema.admits(value)
}
