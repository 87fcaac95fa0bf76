package program

import (
	"strings"
	"testing"
)

func TestParseType(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"str":                           "str",
		" int ":                         "int",
		"list":                          "list[Any]",
		"dict":                          "dict[str, Any]",
		"List[str]":                     "list[str]",
		"Dict[str,List[int]]":           "dict[str, list[int]]",
		"list[list[dict[str,float]]]":   "list[list[dict[str, float]]]",
		"Optional[int]":                 "int | None",
		"None|int":                      "int | None",
		"int | None | str | int":        "int | str | None",
		"Union[int,str]":                "int | str",
		"Union[int, Optional[str]]":     "int | str | None",
		"Optional[Optional[int] | str]": "int | str | None",
		"Optional[Any]":                 "Any | None",
		"list[int|None]":                "list[int | None]",
		`Literal["a",1,true]`:           `Literal["a", 1, true]`,
		`Literal['a',False,-7]`:         `Literal["a", false, -7]`,
		`Literal["a","a",'a']`:          `Literal["a"]`,
		`Literal["a",None]`:             `Literal["a"] | None`,
		`Literal['it''s']`:              "",
		`Literal['it\'s "x" \\']`:       `Literal["it's \"x\" \\"]`,
		`Literal["a, b -> c: d"]`:       `Literal["a, b -> c: d"]`,
		`Literal[+1]`:                   "",
		`Literal[00]`:                   `Literal[0]`,
		"list\n[\tstr ]":                "list[str]",
	} {
		got, err := parseType(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("parseType(%q) = %s, want an error", text, got)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("parseType(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestParseTypeRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{"", "byte 0: want a type, got the end"},
		{"os.environ", `byte 0: "os.environ" is not an accepted type`},
		{"antigravity", `byte 0: "antigravity" is not an accepted type`},
		{"dspy.Image", `byte 0: "dspy.Image" is not an accepted type`},
		{"string", `byte 0: "string" is not an accepted type; did you mean "str"?`},
		{"list[integer]", `byte 5: "integer" is not an accepted type; did you mean "int"?`},
		{"flaot", `byte 0: "flaot" is not an accepted type; did you mean "float"?`},
		{"None", "byte 0: a field cannot be only None"},
		{"Optional[None]", "byte 0: a field cannot be only None"},
		{"Literal[None]", "byte 0: a field cannot be only None"},
		{"Optional", "byte 0: Optional needs its parts in brackets"},
		{"Literal | str", "byte 0: Literal needs its parts in brackets"},
		{"str[int]", "byte 0: str has no parts in brackets"},
		{"list[]", `byte 5: want a type, got "]"`},
		{"list[str", `byte 8: want "]", got the end`},
		{"list[str, int]", `byte 8: want "]", got ","`},
		{"dict[int, str]", `byte 5: want str: the keys of a JSON object are strings, got "int"`},
		{"dict[str]", `byte 8: want ",", got "]"`},
		{"tuple[int]", `byte 0: "tuple" is not an accepted type; did you mean "list"?`},
		{"int |", "byte 5: want a type, got the end"},
		{"int str", `byte 4: want the end, got "str"`},
		{"int; import os", `byte 3: want the end, got ";"`},
		{"__import__('os')", `byte 0: "__import__" is not an accepted type`},
		{"Literal[]", `byte 8: want a string, an integer, true, false or None, got "]"`},
		{"Literal[a]", `byte 8: want a string, an integer, true, false or None, got "a"`},
		{"Literal[1.5]", `byte 8: want a string, an integer, true, false or None, got "1.5"`},
		{"Literal[9223372036854775808]", `byte 8: want a string, an integer, true, false or None, got "9223372036854775808"`},
		{`Literal["a`, "byte 8: string without an end"},
		{`Literal["\n"]`, `byte 9: unknown escape: want \\, \' or \"`},
		{"Literal[\"\n\"]", "byte 9: control character in a string"},
		{"list[\xff]", "byte 0: invalid UTF-8"},
		{strings.Repeat("x", 5000), "byte 4096: longer than 4096 bytes"},
		{"Literal[" + strings.Repeat("'", 300) + "]", `byte 10: want "]", got "''"`},
		{`Literal["` + strings.Repeat("x", 257) + `"]`, "byte 8: Literal value longer than 256 bytes"},
		{strings.Repeat("list[", 16) + "str" + strings.Repeat("]", 16), "byte 80: type too complex: at most 16 levels and 64 parts"},
		{strings.TrimSuffix(strings.Repeat("int|", 65), "|"), "byte 256: type too complex: at most 16 levels and 64 parts"},
		{"Literal[" + strings.TrimSuffix(strings.Repeat(`'\"',`, 800), ",") + "]", ""},
	} {
		got, err := parseType(test.text)
		if test.want == "" {
			if err != nil {
				t.Errorf("parseType(%.60q): %v", test.text, err)
			}
			continue
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("parseType(%.60q) = %v, %v, want %s", test.text, got, err, test.want)
		}
	}
}

func FuzzParseType(f *testing.F) {
	for _, seed := range []string{
		"list[str]", "dict[str, int | None]", `Literal["a", 1, true]`, "Optional[Union[int, list]]", `Literal['\'']`,
		"List[Dict[str, Any]]", "os.environ", "list[", "Literal['é日']",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		typ, err := parseType(text)
		if err != nil {
			return
		}
		canonical := typ.String()
		again, err := parseType(canonical)
		if err != nil || again.String() != canonical {
			t.Fatalf("parseType(%q) = %s, which parses to %v, %v", text, canonical, again, err)
		}
	})
}
