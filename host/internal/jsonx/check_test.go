package jsonx

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dspex/dspex/shared"
)

func TestCheckValueAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `0.5`, `1e5`, `1E+5`, `-1.25e-7`, `1e308`, `1e-400`,
		`9223372036854775807`, `-9223372036854775808`, `18446744073709551615`,
		`""`, `"a"`, `"\u0041"`, `"\ud83d\ude00"`, `"😀é日本"`, `"\"\\\/\b\f\n\r\t\u0000"`, "\"\u007f\u2028\"",
		`[]`, `[ ]`, `[1,2]`, ` [ 1 , "a" , [ ] ] `, `{}`, `{ }`, `{"a":1}`, ` { "a" : { "a" : 1 } , "b" : [] } ` + "\r\n\t",
		`{"":1}`, `"12345678\n12345678\"1234567890"`,
		nested(MaxDepth),
	} {
		if err := CheckValue("v", []byte(text), 0, MaxDepth); err != nil {
			t.Errorf("CheckValue(%q) = %v, want nil", text, err)
		}
	}
}

func TestCheckValueRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, 40)
	for i := range 40 {
		many = append(many, fmt.Sprintf("%q:1", strconv.Itoa(i)))
	}
	manyKeys := "{" + strings.Join(many, ",")
	for _, test := range []struct {
		text string
		at   int
		want string
	}{
		{``, 0, "unexpected end"},
		{`  `, 2, "unexpected end"},
		{`nul`, 0, "want a JSON value"},
		{`NaN`, 0, "want a JSON value"},
		{`-Infinity`, 0, "malformed number"},
		{"\ufeff{}", 0, "want a JSON value"},
		{`01`, 0, "malformed number"},
		{`-`, 0, "malformed number"},
		{`1.`, 0, "malformed number"},
		{`.5`, 0, "want a JSON value"},
		{`1e`, 0, "malformed number"},
		{`+1`, 0, "want a JSON value"},
		{`[1,]`, 3, "want a JSON value"},
		{`[1 2]`, 3, `want "," or "]"`},
		{`[1`, 2, "unexpected end"},
		{`{"a":1,}`, 7, "want a key in double quotes"},
		{`{a:1}`, 1, "want a key in double quotes"},
		{`{"a" 1}`, 5, `want ":"`},
		{`{"a":1 "b":2}`, 7, `want "," or "}"`},
		{`{"a":1`, 6, "unexpected end"},
		{`{"a"`, 4, "unexpected end"},
		{`{"a":`, 5, "unexpected end"},
		{`{`, 1, "unexpected end"},
		{`"abc`, 4, "unexpected end in a string"},
		{`"abc\`, 5, "unexpected end in a string"},
		{"\"a\nb\"", 2, "control character in a string"},
		{"\"a\x00b\"", 2, "control character in a string"},
		{`"\x41"`, 1, "unknown escape"},
		{`"\u12g4"`, 1, "want four hex digits after \\u"},
		{`"\ud800"`, 1, "unpaired surrogate"},
		{`"ab\udc00"`, 3, "unpaired surrogate"},
		{`"\ud800\ud800"`, 1, "unpaired surrogate"},
		{`"\ud800x"`, 1, "unpaired surrogate"},
		{"\"a\xffb\"", 2, "invalid UTF-8"},
		{"\"\xed\xa0\x80\"", 1, "invalid UTF-8"},
		{"\"\xc0\x80\"", 1, "invalid UTF-8"},
		{"\"12345678901\xe2\x82\"", 12, "invalid UTF-8"},
		{`1 2`, 2, "text after the end of the value"},
		{`{}}`, 2, "text after the end of the value"},
		{`9223372036854775808000`, 0, "integer beyond 64 bits"},
		{`18446744073709551616`, 0, "integer beyond 64 bits"},
		{`-9223372036854775809`, 0, "integer beyond 64 bits"},
		{`[1e400]`, 1, "number beyond a 64-bit float"},
		{`-1e309`, 0, "number beyond a 64-bit float"},
		{strings.Repeat("9", 400) + ".5", 0, "number beyond a 64-bit float"},
		{"0." + strings.Repeat("1", 5000), 0, "number with too many digits"},
		{nested(MaxDepth + 1), MaxDepth, "nested too deep"},
		{`{"a":1,"b":2,"a":3}`, 13, "duplicate key"},
		{`{"a":1,"\u0061":3}`, 7, "duplicate key"},
		{`{"x":{"k":1,"k":1}}`, 12, "duplicate key"},
		{manyKeys + `,"17":2}`, len(manyKeys) + 1, "duplicate key"},
	} {
		err := CheckValue("v", []byte(test.text), 0, MaxDepth)
		want := fmt.Sprintf("v: byte %d: %s", test.at, test.want)
		if err == nil || err.Error() != want {
			t.Errorf("CheckValue(%.60q) = %v, want %s", test.text, err, want)
		}
		if !errors.Is(err, shared.ErrInvalidArgument) {
			t.Errorf("CheckValue(%.60q) = %#v, want InvalidArgument", test.text, err)
		}
	}
}

func TestCheckObject(t *testing.T) {
	t.Parallel()
	if err := CheckObject("args", []byte(` {"a":1}`), 8, 1); err != nil {
		t.Errorf("CheckObject at its limits = %v, want nil", err)
	}
	for _, text := range []string{``, `[]`, `null`, `"a"`, `1`} {
		if err := CheckObject("args", []byte(text), 0, MaxDepth); !errors.Is(err, shared.ErrInvalidArgument) {
			t.Errorf("CheckObject(%q) = %v, want InvalidArgument", text, err)
		}
	}
	err := CheckObject("args", []byte(`{"a":1}`), 6, MaxDepth)
	if !errors.Is(err, shared.ErrPayloadTooLarge) || err.Error() != "args: 7 bytes, the limit is 6" {
		t.Errorf("CheckObject over the limit = %v", err)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	text := []byte(`{"question":"What is \"DSPy\" – a framework?","context":["a","b",{"k":[1,2.5,true,null]}],"n":12}`)
	s := scanner{data: text, maxDepth: MaxDepth, scratch: new(scratch)}
	if got := testing.AllocsPerRun(100, func() {
		s.pos, s.scratch.keys = 0, s.scratch.keys[:0]
		if !s.document(true) {
			t.Fatal(s.problem)
		}
	}); got > 0 {
		t.Errorf("a check allocates %v times, want 0", got)
	}
}

func FuzzCheckValue(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e3,"x\u00e9\ud83d\ude00",true,null]}`, `[[[]]]`, `"\ud800"`, `{"a":1,"a":2}`,
		`18446744073709551616`, "\"\xff\"", `1e400`, `{"a":`, `  [ 1 , 2 ]  `, `"12345678\\"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := CheckValue("v", text, 0, MaxDepth)
		if err != nil {
			// Whatever is refused for its grammar is refused by encoding/json as well.
			switch s := err.Error(); {
			case strings.HasSuffix(s, "duplicate key"), strings.HasSuffix(s, "nested too deep"),
				strings.HasSuffix(s, "invalid UTF-8"), strings.HasSuffix(s, "unpaired surrogate"),
				strings.Contains(s, "integer beyond"), strings.Contains(s, "number "):
			default:
				if json.Valid(text) {
					t.Fatalf("CheckValue(%q) = %v, but it is valid JSON", text, err)
				}
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("CheckValue(%q) = nil, but it is no JSON", text)
		}
		if !utf8.Valid(text) {
			t.Fatalf("CheckValue(%q) = nil, but it is not UTF-8", text)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatalf("CheckValue(%q) = nil, but Unmarshal: %v", text, err)
		}
		if got := read(text); fmt.Sprint(got) != fmt.Sprint(value) {
			t.Fatalf("read(%q) = %v, want %v", text, got, value)
		}
	})
}

// read decodes a value with this package's readers.
func read(raw json.RawMessage) any {
	switch KindOf(raw) {
	case Object:
		m := map[string]any{}
		for k, v := range Members(raw) {
			m[k] = read(v)
		}
		return m
	case Array:
		list := []any{}
		for v := range Elements(raw) {
			list = append(list, read(v))
		}
		return list
	case String:
		return Text(raw)
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return err
	}
	return value
}

func nested(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func BenchmarkCheckObject(b *testing.B) {
	for name, text := range map[string][]byte{
		"small": []byte(`{"question":"What is DSPy?","context":["a","b"],"n":12}`),
		"ascii": fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("The quick brown fox. ", 50000)),
		"cjk":   fmt.Appendf(nil, `{"text":"%s"}`, strings.Repeat("日本語テキスト", 50000)),
		"mixed": []byte(`{"rows":[` + strings.TrimSuffix(strings.Repeat(`{"id":123,"name":"row name","score":0.75,"tags":["a","b"]},`, 10000), ",") + `]}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := CheckObject("args", text, 0, MaxDepth); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
