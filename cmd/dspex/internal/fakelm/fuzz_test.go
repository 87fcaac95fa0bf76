package fakelm

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzCompose answers arbitrary bodies: never a panic, never a huge answer,
// always the same one, and JSON where JSON was asked for.
func FuzzCompose(f *testing.F) {
	for _, r := range recordings(f) {
		for _, c := range r.Cases {
			for _, call := range c.Calls {
				f.Add([]byte(call.Body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, api := range map[string]dialect{"chat": chatAPI{}, "responses": responsesAPI{}} {
			req, err := api.decode(body)
			if err != nil {
				continue
			}
			first := compose(req)
			if diff := cmp.Diff(first, compose(req), cmp.AllowUnexported(answer{}, toolCall{}, member{})); diff != "" {
				t.Errorf("%s: two answers differ:\n%s", name, diff)
			}
			if len(first.content) > 64<<20 {
				t.Errorf("%s: answer has %d bytes", name, len(first.content))
			}
			if readTask(req).format == formatJSON && first.content != "" && first.finish != "length" && req.stop == nil &&
				!json.Valid([]byte(first.content)) {
				t.Errorf("%s: answer is no JSON: %.500q", name, first.content)
			}
			whole := jsonLine(api.whole(newSpeech(1, req, first)))
			if !json.Valid([]byte(whole)) {
				t.Errorf("%s: body is no JSON: %.500q", name, whole)
			}
		}
	})
}
