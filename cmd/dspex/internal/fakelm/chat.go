package fakelm

// chatAPI is POST /v1/chat/completions.
type chatAPI struct{}

var _ dialect = chatAPI{}

// chatReply is a whole answer, or one chunk of a stream.
type chatReply struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []chatChoice `json:"choices"`
	Usage   *Usage       `json:"usage,omitempty"`
}

// chatChoice is one alternative: with a message in a whole answer, with a delta
// in a chunk.
type chatChoice struct {
	Index        int          `json:"index"`
	Message      *chatMessage `json:"message,omitempty"`
	Delta        *chatMessage `json:"delta,omitempty"`
	LogProbs     any          `json:"logprobs"`
	FinishReason *string      `json:"finish_reason"`
}

// chatMessage is what the assistant says, or a part of it.
type chatMessage struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []chatCall `json:"tool_calls,omitempty"`
}

// chatCall is a function call.
type chatCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

// chatFunction names a function and its arguments, which are JSON in a string.
type chatFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func (chatAPI) decode(data []byte) (*request, error) { return decodeChat(data) }

func (chatAPI) whole(s *speech) any {
	reply := newChatReply(s, "chat.completion")
	for i := range s.req.choices {
		reply.Choices = append(reply.Choices, chatChoice{
			Index: i, FinishReason: &s.finish,
			Message: &chatMessage{Role: "assistant", Content: &s.content, Reasoning: s.reasoning, ToolCalls: chatCalls(s, false)},
		})
	}
	reply.Usage = s.usage
	return reply
}

func (chatAPI) opening(s *speech) []event {
	empty := ""
	events := []event{chunkEvent(s, chatMessage{Role: "assistant", Content: &empty}, nil)}
	if s.reasoning != "" {
		events = append(events, chunkEvent(s, chatMessage{Reasoning: s.reasoning}, nil))
	}
	return events
}

func (chatAPI) delta(s *speech, text string) event {
	return chunkEvent(s, chatMessage{Content: &text}, nil)
}

func (chatAPI) closing(s *speech) []event {
	var events []event
	if s.calls != nil {
		events = append(events, chunkEvent(s, chatMessage{ToolCalls: chatCalls(s, true)}, nil))
	}
	events = append(events, chunkEvent(s, chatMessage{}, &s.finish))
	if s.req.includeUsage && s.usage != nil {
		reply := newChatReply(s, "chat.completion.chunk")
		reply.Usage = s.usage
		events = append(events, event{data: reply})
	}
	return append(events, event{data: "[DONE]"})
}

// newChatReply returns a reply without choices.
func newChatReply(s *speech, kind string) *chatReply {
	return &chatReply{
		ID: "chatcmpl-fake-" + s.id, Object: kind, Created: s.created, Model: s.model(), Choices: []chatChoice{},
	}
}

// chunkEvent returns a chunk with the same delta for each choice.
func chunkEvent(s *speech, delta chatMessage, finish *string) event {
	reply := newChatReply(s, "chat.completion.chunk")
	for i := range s.req.choices {
		reply.Choices = append(reply.Choices, chatChoice{Index: i, Delta: &delta, FinishReason: finish})
	}
	return event{data: reply}
}

// chatCalls returns the function calls; those of a stream are numbered.
func chatCalls(s *speech, numbered bool) []chatCall {
	var calls []chatCall
	for i, call := range s.calls {
		c := chatCall{ID: s.callID(i), Type: "function", Function: chatFunction{call.name, jsonText(call.arguments)}}
		if numbered {
			c.Index = &i
		}
		calls = append(calls, c)
	}
	return calls
}
