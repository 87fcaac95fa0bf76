package jsonx

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInsertMembers(t *testing.T) {
	t.Parallel()
	session := Member{"session_id", json.RawMessage(`"s"`)}
	program := Member{"program_data", json.RawMessage(`{"name":"p"}`)}
	for _, test := range []struct {
		obj    string
		insert []Member
		want   string
	}{
		{``, nil, `{}`},
		{`null`, []Member{session}, `{"session_id":"s"}`},
		{`{}`, []Member{session}, `{"session_id":"s"}`},
		{` { } `, nil, `{}`},
		{`{"a":1}`, nil, `{"a":1}`},
		{`{"a":1}`, []Member{session, program}, `{"a":1,"session_id":"s","program_data":{"name":"p"}}`},
		{`{ "a" : 1 , "b":[1, 2] }`, []Member{session}, `{"a" : 1 , "b":[1, 2],"session_id":"s"}`},
		{`{"session_id":"mine","a":1}`, []Member{session}, `{"a":1,"session_id":"s"}`},
		{`{"a":1,"session_id":{"x":"}"},"b":2}`, []Member{session}, `{"a":1,"b":2,"session_id":"s"}`},
		{`{"a":1,"b":2,"session_id":"mine"}`, []Member{session}, `{"a":1,"b":2,"session_id":"s"}`},
		{`{"session_id":1,"session_id":2}`, []Member{session}, `{"session_id":"s"}`},
		{`{"\u0073ession_id":"mine","x\"y":"\\"}`, []Member{session}, `{"x\"y":"\\","session_id":"s"}`},
		{`{"a":{"session_id":"deep"}}`, []Member{session}, `{"a":{"session_id":"deep"},"session_id":"s"}`},
		{`{"a":1}`, []Member{{Name: "session_data"}}, `{"a":1,"session_data":null}`},
	} {
		obj := json.RawMessage(test.obj)
		got := InsertMembers(obj, test.insert...)
		if string(got) != test.want {
			t.Errorf("InsertMembers(%s) = %s, want %s", test.obj, got, test.want)
		}
		if string(obj) != test.obj {
			t.Errorf("InsertMembers changed its argument %s to %s", test.obj, obj)
		}
	}
}

func FuzzInsertMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"session_id":2}`))
	f.Add([]byte(`{"\u0073ession_id":"\\\"","b":[{"x":"}"}]}`))
	f.Add([]byte(`{"`))
	f.Fuzz(func(t *testing.T, obj []byte) {
		got := InsertMembers(obj, Member{"session_id", json.RawMessage(`"s"`)}, Member{"n", nil})
		if CheckObject("obj", obj, 0, MaxDepth) != nil {
			return // It must only not panic.
		}
		if err := CheckObject("result", got, 0, MaxDepth); err != nil {
			t.Fatalf("InsertMembers(%q) = %q: %v", obj, got, err)
		}
		want, have := map[string]any{}, map[string]any{}
		if err := json.Unmarshal(obj, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &have); err != nil {
			t.Fatal(err)
		}
		want["session_id"], want["n"] = "s", nil
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("InsertMembers(%q) (-want +got):\n%s", obj, diff)
		}
	})
}
