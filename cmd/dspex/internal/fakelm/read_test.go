package fakelm

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shapeOf prints what a composer fills a schema with, which tells its shape.
func shapeOf(s *schema) string {
	if s == nil {
		return "unknown"
	}
	c := newComposer("text", "alpha beta", "")
	c.defs = s.defs
	return jsonText(c.value(s, "name", 0))
}

func TestPyType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"str":                                `"Name: alpha beta"`,
		"int":                                `2`,
		"float":                              `0.41`,
		"bool":                               `true`,
		"NoneType":                           `null`,
		"Any":                                `"Name: alpha beta"`,
		"list":                               `["Name: alpha beta"]`,
		"list[int]":                          `[1, 2]`,
		"list[list[bool]]":                   `[[true]]`,
		"typing.List[int]":                   `[1, 2]`,
		"set[str]":                           `["alpha", "beta"]`,
		"dict[str, list[int]]":               `{"alpha": [1, 2]}`,
		"dict":                               `{"alpha": "Alpha: alpha beta"}`,
		"tuple[int, str]":                    `[2, "Name: alpha beta"]`,
		"tuple[int, ...]":                    `[1, 2]`,
		"Union[int, NoneType]":               `2`,
		"Optional[bool]":                     `true`,
		"int | None":                         `2`,
		"None | int":                         `2`,
		"Literal['a', 'b']":                  `"a"`,
		`Literal["it's (x)", 'y']`:           `"it's (x)"`,
		`Literal['it\'s "x"']`:               `"it's \"x\""`,
		`Literal['back\slash']`:              `"back\\slash"`,
		"Literal[3, 4]":                      `3`,
		"Literal[-1]":                        `-1`,
		"Literal[True]":                      `true`,
		"list[Literal['x', 'y']]":            `["x"]`,
		"date":                               `"2024-01-15"`,
		"Person":                             `unknown`,
		"list[Person]":                       `unknown`,
		"list[int":                           `unknown`,
		"Literal[]":                          `unknown`,
		"Literal[Color.RED]":                 `unknown`,
		"str extra":                          `unknown`,
		"":                                   `unknown`,
		"Union[Literal['a', 'b'], NoneType]": `"a"`,
	} {
		if got := shapeOf(parsePyType(text)); got != want {
			t.Errorf("parsePyType(%q): got %s, want %s", text, got, want)
		}
	}
}

func TestPyLiteral(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{'q': {'type': 'string', 'default': None}, 'k': [1, 2.5, -3]}`: `{"q": {"type": "string", "default": null}, "k": [1, 2.5, -3]}`,
		`("a", True, False,)`:        `["a", true, false]`,
		`'tab\t quote\' \x41\u00e9'`: `"tab\t quote' Aé"`,
		`"it's"`:                     `"it's"`,
		`{}`:                         `{}`,
		`'open`:                      `error`,
		`{'a' 1}`:                    `error`,
		`{1: 2}`:                     `error`,
		`<object at 0x1>`:            `error`,
		`[1 2]`:                      `error`,
		`[1] x`:                      `error`,
		``:                           `error`,
	} {
		got := "error"
		if value, err := parsePyLiteral(text); err == nil {
			got = jsonText(value)
		}
		if got != want {
			t.Errorf("parsePyLiteral(%q): got %s, want %s", text, got, want)
		}
	}
}

func TestBAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"string":              `"Name: alpha beta"`,
		"int[]":               `[1, 2]`,
		"int or null":         `2`,
		`"a" or "b"`:          `"a"`,
		"1 or 2":              `1`,
		"true or null":        `true`,
		"dict[string, int]":   `{"alpha": 2}`,
		"dict[string, int][]": `[{"alpha": 2}]`,
		"date":                `"2024-01-15"`,
		"Color":               `"Name: alpha beta"`,
		"{\n  # a, b: c\n  n: int,\n  home: {\n    zip: int,\n  } or null,\n  kinds: string[],\n}": `{"n": 2, "home": {"zip": 2}, "kinds": ["alpha", "beta"]}`,
		"[\n  {\n    n: int,\n  }\n]": `[{"n": 2}]`,
		"{ broken":                    `unknown`,
		`"open`:                       `unknown`,
		"dict[string":                 `unknown`,
		"":                            `unknown`,
	} {
		if got := shapeOf(parseBAML("Output field `f` should be of type: "+text, "f")); got != want {
			t.Errorf("parseBAML(%q): got %s, want %s", text, got, want)
		}
	}
	if got := parseBAML("Output field `f` should be of type: int", "g"); got != nil {
		t.Errorf("parseBAML of another field: got %+v, want nil", got)
	}
}

func TestSkeleton(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"<f><item>...</item></f>": `["Name: alpha beta"]`,
		"<f>...</f>":              `"Name: alpha beta"`,
		"<f><name>...</name><age>...</age><home><zip>...</zip></home></f>": `{"name": "Name: alpha beta", "age": "1", "home": {"zip": "1"}}`,
		"<f>\n{f}\n</f>":      `unknown`,
		"<f><a>...</b></f>":   `unknown`,
		"<f><a>...</a>":       `unknown`,
		"<g>...</g>":          `unknown`,
		"text <f>...</f> etc": `unknown`,
	} {
		if got := shapeOf(parseSkeleton(text, "f")); got != want {
			t.Errorf("parseSkeleton(%q): got %s, want %s", text, got, want)
		}
	}
}

func TestXMLElement(t *testing.T) {
	t.Parallel()
	value := object{
		{"a", "1 < 2 & \"3\""}, {"b-c", []any{int64(1), nil}}, {"2 d\"", true}, {"e", []any{}}, {"f", object{}},
	}
	want := `<v><a>1 &lt; 2 &amp; "3"</a><b-c><item>1</item><item /></b-c>` +
		`<entry key="2 d&quot;">true</entry><e /><f></f></v>`
	if got := xmlElement("v", "", value); got != want {
		t.Errorf("xmlElement: got %s, want %s", got, want)
	}
}

func TestSchemaValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"type": "integer", "minimum": 5, "maximum": 9}`:                                   `5`,
		`{"type": "integer", "maximum": 1}`:                                                 `1`,
		`{"type": "integer", "exclusiveMinimum": 2}`:                                        `3`,
		`{"type": "integer", "multipleOf": 7, "minimum": 1}`:                                `7`,
		`{"type": "number", "minimum": 2.5}`:                                                `2.5`,
		`{"type": "number", "exclusiveMaximum": 0}`:                                         `-0.001`,
		`{"type": "string", "maxLength": 4}`:                                                `"Name"`,
		`{"type": "string", "minLength": 18}`:                                               `"Name: alpha beta.."`,
		`{"type": "string", "format": "uuid"}`:                                              `"00000000-0000-4000-8000-000000000001"`,
		`{"type": "array", "items": {"type": "boolean"}, "minItems": 3}`:                    `[true, true, true]`,
		`{"type": "array", "items": {"type": "string"}, "maxItems": 1}`:                     `["alpha"]`,
		`{"type": "array", "prefixItems": [{"type": "integer"}, {"const": 1}]}`:             `[2, 1]`,
		`{"enum": ["z", "y"]}`:                                                              `"z"`,
		`{"const": null}`:                                                                   `null`,
		`{"type": ["null", "integer"]}`:                                                     `null`,
		`{"anyOf": [{"type": "null"}, {"type": "boolean"}]}`:                                `true`,
		`{"type": "object", "properties": {"b": {"type": "integer"}, "a": {"default": 7}}}`: `{"b": 2, "a": 7}`,
		`{"type": "object", "additionalProperties": {"type": "integer"}}`:                   `{"alpha": 2}`,
		`{"type": "object", "properties": {}, "additionalProperties": false}`:               `{}`,
		`{"$ref": "#/$defs/A", "$defs": {"A": {"enum": [1]}}}`:                              `1`,
		`{"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"type": "integer"}}}`:           `2`,
		`true`: `"Name: alpha beta"`,
		`7`:    `unknown`,
		`{`:    `unknown`,
	} {
		if got := shapeOf(parseSchema(text)); got != want {
			t.Errorf("value of %s: got %s, want %s", text, got, want)
		}
	}
}

// TestSchemaWithoutEnd fills schemas that describe endless or huge values.
func TestSchemaWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}`,
		`{"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}`,
		`{"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "minItems": 9, "items": {"$ref": "#/$defs/A"}}}}`,
		`{"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "prefixItems": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}}}`,
		`{"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}}}}}`,
		`{"type": "string", "minLength": 1e300}`,
		`{"type": "array", "minItems": 1e300, "items": {"type": "string", "minLength": 1e9}}`,
		`{"type": "number", "minimum": 1e308, "multipleOf": 1e-308}`,
		`{"type": "integer", "minimum": 1e308}`,
	} {
		got := shapeOf(parseSchema(text))
		if !json.Valid([]byte(got)) || len(got) > 16<<20 {
			t.Errorf("value of %s: got %d bytes, valid %v", text, len(got), json.Valid([]byte(got)))
		}
	}
}

func TestRecall(t *testing.T) {
	t.Parallel()
	for question, want := range map[string]string{
		"What is the capital of France?":          "Paris",
		"what's the capital city of the USA":      "Washington, D.C.",
		"Tell me the capital of New Zealand now!": "Wellington",
		"capital of Atlantis":                     "",
		"What is DSPy?":                           "DSPy is a framework for programming language models instead of prompting them.",
		"What is 2+2?":                            "4",
		"2 + 3 * 4":                               "14",
		"Compute (2 + 3) * 4 - 1":                 "19",
		"What is 7 divided by 2?":                 "3.5",
		"what is -3 times -4":                     "12",
		"2^10":                                    "1024",
		"What is 1/0?":                            "",
		"12-34":                                   "",
		"order 12-34":                             "",
		"What is 2024-01-05?":                     "",
		"Add 2 + 2 apples":                        "",
		"":                                        "",
	} {
		if got, _ := recall(question); got != want {
			t.Errorf("recall(%q): got %q, want %q", question, got, want)
		}
	}
}

// TestReadInputs reads values that hold the markers of other fields.
func TestReadInputs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format replyFormat
		text   string
		want   map[string]string
	}{
		"chat": {
			formatChat,
			"[[ ## a ## ]]\none\n[[ ## x ## ]]\n\n[[ ## b ## ]]\ntwo\n[[ ## a ## ]]\nthree\n\n" + chatReminder + "`[[ ## c ## ]]`.",
			map[string]string{"a": "one\n[[ ## x ## ]]", "b": "two\n[[ ## a ## ]]\nthree"},
		},
		"xml": {
			formatXML,
			"<a>\none <b> two\n</a>\n\n<b>\n<a>\nthree\n</a>\n</b>\n\n" + xmlReminder + "`<c>`.",
			map[string]string{"a": "one <b> two", "b": "<a>\nthree\n</a>"},
		},
		"prose": {
			formatProse,
			"a: one: 1\n\nmore: text\n\nb: two\na: three",
			map[string]string{"a": "one: 1\n\nmore: text", "b": "two\na: three"},
		},
	} {
		task := &task{format: c.format, inputs: []field{{name: "a"}, {name: "b"}}}
		if diff := cmp.Diff(c.want, task.readInputs(c.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	goal := "the tool must be one of:\n\n" +
		"(1) search, whose description is <desc>Find. It takes arguments {}.</desc>. It takes arguments {'q': {'type': 'string'}, 'k': {'type': 'integer', 'default': 3}, 'n': {'type': 'integer'}}.\n" +
		"(2) clock. It takes arguments {}.\n" +
		"(3) finish, whose description is <desc>Done.</desc>. It takes arguments {}.\n" +
		"(4) odd, whose description is <desc>Odd.</desc>. It takes arguments {'a': <class 'int'>}."
	tools := readTools(goal)
	var names []string
	for _, tool := range tools {
		names = append(names, tool.name)
	}
	if diff := cmp.Diff([]string{"search", "clock", "finish", "odd"}, names); diff != "" {
		t.Fatalf("readTools (-want +got):\n%s", diff)
	}
	c := newComposer("question", "alpha beta", "")
	call := c.nextCall(tools, false)
	if got, want := call.name+jsonText(call.arguments), `search{"q": "alpha beta", "n": 2}`; got != want {
		t.Errorf("first call: got %s, want %s", got, want)
	}
	if got := c.nextCall(tools, true); got.name != "finish" {
		t.Errorf("second call: got %s, want finish", got.name)
	}
	if got := c.nextCall(tools[:2], true); got != nil {
		t.Errorf("second call without an ending tool: got %s, want none", got.name)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "Hello, big world!\n", "[[ ## answer ## ]]\nParis", "naïve 日本語 \xff\x00 end  "} {
		joined, n := "", int64(0)
		for token := range tokens(text) {
			joined += token
			n++
		}
		if joined != text || n != countTokens(text) {
			t.Errorf("tokens(%q): got %q in %d, counted %d", text, joined, n, countTokens(text))
		}
		joined = ""
		for chunk := range chunks(text, 2) {
			joined += chunk
		}
		if joined != text {
			t.Errorf("chunks(%q): got %q", text, joined)
		}
	}
	if got := countTokens("one two, three"); got != 4 {
		t.Errorf("countTokens: got %d, want 4", got)
	}
	if got, cut := clipTokens("one two three", 2); got != "one two" || !cut {
		t.Errorf("clipTokens: got %q %v, want %q true", got, cut, "one two")
	}
	if got, cut := clipTokens("one two", 2); got != "one two" || cut {
		t.Errorf("clipTokens of a short text: got %q %v, want it whole", got, cut)
	}
}
