package program

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/dspex/dspex/shared"
)

func TestValidateInputs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		// fields is the inputs of the signature; want is empty if inputs fit.
		fields, inputs, want string
	}{
		{"q", `{"q":"x"}`, ""},
		{"q, n: int", `{"n":1,"q":""}`, ""},
		{"n: int", `{"n":9223372036854775807}`, ""},
		{"n: int", `{"n":18446744073709551615}`, ""},
		{"f: float", `{"f":1}`, ""},
		{"f: float", `{"f":1.5e3}`, ""},
		{"b: bool", `{"b":true}`, ""},
		{"x: Any", `{"x":null}`, ""},
		{"x: list[str]", `{"x":[]}`, ""},
		{"x: list[list[int]]", `{"x":[[1],[],[2,3]]}`, ""},
		{"x: dict[str, int | None]", `{"x":{"a":1,"b":null}}`, ""},
		{"x: Optional[str]", `{"x":null}`, ""},
		{"x: Optional[str]", `{}`, ""},
		{"x: Literal['a', 1, true]", `{"x":"a"}`, ""},
		{"x: Literal['a', 1, true]", `{"x":"\u0061"}`, ""},
		{"x: Literal['a', 1, true]", `{"x":1}`, ""},
		{"x: Literal['a', 1, true]", `{"x":true}`, ""},
		{`x: Literal['"\\é']`, `{"x":"\"\\\u00e9"}`, ""},
		{"x: list[int] | dict[str, str]", `{"x":{"a":"b"}}`, ""},

		{"q", `{}`, "q: missing"},
		{"q", ``, "q: missing"},
		{"q, x: Any", `{"q":"x"}`, "x: missing"},
		{"question", `{"question":"x","questoin":"y"}`, `questoin: not in the signature; did you mean "question"?`},
		{"q", `{"q":"x","a\nb":"y"}`, `a\nb: not in the signature`},
		{"q", `{"q":1}`, "q: want str, got number"},
		{"q", `{"q":1.5}`, "q: want str, got number"},
		{"q", `{"q":["x"]}`, "q: want str, got array"},
		{"n: int", `{"n":1.0}`, "n: want int, got number with a fraction or exponent"},
		{"n: int", `{"n":true}`, "n: want int, got boolean"},
		{"n: int", `{"n":"1"}`, "n: want int, got string"},
		{"f: float", `{"f":true}`, "f: want float, got boolean"},
		{"b: bool", `{"b":1}`, "b: want bool, got number"},
		{"context: list[str]", `{"context":["a","b",3]}`, "context[2]: want str, got number"},
		{"context: list[str]", `{"context":"a"}`, "context: want list[str], got string"},
		{"x: dict[str, list[int]]", `{"x":{"a":[1],"b":[1,null]}}`, `x["b"][1]: want int, got null`},
		{"x: dict[str, int]", `{"x":[1]}`, "x: want dict[str, int], got array"},
		{"x: list[int | None]", `{"x":[1,null,"a"]}`, "x[2]: want int | None, got string"},
		{"x: list[int] | None", `{"x":[1,"a"]}`, "x[1]: want int, got string"},
		{"x: list[int] | list[str]", `{"x":[1,"a"]}`, "x: want list[int] | list[str], got array"},
		{"x: int | None", `{"x":1.5}`, "x: want int | None, got number with a fraction or exponent"},
		{"x: Literal['a', 1]", `{"x":"b"}`, `x: want Literal["a", 1], got another string`},
		{"x: Literal['a', 1]", `{"x":true}`, `x: want Literal["a", 1], got another boolean`},
		{"q, n: int", `{"n":"x","m":1}`, `n: want int, got string; m: not in the signature; q: missing`},
	} {
		sig, err := ParseSignature(test.fields + " -> answer")
		if err != nil {
			t.Fatal(err)
		}
		var inputs json.RawMessage
		if test.inputs != "" {
			inputs = json.RawMessage(test.inputs)
		}
		err = ValidateInputs(sig, inputs)
		if test.want == "" {
			if err != nil {
				t.Errorf("ValidateInputs(%s, %s) = %v, want nil", test.fields, test.inputs, err)
			}
			continue
		}
		e := shared.AsError(err)
		if !errors.Is(err, shared.ErrInputMismatch) || e.Message != "inputs: "+test.want {
			t.Errorf("ValidateInputs(%s, %s) = %v\nwant inputs: %s", test.fields, test.inputs, err, test.want)
			continue
		}
		if want := "the signature is " + FormatSignature(sig); e.Hint != want {
			t.Errorf("hint = %s, want %s", e.Hint, want)
		}
	}
}

func TestValidateInputsJSON(t *testing.T) {
	t.Parallel()
	sig, err := ParseSignature("q -> a")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`[]`, `null`, `{"q":"x"`, `{"q":"\ud800"}`, `{"q":"a","q":"b"}`, `{"q":18446744073709551616}`} {
		if err := ValidateInputs(sig, json.RawMessage(text)); !errors.Is(err, shared.ErrInvalidArgument) {
			t.Errorf("ValidateInputs(%s) = %v, want InvalidArgument", text, err)
		}
	}
}

func TestValidateInputsListsProblemsUpToALimit(t *testing.T) {
	t.Parallel()
	sig, err := ParseSignature("x: list[int], y -> a")
	if err != nil {
		t.Fatal(err)
	}
	err = ValidateInputs(sig, json.RawMessage(`{"x":[`+strings.TrimSuffix(strings.Repeat(`"s",`, 1000), ",")+`]}`))
	if err == nil || strings.Count(err.Error(), ";") != maxProblems || !strings.HasSuffix(err.Error(), "; and more") {
		t.Errorf("ValidateInputs = %v, want %d problems and more", err, maxProblems)
	}
}

func TestValidateInputsDoesNotRepeatValues(t *testing.T) {
	t.Parallel()
	sig, err := ParseSignature("a: int, b: list[Literal['x']], c: dict[str, int] -> out")
	if err != nil {
		t.Fatal(err)
	}
	const secret = "s3cr3t"
	err = ValidateInputs(sig, json.RawMessage(`{"a":"`+secret+`","b":["`+secret+`"],"c":{"k":"`+secret+`"}}`))
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("ValidateInputs = %v, want an error without the values", err)
	}
}

func FuzzValidateInputs(f *testing.F) {
	f.Add("x: list[int | None], y: dict[str, Literal['a', 1]]", []byte(`{"x":[1,null],"y":{"k":"a"}}`))
	f.Add("x: list[list[str]] | list[int]", []byte(`{"x":[1,["a"]]}`))
	f.Add("x: Any, z: Optional[float]", []byte(`{"x":[1,["a"]],"z":"q"}`))
	f.Fuzz(func(t *testing.T, fields string, inputs []byte) {
		sig, err := ParseSignature(fields + " -> out")
		if err != nil {
			return
		}
		err = ValidateInputs(sig, inputs)
		if e := shared.AsError(err); err != nil && e.Reason != shared.InputMismatch && e.Reason != shared.InvalidArgument {
			t.Fatalf("ValidateInputs(%q, %q) = %#v", fields, inputs, e)
		}
	})
}
