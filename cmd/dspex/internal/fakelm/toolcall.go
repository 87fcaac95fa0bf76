package fakelm

import (
	"regexp"
	"slices"
	"strings"
)

// finishNames are tools that end a tool loop: ReAct's and ReActV2's.
var finishNames = []string{"finish", "submit"}

var (
	// toolLine matches how DSPy prints a tool, with an optional number before it.
	toolLine = regexp.MustCompile(`(?m)^\s*(?:\(\d+\) )?([\w.-]+?)(?:, whose description is <desc>.*</desc>)?\. It takes arguments (\{.*\})\.$`)
	// resultPattern matches how ReActV2 reports what tools returned.
	resultPattern = regexp.MustCompile(`(?s)tool_call_results(?: ## \]\]|>)\n\s*(.*?)\s*(?:</tool_call_results>.*)?$`)
)

// readTools reads the tools that a text lists, one on each line.
func readTools(text string) []tool {
	var tools []tool
	for _, match := range toolLine.FindAllStringSubmatch(text, -1) {
		t := tool{name: match[1], schema: &schema{types: []string{"object"}, props: []property{}}}
		if value, err := parsePyLiteral(match[2]); err == nil {
			t.schema.set("properties", value)
		}
		tools = append(tools, t)
	}
	return tools
}

// nativeCall returns the function call that the request's tools lead to: one
// call of a tool, and then one of the tool that ends the loop, if there is such
// a tool. It returns nil where the model just answers.
func (c *composer) nativeCall(r *request) *toolCall {
	if r.noTools || len(r.tools) == 0 {
		return nil
	}
	for _, t := range r.tools {
		if t.name == r.forcedTool {
			return c.call(t)
		}
	}
	return c.nextCall(r.tools, len(r.said("tool")) > 0)
}

// nextCall returns the call that a tool loop makes next; nil to end it.
func (c *composer) nextCall(tools []tool, called bool) *toolCall {
	for _, t := range tools {
		if slices.Contains(finishNames, t.name) == called {
			return c.call(t)
		}
	}
	if called || len(tools) == 0 {
		return nil
	}
	return c.call(tools[0])
}

// call makes up the arguments of a call. Optional ones keep their defaults.
func (c *composer) call(t tool) *toolCall {
	arguments := object{}
	if t.schema == nil {
		return &toolCall{t.name, arguments}
	}
	c.defs = t.schema.defs
	for _, p := range t.schema.props {
		if p.schema.preset != nil {
			continue
		}
		s := c.resolve(p.schema)
		value := c.value(s, p.name, 0)
		if s.is("string") && s.enum == nil && s.format == "" {
			// A tool gets the question; the tool that ends the loop the answer.
			value = c.primary
			if slices.Contains(finishNames, t.name) {
				value = c.answer
			}
		}
		if number, numeric := firstNumber(c.answer); numeric && c.known && slices.Contains(finishNames, t.name) {
			switch {
			case s.is("integer"):
				value = s.limits.integer(int64(number))
			case s.is("number"):
				value = s.limits.number(number)
			}
		}
		arguments = append(arguments, member{p.name, value})
	}
	return &toolCall{t.name, arguments}
}

// toolField returns the value of a field by which ReAct or ReActV2 call tools
// in text. It is not found for any other field.
func (c *composer) toolField(t *task, r *request, f field) (value any, found bool) {
	switch {
	case f.annotation == "ToolCalls":
		call := c.nextCall(c.listedTools(t), toolResult(r) != "")
		calls := []any{}
		if call != nil {
			calls = append(calls, object{{"name", call.name}, {"args", call.arguments}})
		}
		return object{{"tool_calls", calls}}, true
	case f.name == "next_tool_name" && t.has("next_tool_args"):
		call := c.reactCall(t)
		if call == nil {
			return nil, false
		}
		return call.name, true
	case f.name == "next_tool_args" && t.has("next_tool_name"):
		if call := c.reactCall(t); call != nil {
			return call.arguments, true
		}
		return object{}, true
	}
	return nil, false
}

// reactCall returns ReAct's next call: one tool, and finish once the trajectory
// holds anything.
func (c *composer) reactCall(t *task) *toolCall {
	return c.nextCall(readTools(t.goal), t.values["trajectory"] != "")
}

// listedTools reads the tools out of the inputs, where ReActV2 puts them as a
// JSON list of lines.
func (c *composer) listedTools(t *task) []tool {
	for _, f := range t.inputs {
		if !strings.Contains(f.annotation, "Tool") {
			continue
		}
		if value, err := decodeOrdered([]byte(t.values[f.name])); err == nil {
			return readTools(strings.Join(stringsOf(value), "\n"))
		}
		return readTools(t.values[f.name])
	}
	return nil
}

// toolResult returns the last value that ReActV2 reports in text, or "".
func toolResult(r *request) string {
	for _, text := range slices.Backward(r.said("user")) {
		match := resultPattern.FindStringSubmatch(text)
		if match == nil {
			continue
		}
		value, err := decodeOrdered([]byte(match[1]))
		results, isObject := value.(object)
		if err != nil || !isObject {
			return match[1]
		}
		list, _ := results.get("tool_call_results").([]any)
		if len(list) == 0 {
			return ""
		}
		last, _ := list[len(list)-1].(object)
		return scalarText(last.get("value"))
	}
	return ""
}
