package program

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

func TestParseSignature(t *testing.T) {
	t.Parallel()
	got, err := ParseSignature("context: list[str], question->answer : str,\n score: float,")
	if err != nil {
		t.Fatal(err)
	}
	want := shared.Signature{
		Inputs:  []shared.Field{{Name: "context", Type: "list[str]"}, {Name: "question", Type: "str"}},
		Outputs: []shared.Field{{Name: "answer", Type: "str"}, {Name: "score", Type: "float"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseSignature (-want +got):\n%s", diff)
	}
	const text = "context: list[str], question: str -> answer: str, score: float"
	if got := FormatSignature(got); got != text {
		t.Errorf("FormatSignature = %s, want %s", got, text)
	}
}

func TestParseSignatureRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf("f%d", i)
	}
	for _, test := range []struct{ text, want string }{
		{"", "byte 0: want an input field, got the end"},
		{"question", `byte 8: want "," or "->", got the end`},
		{"-> answer", `byte 0: want an input field, got "->"`},
		{"question ->", "byte 11: want an output field, got the end"},
		{"a -> b -> c", `byte 7: want "," or the end, got "->"`},
		{"a,, b -> c", `byte 2: want an input field, got ","`},
		{"a b -> c", `byte 2: want "," or "->", got "b"`},
		{"a: int = 3 -> c", `byte 7: want "," or "->", got "="`},
		{"a: -> c", `byte 3: field "a": want a type, got "->"`},
		{"q: os.environ -> a", `byte 3: field "q": "os.environ" is not an accepted type`},
		{"q: antigravity -> a", `byte 3: field "q": "antigravity" is not an accepted type`},
		{"q -> a: list[dspy.Image]", `byte 13: field "a": "dspy.Image" is not an accepted type`},
		{"a, b -> a", `byte 8: "a" is the name of two fields`},
		{"class -> b", `byte 0: "class" is a word of Python and cannot name a field`},
		{"_a -> b", `byte 0: "_a" is not a field name: want letters, digits and _, a letter first`},
		{"__class__ -> b", `byte 0: "__class__" is not a field name: want letters, digits and _, a letter first`},
		{"a.b -> c", `byte 0: "a.b" is not a field name: want letters, digits and _, a letter first`},
		{"é -> c", `byte 0: want an input field, got "é"`},
		{"1a -> c", `byte 0: want an input field, got "1a"`},
		{"lm -> c", `byte 0: "lm" cannot name an input field: DSPy uses it itself`},
		{"a -> instructions", `byte 5: "instructions" cannot name an output field: DSPy uses it itself`},
		{"a -> model_validate_x", `byte 5: "model_validate_x" cannot name an output field: DSPy uses it itself`},
		{"prediction -> a", `byte 0: "prediction" cannot name an input field: DSPy uses it itself`},
		{strings.Repeat("x", 65) + " -> a", "byte 0: \"" + strings.Repeat("x", 64) + `…" is longer than 64 bytes`},
		{strings.Join(many, ",") + " -> a", `byte 246: "f64" is one field too many: the limit is 64`},
		{strings.Repeat(" ", 20000), "byte 16384: longer than 16384 bytes"},
		{"a\x00 -> b", `byte 1: want "," or "->", got "\x00"`},
		{"a -> b\xff", "byte 0: invalid UTF-8"},
		{"a -> b: Literal['x", `byte 16: field "b": string without an end`},
	} {
		_, err := ParseSignature(test.text)
		want := "spec.signature: " + test.want
		if err == nil || err.Error() != want {
			t.Errorf("ParseSignature(%.60q) = %v\nwant %s", test.text, err, want)
		}
		if !errors.Is(err, shared.ErrSignatureInvalid) || shared.AsError(err).Hint != acceptedTypes {
			t.Errorf("ParseSignature(%.60q) = %#v, want SignatureInvalid with a hint", test.text, err)
		}
	}
}

func TestFieldNamesThatWork(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"match, type, case -> labels", "schema, json, copy -> prediction", "model_name, self_ -> items, keys",
		"text -> completed: bool", "A1_b -> reasoning",
	} {
		if _, err := ParseSignature(text); err != nil {
			t.Errorf("ParseSignature(%q) = %v, want nil", text, err)
		}
	}
}

func FuzzParseSignature(f *testing.F) {
	for _, seed := range []string{
		"context: list[str], question -> answer: str, score: float", "q: os.environ -> a", "a -> b -> c",
		"a: Literal['x, -> y'] -> b: Optional[int],", "a, -> b", "q -> a: dict[str, list[int | None]]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sig, err := ParseSignature(text)
		if err != nil {
			e := shared.AsError(err)
			if e.Reason != shared.SignatureInvalid || len(e.Message) > 1000 {
				t.Fatalf("ParseSignature(%q) = %#v, want a short SignatureInvalid", text, e)
			}
			return
		}
		canonical := FormatSignature(sig)
		if len(canonical) > maxSignature {
			return // Only the object form of it is used.
		}
		again, err := ParseSignature(canonical)
		if err != nil {
			t.Fatalf("ParseSignature(%q): %s: %v", text, canonical, err)
		}
		if diff := cmp.Diff(sig, again); diff != "" {
			t.Fatalf("ParseSignature(%q): %s (-first +again):\n%s", text, canonical, diff)
		}
	})
}
