package fakelm

import (
	"iter"
	"strconv"
	"time"
)

// dialect is how one API writes requests and answers.
type dialect interface {
	// decode reads a request body.
	decode(data []byte) (*request, error)
	// whole returns the JSON of an answer in one piece.
	whole(s *speech) any
	// opening, delta and closing return the events of a stream: before the
	// content, for one piece of it, and after it.
	opening(s *speech) []event
	delta(s *speech, text string) event
	closing(s *speech) []event
}

// event is one server-sent event. A string is sent as it is, anything else as
// JSON.
type event struct {
	name string // empty for an event without a name
	data any
}

// speech is an answer with what the wire adds to it.
type speech struct {
	*answer
	id      string
	created int64
	req     *request
	usage   *Usage // nil: none is reported
}

// newSpeech prepares an answer for the wire under the number of its request, and
// counts its tokens.
func newSpeech(id int64, req *request, a *answer) *speech {
	s := &speech{answer: a, req: req, id: strconv.FormatInt(id, 10), created: time.Now().Unix()}
	s.count()
	return s
}

// count counts the tokens of the messages and of the answer.
func (s *speech) count() {
	var prompt int64
	for _, m := range s.req.messages {
		prompt += countTokens(m.text)
	}
	completion := countTokens(s.content) + countTokens(s.reasoning)
	for _, call := range s.calls {
		completion += countTokens(call.name) + countTokens(jsonText(call.arguments))
	}
	completion *= int64(s.req.choices)
	s.usage = &Usage{PromptTokens: prompt, CompletionTokens: completion, TotalTokens: prompt + completion}
}

// counted returns the reported usage, or zeros.
func (s *speech) counted() *Usage {
	if s.usage == nil {
		return &Usage{}
	}
	return s.usage
}

// model returns the name of the model that answers.
func (s *speech) model() string {
	if s.req.model == "" {
		return "fakelm"
	}
	return s.req.model
}

// callID returns the identity of the i-th function call.
func (s *speech) callID(i int) string { return "call_" + s.id + "_" + strconv.Itoa(i) }

// chunkCount returns the number of chunks of the content.
func (s *speech) chunkCount(tokens int) int64 {
	return (countTokens(s.content) + int64(tokens) - 1) / int64(tokens)
}

// pieces yields the chunks of the content.
func (s *speech) pieces(tokens int) iter.Seq[string] { return chunks(s.content, tokens) }
