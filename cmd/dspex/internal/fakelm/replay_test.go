package fakelm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recording is what record_prompts.py writes for one adapter.
type recording struct {
	DSPy  string
	Cases []struct {
		Case  string
		Calls []struct {
			Path      string
			Body      json.RawMessage
			Content   string
			Functions []struct{ Name, Arguments string }
		}
	}
}

// recordings reads all files of recorded prompts by adapter.
func recordings(t testing.TB) map[string]recording {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find recordings: got %d, error %v", len(paths), err)
	}
	all := map[string]recording{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("read recording: %v", err)
		}
		var r recording
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatalf("decode recording %s: %v", path, err)
		}
		all[filepath.Base(path)] = r
	}
	return all
}

// TestReplay answers the prompts of real DSPy programs. DSPy parsed the recorded
// answers into the declared types; a difference means that this is not known any
// more, and that testdata/record_prompts.py must run again.
func TestReplay(t *testing.T) {
	t.Parallel()
	f := setup(t, Options{})
	total := 0
	for name, r := range recordings(t) {
		for _, c := range r.Cases {
			for i, call := range c.Calls {
				total++
				got := f.doPath(t, call.Path, string(call.Body))
				content, functions := spoken(t, call.Path, got.body)
				if diff := cmp.Diff(call.Content, content); diff != "" {
					t.Errorf("%s %s call %d: content (-recorded +got):\n%s", name, c.Case, i, diff)
				}
				var recorded []string
				for _, function := range call.Functions {
					recorded = append(recorded, function.Name+function.Arguments)
				}
				if diff := cmp.Diff(recorded, functions); diff != "" {
					t.Errorf("%s %s call %d: functions (-recorded +got):\n%s", name, c.Case, i, diff)
				}
			}
		}
	}
	if total < 60 {
		t.Errorf("recorded calls: got %d, want at least 60", total)
	}
}

// spoken returns the text and the function calls of an answer of either API.
func spoken(t *testing.T, path, body string) (content string, functions []string) {
	t.Helper()
	if path == "/v1/responses" {
		var answer struct {
			Output []struct{ Content []struct{ Text string } }
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Output) == 0 {
			t.Fatalf("decode %.200q: %v", body, err)
		}
		return answer.Output[0].Content[0].Text, nil
	}
	answer := decodeAnswer(t, body)
	if len(answer.Choices) == 0 {
		t.Fatalf("no choices in %.300q", body)
	}
	for _, call := range answer.Choices[0].Message.ToolCalls {
		functions = append(functions, call.Function.Name+call.Function.Arguments)
	}
	return answer.Choices[0].Message.Content, functions
}

// TestReplayReadsFields checks the tasks behind some recorded prompts, whose
// descriptions and values hold text that looks like structure.
func TestReplayReadsFields(t *testing.T) {
	t.Parallel()
	all := recordings(t)
	for name, format := range map[string]replyFormat{
		"chat.json": formatChat, "json.json": formatJSON, "xml.json": formatXML, "baml.json": formatJSON,
		"two_step.json": formatProse,
	} {
		seen := map[string]*task{}
		for _, c := range all[name].Cases {
			req, err := decodeChat(c.Calls[0].Body)
			if err != nil {
				t.Fatalf("%s %s: %v", name, c.Case, err)
			}
			seen[c.Case] = readTask(req)
			if got := seen[c.Case].format; got != format {
				t.Errorf("%s %s: format got %d, want %d", name, c.Case, got, format)
			}
		}
		var outputs []string
		for _, out := range seen["scalars"].outputs {
			outputs = append(outputs, out.name+" "+out.annotation)
		}
		want := []string{
			"answer str", "count int", "score float", "sure bool", `label Literal["it's (a); [b]", 'no']`,
			"level Literal[3, 2, 1]", "color Color", "maybe Union[str, NoneType]", "number Union[int, NoneType]",
			"day date", "moment datetime",
		}
		if diff := cmp.Diff(want, outputs); diff != "" {
			t.Errorf("%s scalars: outputs (-want +got):\n%s", name, diff)
		}
		if inputs := seen["scalars"].inputs; format != formatProse && len(inputs) != 1 {
			t.Errorf("%s scalars: inputs got %+v, want only question", name, inputs)
		}
		values := map[string]string{"context": `["one", "two\nlines"]`, "question": "Why 9?"}
		if name == "two_step.json" {
			values["context"] = `['one', 'two\nlines']`
		}
		if diff := cmp.Diff(values, seen["inputs"].values); diff != "" {
			t.Errorf("%s inputs: values (-want +got):\n%s", name, diff)
		}
	}
}
