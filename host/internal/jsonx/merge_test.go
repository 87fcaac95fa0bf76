package jsonx

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ target, patch, want string }{
		// The examples of RFC 7396.
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		// Beyond the RFC: spelling, numbers and order.
		{``, `{"a":{"b":null,"c":1}}`, `{"a":{"c":1}}`},
		{` { "x" : 12345678901234567890, "y":1.0 } `, `{"z":[ 1 ]}`, `{"x":12345678901234567890,"y":1.0,"z":[ 1 ]}`},
		{`{"\u0061":1,"<":2}`, `{"a":3}`, `{"\u0061":3,"<":2}`},
	} {
		got := MergePatch(json.RawMessage(test.target), json.RawMessage(test.patch))
		if string(got) != test.want {
			t.Errorf("MergePatch(%s, %s) = %s, want %s", test.target, test.patch, got, test.want)
		}
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":"c"},"d":[1]}`), []byte(`{"a":{"b":null,"x":{"y":null}}}`))
	f.Fuzz(func(t *testing.T, target, patch []byte) {
		if CheckValue("target", target, 0, MaxDepth) != nil || CheckValue("patch", patch, 0, MaxDepth) != nil {
			return
		}
		got := MergePatch(target, patch)
		if err := CheckValue("merged", got, 0, MaxDepth); err != nil {
			t.Fatalf("MergePatch(%q, %q) = %q: %v", target, patch, got, err)
		}
		want := mergeDecoded(read(target), read(patch))
		if diff := cmp.Diff(want, read(got)); diff != "" {
			t.Fatalf("MergePatch(%q, %q) (-want +got):\n%s", target, patch, diff)
		}
	})
}

// mergeDecoded is the algorithm of RFC 7396, section 2, word for word.
func mergeDecoded(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = mergeDecoded(object[name], value)
		}
	}
	return object
}
