package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

func TestParseSpec(t *testing.T) {
	t.Parallel()
	qa := shared.Signature{
		Inputs:  []shared.Field{{Name: "question", Type: "str"}},
		Outputs: []shared.Field{{Name: "answer", Type: "str"}},
	}
	for name, test := range map[string]struct {
		text string
		want shared.ProgramSpec
	}{
		"shortest": {`{"signature":"question -> answer"}`, shared.ProgramSpec{Module: "Predict", Signature: qa}},
		"nulls": {
			`{"signature":"question -> answer","module":null,"instructions":null,"pool":null,"lm":null,"config":null,"demos":null,"description":null}`,
			shared.ProgramSpec{Module: "Predict", Signature: qa},
		},
		"empty": {
			`{"signature":"question -> answer","instructions":"","pool":"","lm":"","config":{},"demos":[],"description":""}`,
			shared.ProgramSpec{Module: "Predict", Signature: qa},
		},
		"object": {
			`{"signature":{"inputs":[{"name":"question","type":"str","desc":null}],"outputs":[{"name":"answer","desc":"short <b>"}],"instructions":"Be brief."}}`,
			shared.ProgramSpec{
				Module: "Predict", Instructions: "Be brief.",
				Signature: shared.Signature{Inputs: qa.Inputs, Outputs: []shared.Field{{Name: "answer", Type: "str", Desc: "short <b>"}}},
			},
		},
		"all": {
			`{"signature":"question->answer","module":"chain_of_thought","instructions":"a\n\tb","pool":"qa-1","lm":"gemini",
			  "config":{"top_p":1,"temperature": 0.50,"stop":["\u000a","<"],"seed":-5,"cache":false,"max_tokens":100,"reasoning_effort":"low"},
			  "demos":[{"question":"a<b","answer":"\u0041","reasoning":"r"},{"answer":"x"}],"description":"d"}`,
			shared.ProgramSpec{
				Pool: "qa-1", Module: "ChainOfThought", Signature: qa, Instructions: "a\n\tb", LM: "gemini", Description: "d",
				Config: json.RawMessage(`{"cache":false,"max_tokens":100,"reasoning_effort":"low","seed":-5,"stop":["\n","<"],"temperature":0.50,"top_p":1}`),
				Demos:  []json.RawMessage{[]byte(`{"answer":"A","question":"a<b","reasoning":"r"}`), []byte(`{"answer":"x"}`)},
			},
		},
	} {
		got, err := ParseSpec(json.RawMessage(test.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		again, err := Normalize(got)
		if err != nil {
			t.Errorf("%s: Normalize: %v", name, err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("%s: Normalize (-first +again):\n%s", name, diff)
		}
	}
}

func TestParseSpecModules(t *testing.T) {
	t.Parallel()
	for spelling, want := range map[string]string{
		"predict": "Predict", "Predict": "Predict", "dspy.Predict": "Predict",
		"chain_of_thought": "ChainOfThought", "ChainOfThought": "ChainOfThought", "dspy.ChainOfThought": "ChainOfThought",
	} {
		got, err := ParseSpec(fmt.Appendf(nil, `{"signature":"q -> a","module":%q}`, spelling))
		if err != nil || got.Module != want {
			t.Errorf("module %q = %q, %v, want %q", spelling, got.Module, err, want)
		}
	}
}

func TestParseSpecRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	for _, test := range []struct {
		text   string
		reason shared.Reason
		want   string
	}{
		{``, shared.InvalidArgument, "spec: byte 0: want a JSON object"},
		{`[]`, shared.InvalidArgument, "spec: byte 0: want a JSON object"},
		{`{"signature":"q -> a","demos":` + deep + `}`, shared.InvalidArgument, "spec: byte 93: nested too deep"},
		{"{\"signature\":\"q\xff -> a\"}", shared.InvalidArgument, "spec: byte 15: invalid UTF-8"},
		{`{"signature":"q -> a","signature":"q -> b"}`, shared.InvalidArgument, "spec: byte 22: duplicate key"},
		{`{"x":"` + strings.Repeat("x", maxSpec) + `"}`, shared.PayloadTooLarge, "spec: 262152 bytes, the limit is 262144"},
		{`{}`, shared.SignatureInvalid, "spec: no signature"},
		{`{"signature":null}`, shared.SignatureInvalid, "spec: no signature"},
		{`{"signature":["q"]}`, shared.SignatureInvalid, "spec.signature: want a string or an object, got array"},
		{`{"signature":"q: os.environ -> a"}`, shared.SignatureInvalid, `spec.signature: byte 3: field "q": "os.environ" is not an accepted type`},
		{`{"signature":{"inputs":[]}}`, shared.SignatureInvalid, "spec.signature.inputs: want one field at least"},
		{`{"signature":{"inputs":[{"name":"q"}]}}`, shared.SignatureInvalid, "spec.signature.outputs: want an array of fields"},
		{`{"signature":{"input":[]}}`, shared.SignatureInvalid, `spec.signature: unknown key "input"; did you mean "inputs"?`},
		{`{"signature":{"inputs":["q"],"outputs":[]}}`, shared.SignatureInvalid, "spec.signature.inputs[0]: want an object, got string"},
		{`{"signature":{"inputs":[{"type":"str"}],"outputs":[]}}`, shared.SignatureInvalid, "spec.signature.inputs[0].name: want a name"},
		{`{"signature":{"inputs":[{"name":"q","type":"antigravity"}],"outputs":[]}}`, shared.SignatureInvalid, `spec.signature.inputs[0].type: field "q": byte 0: "antigravity" is not an accepted type`},
		{`{"signature":{"inputs":[{"name":"q","type":3}],"outputs":[]}}`, shared.SignatureInvalid, "spec.signature.inputs[0].type: want a string, got number"},
		{`{"signature":{"inputs":[{"name":"q"}],"outputs":[{"name":"q"}]}}`, shared.SignatureInvalid, `spec.signature.outputs[0].name: "q" is the name of two fields`},
		{`{"signature":{"inputs":[{"name":"q","desc":"a\u0007"}],"outputs":[]}}`, shared.SignatureInvalid, "spec.signature.inputs[0].desc: control character at byte 1"},
		{`{"signature":"q -> reasoning","module":"ChainOfThought"}`, shared.SignatureInvalid, `spec.signature: field "reasoning": ChainOfThought adds this output itself`},
		{`{"signature":"q -> a","modul":"x"}`, shared.InvalidArgument, `spec: unknown key "modul"; did you mean "module"?`},
		{`{"signature":"q -> a","` + strings.Repeat("k", 100) + `":1}`, shared.InvalidArgument, `spec: unknown key "` + strings.Repeat("k", 64) + `…"`},
		{`{"signature":"q -> a","module":"ReAct"}`, shared.InvalidArgument, `spec.module: "ReAct" is not supported`},
		{`{"signature":"q -> a","module":"dspy.predit"}`, shared.InvalidArgument, `spec.module: "dspy.predit" is not supported; did you mean "Predict"?`},
		{`{"signature":"q -> a","module":1}`, shared.InvalidArgument, "spec.module: want a string, got number"},
		{`{"signature":"q -> a","pool":"QA"}`, shared.InvalidArgument, `spec.pool: "QA" is not a name: want a-z, 0-9 and -, at most 63, a letter first`},
		{`{"signature":"q -> a","lm":"../x"}`, shared.InvalidArgument, `spec.lm: "../x" is not a name: want a-z, 0-9 and -, at most 63, a letter first`},
		{`{"signature":"q -> a","instructions":["x"]}`, shared.InvalidArgument, "spec.instructions: want a string, got array"},
		{`{"signature":"q -> a","instructions":"a\u0000"}`, shared.InvalidArgument, "spec.instructions: control character at byte 1"},
		{`{"signature":"q -> a","instructions":"` + strings.Repeat("x", 65537) + `"}`, shared.InvalidArgument, "spec.instructions: 65537 bytes, the limit is 65536"},
		{`{"signature":{"inputs":[{"name":"q"}],"outputs":[{"name":"a"}],"instructions":"x"},"instructions":"y"}`, shared.InvalidArgument, "spec.instructions: differ from spec.signature.instructions"},
		{`{"signature":"q -> a","config":[]}`, shared.InvalidArgument, "spec.config: want an object, got array"},
		{`{"signature":"q -> a","config":{"temprature":1}}`, shared.InvalidArgument, `spec.config: unknown key "temprature"; did you mean "temperature"?`},
		{`{"signature":"q -> a","config":{"api_base":"http://x"}}`, shared.InvalidArgument, `spec.config: unknown key "api_base"`},
		{`{"signature":"q -> a","config":{"temperature":1,"n":2}}`, shared.InvalidArgument, `spec.config: unknown key "n": a program answers with one completion`},
		{`{"signature":"q -> a","config":{"temperature":2.1}}`, shared.InvalidArgument, "spec.config.temperature: want a number from 0 to 2"},
		{`{"signature":"q -> a","config":{"temperature":"1"}}`, shared.InvalidArgument, "spec.config.temperature: want a number from 0 to 2"},
		{`{"signature":"q -> a","config":{"max_tokens":1.5}}`, shared.InvalidArgument, "spec.config.max_tokens: want an integer from 1 to 10000000"},
		{`{"signature":"q -> a","config":{"max_tokens":0}}`, shared.InvalidArgument, "spec.config.max_tokens: want an integer from 1 to 10000000"},
		{`{"signature":"q -> a","config":{"cache":1}}`, shared.InvalidArgument, "spec.config.cache: want true or false"},
		{`{"signature":"q -> a","config":{"stop":[]}}`, shared.InvalidArgument, "spec.config.stop: want a string of 1 to 256 bytes, or an array of 1 to 16 of them"},
		{`{"signature":"q -> a","config":{"stop":[1]}}`, shared.InvalidArgument, "spec.config.stop: want a string of 1 to 256 bytes, or an array of 1 to 16 of them"},
		{`{"signature":"q -> a","config":{"reasoning_effort":"huge"}}`, shared.InvalidArgument, "spec.config.reasoning_effort: want one of none, minimal, low, medium, high, xhigh"},
		{`{"signature":"q -> a","demos":{}}`, shared.InvalidArgument, "spec.demos: want an array of objects, got object"},
		{`{"signature":"q -> a","demos":["x"]}`, shared.InvalidArgument, "spec.demos[0]: want an object, got string"},
		{`{"signature":"q -> a: list[int]","demos":[{"q":"x"},{"q":1,"a":[1,true],"b":2}]}`, shared.InvalidArgument, "spec: spec.demos[1].q: want str, got number; spec.demos[1].a[1]: want int, got boolean; spec.demos[1].b: not in the signature"},
		{`{"signature":"q -> a","demos":[{"reasoning":"x"}]}`, shared.InvalidArgument, "spec: spec.demos[0].reasoning: not in the signature"},
		{`{"signature":"q -> a","demos":[` + strings.TrimSuffix(strings.Repeat("{},", 101), ",") + `]}`, shared.InvalidArgument, "spec.demos: more than 100 demos"},
	} {
		_, err := ParseSpec(json.RawMessage(test.text))
		if e := shared.AsError(err); e == nil || e.Message != test.want || e.Reason != test.reason {
			t.Errorf("ParseSpec(%.90s) = %v\nwant %s %s", test.text, err, test.reason, test.want)
		}
	}
}

func TestParseSpecCanonicalSize(t *testing.T) {
	t.Parallel()
	// A separator takes three bytes as it is, six in the canonical form.
	text := `{"signature":"q -> a","demos":[{"q":"` + strings.Repeat("\u2028", 50000) + `"}]}`
	if _, err := ParseSpec(json.RawMessage(text)); !errors.Is(err, shared.ErrPayloadTooLarge) {
		t.Errorf("ParseSpec = %v, want PayloadTooLarge", err)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	hash := func(text string) string {
		spec, err := ParseSpec(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		return Hash(spec)
	}
	base := hash(`{"signature":"q -> a","config":{"seed":1,"temperature":1},"demos":[{"q":"x","a":"<"}]}`)
	if len(base) != 64 {
		t.Errorf("Hash = %q, want 64 hex digits", base)
	}
	same := `{"demos":[{"a":"\u003c","q":"x"}],"config":{"temperature":1, "seed":1},"module":"dspy.Predict","signature":{"inputs":[{"name":"q"}],"outputs":[{"name":"a","type":"str"}]}}`
	if got := hash(same); got != base {
		t.Errorf("Hash of an equal specification = %s, want %s", got, base)
	}
	if got := hash(`{"signature":"q -> a","config":{"seed":2,"temperature":1},"demos":[{"q":"x","a":"<"}]}`); got == base {
		t.Errorf("Hash of another specification = %s, the same", got)
	}
	// A spec that went through json.Marshal has other escapes, but the same hash.
	spec, err := ParseSpec(json.RawMessage(same))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var escaped shared.ProgramSpec
	if err := json.Unmarshal(raw, &escaped); err != nil {
		t.Fatal(err)
	}
	if got := Hash(escaped); got != base {
		t.Errorf("Hash after json.Marshal = %s, want %s", got, base)
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	spec, err := ParseSpec(json.RawMessage(`{"signature":"q -> a","instructions":"<b>"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := Data(shared.Program{Name: "p", Session: "s", Revision: 3, Hash: "h", Spec: spec})
	want := `{"name":"p","session":"s","revision":3,"hash":"h","spec":{"module":"Predict",` +
		`"signature":{"inputs":[{"name":"q","type":"str"}],"outputs":[{"name":"a","type":"str"}]},"instructions":"<b>"}}`
	if string(got) != want {
		t.Errorf("Data = %s\nwant %s", got, want)
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		`{"signature":"question -> answer"}`,
		`{"signature":{"inputs":[{"name":"q","type":"list[int]","desc":"d"}],"outputs":[{"name":"a"}],"instructions":"x"},"module":"chain_of_thought"}`,
		`{"signature":"q -> a","config":{"temperature":0.5,"stop":"\u000a"},"demos":[{"q":"\u2028"}],"pool":"p","lm":"l","description":"d"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := ParseSpec(text)
		if err != nil {
			if e := shared.AsError(err); e.Reason == shared.Internal || len(e.Message) > 8000 {
				t.Fatalf("ParseSpec(%q) = %#v", text, e)
			}
			return
		}
		again, err := Normalize(spec)
		if err != nil {
			t.Fatalf("ParseSpec(%q): its canonical form: %v", text, err)
		}
		if diff := cmp.Diff(spec, again); diff != "" {
			t.Fatalf("ParseSpec(%q): canonical form (-first +again):\n%s", text, diff)
		}
		if a, b := Hash(spec), Hash(again); a != b {
			t.Fatalf("ParseSpec(%q): hashes %s and %s", text, a, b)
		}
	})
}
