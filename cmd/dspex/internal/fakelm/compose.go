package fakelm

import (
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxEcho is how many characters of the input an answer repeats.
	maxEcho = 400
	// maxDepth is where optional parts of a schema stop being filled.
	maxDepth = 6
	// maxNodes bounds the number of values made for one answer.
	maxNodes = 3000
)

var (
	thoughtNames = regexp.MustCompile(`(?i)^(?:reasoning|rationale|(?:next_)?thoughts?|thinking|justification|explanation)$`)
	answerNames  = regexp.MustCompile(`(?i)^(?:a|answers?|response|reply|output|result|completion|prediction|final_answer)$`)
	// textNames are names of members that hold text in an outline without types.
	textNames = regexp.MustCompile(`(?i)(?:name|title|text|label|description|summary|street|city|email|comment|note|reason|answer|value|word|topic)s?$`)
	wordLike  = regexp.MustCompile(`[\p{L}\p{N}][\p{L}\p{N}_-]*`)
)

// presets are values of the string formats of JSON Schema.
var presets = map[string]string{
	"date": "2024-01-15", "date-time": "2024-01-15T12:30:00Z", "time": "12:30:00", "duration": "PT90S",
	"email": "fake@example.com", "uri": "https://example.com/", "url": "https://example.com/",
	"hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
	"uuid": "00000000-0000-4000-8000-000000000001", "uuid4": "00000000-0000-4000-8000-000000000001",
	"binary": "ZmFrZQ==", "byte": "ZmFrZQ==", "path": "/tmp/fake", "json-string": "{}",
}

// composer makes up values. It belongs to one request.
type composer struct {
	primary  string   // the input that the answer is about, on one line
	subject  string   // the name of that input
	answer   string   // what the answer says
	known    bool     // answer is more than an echo
	keywords []string // distinct words of primary, never empty
	defs     map[string]*schema
	nodes    int
}

// newComposer prepares the answer about primary, an input named subject.
// observed is what a tool said about it, if anything.
func newComposer(subject, primary, observed string) *composer {
	c := &composer{primary: oneLine(primary), subject: subject}
	c.answer, c.known = recall(c.primary)
	if observed = oneLine(observed); !c.known && observed != "" {
		c.answer, c.known = observed, true
	}
	if !c.known {
		c.answer = "Echo: " + c.primary
	}
	c.keywords = keywords(c.primary)
	return c
}

// field returns the value of one output field. sole says that it is the only
// one besides thoughts, and so the answer whatever its name.
func (c *composer) field(f field, s shape, sole bool) any {
	c.defs = s.schema.defs
	s.schema = c.resolve(s.schema)
	answering := sole || answerNames.MatchString(f.name)
	switch {
	case thoughtNames.MatchString(f.name) && !s.schema.is("integer") && !s.schema.is("number") && !s.schema.is("boolean"):
		return c.wrapText(s.schema, c.thought())
	case s.fence != "":
		return c.code(s.fence)
	case !answering || s.schema.enum != nil || s.schema.format != "":
		return c.value(s.schema, f.name, 0)
	}
	number, numeric := firstNumber(c.answer)
	numeric = numeric && c.known
	switch {
	case s.schema.is("string") || s.bare:
		return s.schema.limits.clipText(c.answer)
	case s.schema.is("integer") && numeric:
		return s.schema.limits.integer(int64(number))
	case s.schema.is("number") && numeric:
		return s.schema.limits.number(number)
	case s.schema.is("array") && c.known && s.schema.items != nil && c.resolve(s.schema.items).is("string"):
		return s.schema.limits.clipList([]any{c.answer})
	}
	return c.value(s.schema, f.name, 0)
}

// thought returns the sentence of a reasoning field.
func (c *composer) thought() string {
	if c.known {
		return "The " + words(c.subject) + " is \"" + c.primary + "\", and what is known about it gives: " + c.answer
	}
	return "The " + words(c.subject) + " is \"" + c.primary + "\", so the outputs follow from it directly."
}

// code returns a program that prints the answer, in a Markdown block.
func (c *composer) code(language string) string {
	return "```" + language + "\nprint(" + pyText(c.answer) + ")\n```"
}

// wrapText puts text where a schema wants it: in itself, or in the only string
// of an object such as {"content": "..."}.
func (c *composer) wrapText(s *schema, text string) any {
	if s.is("object") && len(s.props) == 1 {
		return object{{s.props[0].name, text}}
	}
	if s.is("string") || len(s.types) == 0 && s.enum == nil && s.choices == nil || optionalText(s) {
		return s.limits.clipText(text)
	}
	return c.value(s, "thought", 0)
}

// value makes up a value of a schema for a member called name.
func (c *composer) value(s *schema, name string, depth int) any {
	c.nodes++
	s = c.resolve(s)
	switch {
	case depth > 4*maxDepth || c.nodes > 2*maxNodes:
		return nil // a type that cannot end
	case len(s.enum) > 0:
		return s.enum[0]
	case s.preset != nil && depth > 0:
		return s.preset
	case len(s.choices) > 0:
		return c.value(c.choose(s.choices, depth), name, depth+1)
	case s.loose:
		return c.looseText(name)
	case len(s.types) == 0:
		return c.text(name)
	}
	switch kind := s.types[0]; kind {
	case "object":
		return c.object(s, depth)
	case "array":
		return c.array(s, name, depth)
	case "integer":
		return s.limits.integer(int64(len(strings.Fields(c.primary))))
	case "number":
		return s.limits.number(c.fraction(name))
	case "boolean":
		return true
	case "null":
		return nil
	default:
		if preset, known := presets[s.format]; known {
			return preset
		}
		return s.limits.clipText(c.text(name))
	}
}

// resolve follows references and merges allOf.
func (c *composer) resolve(s *schema) *schema {
	for range maxNesting {
		target := c.defs[s.ref]
		if s.ref == "" || target == nil {
			break
		}
		s = target
	}
	if len(s.all) == 0 {
		return s
	}
	merged := *s
	merged.all = nil
	for _, part := range s.all {
		part = c.resolveShallow(part)
		merged.props = append(slices.Clone(merged.props), part.props...)
		if merged.types == nil {
			merged.types = part.types
		}
		if merged.enum == nil {
			merged.enum = part.enum
		}
	}
	return &merged
}

// resolveShallow follows one reference.
func (c *composer) resolveShallow(s *schema) *schema {
	if target := c.defs[s.ref]; target != nil {
		return target
	}
	return s
}

// choose picks the first alternative that is not null; deep inside, null ends a
// recursive type.
func (c *composer) choose(choices []*schema, depth int) *schema {
	deep := depth >= maxDepth || c.nodes > maxNodes
	for _, choice := range choices {
		if c.resolve(choice).is("null") == deep {
			return choice
		}
	}
	return choices[0]
}

// object fills all members; deep inside, none.
func (c *composer) object(s *schema, depth int) any {
	out := object{}
	if depth > 2*maxDepth || c.nodes > maxNodes {
		return out
	}
	for _, p := range s.props {
		out = append(out, member{p.name, c.value(p.schema, p.name, depth+1)})
	}
	if s.props == nil && s.extra != nil {
		out = append(out, member{c.keywords[0], c.value(s.extra, c.keywords[0], depth+1)})
	}
	return out
}

// array fills a tuple, or a list with one item for each keyword; deep inside,
// as few as allowed.
func (c *composer) array(s *schema, name string, depth int) any {
	items := []any{}
	for _, p := range s.prefix {
		items = append(items, c.value(p, name, depth+1))
	}
	if s.prefix != nil {
		return items
	}
	if (depth >= maxDepth || c.nodes > maxNodes) && s.limits.minItems == nil {
		return items
	}
	item := s.items
	if item == nil {
		item = &schema{types: []string{"string"}}
	}
	item = c.resolve(item)
	before := c.nodes
	switch {
	case item.is("string") && item.enum == nil && item.format == "":
		for _, word := range c.keywords {
			items = append(items, item.limits.clipText(word))
		}
	case item.is("integer"):
		for i := range int64(len(c.keywords)) {
			items = append(items, item.limits.integer(i+1))
		}
	default:
		items = append(items, c.value(item, name, depth+1))
	}
	// Repeated items count as often as they are written.
	cost := c.nodes - before + 1
	for i := 0; s.limits.wantsItem(len(items)) && c.nodes+cost <= maxNodes; i++ {
		items = append(items, items[i])
		c.nodes += cost
	}
	return s.limits.clipList(items)
}

// text returns the string of a member called name.
func (c *composer) text(name string) string {
	return label(name) + c.primary
}

// looseText returns text for a member without a known type. "1" is a valid
// string, integer, number and boolean alike.
func (c *composer) looseText(name string) string {
	if textNames.MatchString(name) {
		return c.text(name)
	}
	return "1"
}

// fraction returns a number from 0 to 1, with two decimals, that depends on the
// inputs and on name.
func (c *composer) fraction(name string) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name + "\x00" + c.primary))
	return float64(h.Sum32()%101) / 100
}
