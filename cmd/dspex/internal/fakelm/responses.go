package fakelm

import (
	"encoding/json"
	"fmt"
	"strings"
)

// responsesAPI is POST /v1/responses.
type responsesAPI struct{}

var _ dialect = responsesAPI{}

// responsesBody is the body of a request.
type responsesBody struct {
	Model        string          `json:"model"`
	Instructions string          `json:"instructions"`
	Input        json.RawMessage `json:"input"`
	Stream       bool            `json:"stream"`
	MaxTokens    int64           `json:"max_output_tokens"`
	Reasoning    struct {
		Effort string `json:"effort"`
	} `json:"reasoning"`
	Text struct {
		Format struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"text"`
	Tools      []toolBody      `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
}

// responsesItem is an input item: a message, or what a function returned.
type responsesItem struct {
	Type    string          `json:"type"`
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
	Output  json.RawMessage `json:"output"`
}

// responsesReply is a whole answer. Before it is complete, Output is empty and
// Usage nil.
type responsesReply struct {
	ID        string          `json:"id"`
	Object    string          `json:"object"`
	CreatedAt int64           `json:"created_at"`
	Status    string          `json:"status"`
	Error     any             `json:"error"`
	Cutoff    any             `json:"incomplete_details"`
	Model     string          `json:"model"`
	Output    []any           `json:"output"`
	Usage     *responsesUsage `json:"usage"`
}

// responsesUsage is the token count.
type responsesUsage struct {
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	TotalTokens  int64 `json:"total_tokens"`
}

// jsonObject is a JSON object of a stream's event.
type jsonObject map[string]any

func (responsesAPI) decode(data []byte) (*request, error) {
	var body responsesBody
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	r := &request{
		model: body.Model, stream: body.Stream, includeUsage: true, choices: 1,
		maxTokens: max(body.MaxTokens, 0), effort: body.Reasoning.Effort,
		jsonMode:   strings.HasPrefix(body.Text.Format.Type, "json"),
		jsonSchema: parseSchema(string(body.Text.Format.Schema)),
	}
	if body.Instructions != "" {
		r.messages = append(r.messages, message{"system", body.Instructions})
	}
	var items []responsesItem
	var text string
	switch {
	case json.Unmarshal(body.Input, &text) == nil:
		r.messages = append(r.messages, message{"user", text})
	case json.Unmarshal(body.Input, &items) == nil:
		for _, item := range items {
			switch {
			case item.Type == "function_call_output":
				r.messages = append(r.messages, message{"tool", contentText(item.Output)})
			case item.Role != "":
				r.messages = append(r.messages, message{roleOf(item.Role), contentText(item.Content)})
			}
		}
	}
	if len(r.messages) == 0 {
		return nil, errNoMessages
	}
	r.setTools(body.Tools, body.ToolChoice)
	return r, nil
}

func (responsesAPI) whole(s *speech) any {
	reply := newResponsesReply(s)
	reply.Status = "completed"
	if s.finish == "length" {
		reply.Status, reply.Cutoff = "incomplete", jsonObject{"reason": "max_output_tokens"}
	}
	if s.reasoning != "" {
		reply.Output = append(reply.Output, jsonObject{
			"type": "reasoning", "id": "rs_fake_" + s.id,
			"summary": []jsonObject{{"type": "summary_text", "text": s.reasoning}},
		})
	}
	if s.content != "" || s.calls == nil {
		reply.Output = append(reply.Output, messageItem(s, reply.Status, s.content))
	}
	for i := range s.calls {
		reply.Output = append(reply.Output, callItem(s, i))
	}
	if s.usage != nil {
		reply.Usage = &responsesUsage{s.usage.PromptTokens, s.usage.CompletionTokens, s.usage.TotalTokens}
	}
	return reply
}

func (responsesAPI) opening(s *speech) []event {
	reply := newResponsesReply(s)
	item := messageItem(s, "in_progress", "")
	item["content"] = []jsonObject{}
	return []event{
		typed("response.created", jsonObject{"response": reply}),
		typed("response.in_progress", jsonObject{"response": reply}),
		typed("response.output_item.added", jsonObject{"output_index": 0, "item": item}),
		typed("response.content_part.added", jsonObject{
			"item_id": item["id"], "output_index": 0, "content_index": 0, "part": textPart(""),
		}),
	}
}

func (responsesAPI) delta(s *speech, text string) event {
	return typed("response.output_text.delta", jsonObject{
		"item_id": "msg_fake_" + s.id, "output_index": 0, "content_index": 0, "delta": text,
	})
}

func (a responsesAPI) closing(s *speech) []event {
	item := messageItem(s, "completed", s.content)
	events := []event{
		typed("response.output_text.done", jsonObject{
			"item_id": item["id"], "output_index": 0, "content_index": 0, "text": s.content,
		}),
		typed("response.output_item.done", jsonObject{"output_index": 0, "item": item}),
	}
	for i := range s.calls {
		events = append(events, typed("response.output_item.added", jsonObject{"output_index": i + 1, "item": callItem(s, i)}))
	}
	reply := a.whole(s)
	if s.finish == "length" {
		return append(events, typed("response.incomplete", jsonObject{"response": reply}))
	}
	return append(events, typed("response.completed", jsonObject{"response": reply}))
}

// newResponsesReply returns a reply that is in progress.
func newResponsesReply(s *speech) *responsesReply {
	return &responsesReply{
		ID: "resp_fake_" + s.id, Object: "response", CreatedAt: s.created, Status: "in_progress",
		Model: s.model(), Output: []any{},
	}
}

// typed returns an event that repeats its name in its data.
func typed(name string, data jsonObject) event {
	data["type"] = name
	return event{name, data}
}

// messageItem returns an output item with text.
func messageItem(s *speech, status, text string) jsonObject {
	return jsonObject{
		"type": "message", "id": "msg_fake_" + s.id, "role": "assistant", "status": status,
		"content": []jsonObject{textPart(text)},
	}
}

// textPart returns a part of a message's content.
func textPart(text string) jsonObject {
	return jsonObject{"type": "output_text", "text": text, "annotations": []any{}}
}

// callItem returns an output item with the i-th function call.
func callItem(s *speech, i int) jsonObject {
	call := s.calls[i]
	return jsonObject{
		"type": "function_call", "id": "fc_fake_" + s.callID(i), "call_id": s.callID(i), "status": "completed",
		"name": call.name, "arguments": jsonText(call.arguments),
	}
}
