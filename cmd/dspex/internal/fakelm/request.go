package fakelm

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxChoices bounds how many answers one request may ask for.
const maxChoices = 128

var errNoMessages = errors.New("messages: at least one is required")

// request is what was asked, whichever API it was asked through.
type request struct {
	model        string
	messages     []message
	stream       bool
	includeUsage bool
	choices      int
	maxTokens    int64 // 0: no limit
	stop         []string
	effort       string // reasoning effort; empty if not asked for
	jsonMode     bool
	jsonSchema   *schema // nil: any object
	tools        []tool
	forcedTool   string // tool_choice names it
	noTools      bool   // tool_choice is "none"
}

// message is one turn of the conversation.
type message struct {
	role string // system, user, assistant or tool
	text string
}

// tool is a function that the model may call.
type tool struct {
	name   string
	schema *schema // of its arguments
}

// prompt returns the text of all messages.
func (r *request) prompt() string {
	var b strings.Builder
	for _, m := range r.messages {
		b.WriteString(m.text)
		b.WriteByte('\n')
	}
	return b.String()
}

// system returns the text that states the task: the system messages, or the
// first message if there is none.
func (r *request) system() string {
	var parts []string
	for _, m := range r.messages {
		if m.role == "system" {
			parts = append(parts, m.text)
		}
	}
	if parts == nil && len(r.messages) > 0 {
		return r.messages[0].text
	}
	return strings.Join(parts, "\n")
}

// said returns the texts of one role, oldest first.
func (r *request) said(role string) []string {
	var out []string
	for _, m := range r.messages {
		if m.role == role {
			out = append(out, m.text)
		}
	}
	return out
}

// chatBody is the body of POST /v1/chat/completions.
type chatBody struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Stream        bool `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	N                   int             `json:"n"`
	MaxTokens           int64           `json:"max_tokens"`
	MaxCompletionTokens int64           `json:"max_completion_tokens"`
	Stop                json.RawMessage `json:"stop"`
	ReasoningEffort     string          `json:"reasoning_effort"`
	ResponseFormat      struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	Tools      []toolBody      `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
}

// toolBody is a tool of either API: chat nests the function, responses does not.
type toolBody struct {
	Name       string          `json:"name"`
	Parameters json.RawMessage `json:"parameters"`
	Function   struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// decodeChat reads the body of a chat-completions request.
func decodeChat(data []byte) (*request, error) {
	var body chatBody
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	if len(body.Messages) == 0 {
		return nil, errNoMessages
	}
	if body.N > maxChoices || body.N < 0 {
		return nil, fmt.Errorf("n: %d is not within 1 and %d", body.N, maxChoices)
	}
	r := &request{
		model: body.Model, stream: body.Stream, includeUsage: body.StreamOptions.IncludeUsage,
		choices: max(body.N, 1), maxTokens: max(body.MaxTokens, body.MaxCompletionTokens, 0),
		stop: stopWords(body.Stop), effort: body.ReasoningEffort,
		jsonMode: strings.HasPrefix(body.ResponseFormat.Type, "json"),
	}
	for _, m := range body.Messages {
		r.messages = append(r.messages, message{roleOf(m.Role), contentText(m.Content)})
	}
	r.jsonSchema = parseSchema(string(body.ResponseFormat.JSONSchema.Schema))
	r.setTools(body.Tools, body.ToolChoice)
	return r, nil
}

// setTools reads the tools and which of them must be called.
func (r *request) setTools(tools []toolBody, choice json.RawMessage) {
	for _, t := range tools {
		name, parameters := t.Name, t.Parameters
		if name == "" {
			name, parameters = t.Function.Name, t.Function.Parameters
		}
		if name != "" {
			r.tools = append(r.tools, tool{name, parseSchema(string(parameters))})
		}
	}
	var word string
	if json.Unmarshal(choice, &word) == nil {
		r.noTools = word == "none"
		return
	}
	var named toolBody
	if json.Unmarshal(choice, &named) == nil {
		r.forcedTool = named.Name + named.Function.Name
	}
}

// roleOf maps the roles of both APIs to ours.
func roleOf(role string) string {
	switch role {
	case "developer":
		return "system"
	case "function":
		return "tool"
	}
	return role
}

// contentText returns the text of a message's content: a string, or a list of
// parts, of which those that are not text leave their type in brackets.
func contentText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var b strings.Builder
	for _, part := range parts {
		if part.Text == "" && !strings.HasSuffix(part.Type, "text") {
			part.Text = "[" + part.Type + "]"
		}
		b.WriteString(part.Text)
	}
	return b.String()
}

// stopWords reads "stop": a string or a list of strings.
func stopWords(raw json.RawMessage) []string {
	var word string
	if json.Unmarshal(raw, &word) == nil && word != "" {
		return []string{word}
	}
	var words []string
	if json.Unmarshal(raw, &words) != nil {
		return nil
	}
	return words
}
