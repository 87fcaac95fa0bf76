package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJSONIsThatOfTheAPI compares what commands print with --json to what the
// HTTP API answers, and the members to the golden table of them: both are a
// contract.
func TestJSONIsThatOfTheAPI(t *testing.T) {
	t.Parallel()
	addr, stop, err := serveFake(newFakeHost())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	env := map[string]string{"DSPEX_ADDR": addr}
	must := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := dspex(t, env, "", args...)
		if code != 0 {
			t.Fatalf("dspex %v: exit %d, %s", args, code, stderr)
		}
		return stdout
	}
	must("session", "create", "s1", "a:=1")
	must("program", "put", "p1", "--signature", "q -> a", "--config", "temperature:=0.2")
	must("program", "put", "p1", "--session", "s1", "--signature", "q -> a")

	var fields []string
	for _, tc := range []struct {
		args         []string
		method, path string
		body         string
	}{
		{[]string{"pool", "ls"}, "GET", "/v1/pools", ""},
		{[]string{"pool", "status", "qa"}, "GET", "/v1/pools/qa", ""},
		{[]string{"worker", "ls"}, "GET", "/v1/workers", ""},
		{[]string{"worker", "ls", "qa"}, "GET", "/v1/pools/qa/workers", ""},
		{[]string{"stats"}, "GET", "/v1/stats", ""},
		{[]string{"session", "ls"}, "GET", "/v1/sessions", ""},
		{[]string{"session", "get", "s1"}, "GET", "/v1/sessions/s1", ""},
		{[]string{"program", "ls"}, "GET", "/v1/programs", ""},
		{[]string{"program", "ls", "--session", "s1"}, "GET", "/v1/sessions/s1/programs", ""},
		{[]string{"program", "get", "p1"}, "GET", "/v1/programs/p1", ""},
		{[]string{"call", "qa", "echo", "x:=12345678901234567890"}, "POST", "/v1/pools/qa/call", `{"command":"echo","args":{"x":12345678901234567890}}`},
		{[]string{"run", "p1", "q=why"}, "POST", "/v1/programs/p1/run", `{"inputs":{"q":"why"}}`},
		{[]string{"health"}, "", "", ""},
		{[]string{"version"}, "", "", ""},
		{[]string{"worker", "status", "qa-12"}, "", "", ""},
	} {
		got := decode(t, must(append(tc.args, "--json")...))
		name := strings.Join(tc.args, " ")
		for _, f := range flatten("", got) {
			fields = append(fields, name+": "+f)
		}
		if tc.path == "" {
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+addr+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decode(t, string(raw)), got); diff != "" {
			t.Errorf("dspex %s --json differs from %s %s (-API +CLI):\n%s", name, tc.method, tc.path, diff)
		}
	}
	_, stderr, _ := dspex(t, env, "", "call", "qa", "raise", "--json")
	for _, f := range flatten("", decode(t, stderr)) {
		fields = append(fields, "an error: "+f)
	}
	golden(t, filepath.Join("testdata", "json-fields.golden"), strings.Join(fields, "\n")+"\n")
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return v
}

// flatten lists the members of a value with their types.
func flatten(path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		var all []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(all, flatten(strings.TrimPrefix(path+"."+name, "."), v[name])...)
		}
		return all
	case []any:
		seen := map[string]bool{}
		for _, e := range v {
			for _, f := range flatten(path+"[]", e) {
				seen[f] = true
			}
		}
		if len(v) == 0 {
			seen[path+"[]"] = true
		}
		return slices.Sorted(maps.Keys(seen))
	case json.Number:
		return []string{path + " number"}
	}
	return []string{fmt.Sprintf("%s %T", path, v)}
}
