package shared

import (
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// ToProto returns r as a message. The trace context is not in it: it travels in
// the traceparent header.
func (r CallRequest) ToProto() *apiv1.CallRequest {
	return &apiv1.CallRequest{
		Pool:        r.Pool,
		Command:     r.Command,
		Args:        string(r.Args),
		Session:     r.Session,
		SessionData: r.SessionData,
		Timeout:     durationToProto(r.Timeout),
		Idempotent:  r.Idempotent,
	}
}

// CallRequestFromProto is the inverse of CallRequest.ToProto.
func CallRequestFromProto(p *apiv1.CallRequest) CallRequest {
	return CallRequest{
		Pool:        p.GetPool(),
		Command:     p.GetCommand(),
		Args:        rawFromString(p.GetArgs()),
		Session:     p.GetSession(),
		SessionData: p.GetSessionData(),
		Timeout:     p.GetTimeout().AsDuration(),
		Idempotent:  p.GetIdempotent(),
	}
}

// ToProto returns r as a message.
func (r *CallResult) ToProto() *apiv1.CallResponse {
	return &apiv1.CallResponse{
		Result:    string(r.Result),
		Worker:    r.Worker,
		QueueTime: durationToProto(r.QueueTime),
		RunTime:   durationToProto(r.RunTime),
	}
}

// CallResultFromProto is the inverse of CallResult.ToProto.
func CallResultFromProto(p *apiv1.CallResponse) *CallResult {
	return &CallResult{
		Result:    rawFromString(p.GetResult()),
		Worker:    p.GetWorker(),
		QueueTime: p.GetQueueTime().AsDuration(),
		RunTime:   p.GetRunTime().AsDuration(),
	}
}

// ToProto returns e as a message of a stream.
func (e StreamEvent) ToProto() *apiv1.CallStreamResponse {
	if e.Kind == StreamProgress {
		return &apiv1.CallStreamResponse{Event: &apiv1.CallStreamResponse_Progress{Progress: string(e.Data)}}
	}
	return &apiv1.CallStreamResponse{Event: &apiv1.CallStreamResponse_Chunk{Chunk: string(e.Data)}}
}

// StreamEventFromProto is the inverse of StreamEvent.ToProto. It reports false
// for a message that is no such event: the result, or one of a newer host.
func StreamEventFromProto(p *apiv1.CallStreamResponse) (StreamEvent, bool) {
	switch e := p.GetEvent().(type) {
	case *apiv1.CallStreamResponse_Chunk:
		return StreamEvent{Kind: StreamChunk, Data: rawFromString(e.Chunk)}, true
	case *apiv1.CallStreamResponse_Progress:
		return StreamEvent{Kind: StreamProgress, Data: rawFromString(e.Progress)}, true
	default:
		return StreamEvent{}, false
	}
}

// ToProto returns r as a message.
func (r RunRequest) ToProto() *apiv1.RunProgramRequest {
	return &apiv1.RunProgramRequest{
		Session: r.Session,
		Name:    r.Name,
		Inputs:  string(r.Inputs),
		Pool:    r.Pool,
		Timeout: durationToProto(r.Timeout),
	}
}

// RunRequestFromProto is the inverse of RunRequest.ToProto.
func RunRequestFromProto(p *apiv1.RunProgramRequest) RunRequest {
	return RunRequest{
		Session: p.GetSession(),
		Name:    p.GetName(),
		Inputs:  rawFromString(p.GetInputs()),
		Pool:    p.GetPool(),
		Timeout: p.GetTimeout().AsDuration(),
	}
}

// ToProto returns r as a message.
func (r *RunResult) ToProto() *apiv1.RunProgramResponse {
	return &apiv1.RunProgramResponse{
		Outputs:   string(r.Outputs),
		Revision:  r.Revision,
		Worker:    r.Worker,
		QueueTime: durationToProto(r.QueueTime),
		RunTime:   durationToProto(r.RunTime),
	}
}

// RunResultFromProto is the inverse of RunResult.ToProto.
func RunResultFromProto(p *apiv1.RunProgramResponse) *RunResult {
	return &RunResult{
		Outputs:   rawFromString(p.GetOutputs()),
		Revision:  p.GetRevision(),
		Worker:    p.GetWorker(),
		QueueTime: p.GetQueueTime().AsDuration(),
		RunTime:   p.GetRunTime().AsDuration(),
	}
}

// ToProto returns c as a message.
func (c Command) ToProto() *apiv1.Command {
	return &apiv1.Command{
		Name:         c.Name,
		Doc:          c.Doc,
		ArgsSchema:   string(c.ArgsSchema),
		ResultSchema: string(c.ResultSchema),
		Streaming:    c.Streaming,
		Idempotent:   c.Idempotent,
		Cancellable:  c.Cancellable,
	}
}

// CommandFromProto is the inverse of Command.ToProto.
func CommandFromProto(p *apiv1.Command) Command {
	return Command{
		Name:         p.GetName(),
		Doc:          p.GetDoc(),
		ArgsSchema:   rawFromString(p.GetArgsSchema()),
		ResultSchema: rawFromString(p.GetResultSchema()),
		Streaming:    p.GetStreaming(),
		Idempotent:   p.GetIdempotent(),
		Cancellable:  p.GetCancellable(),
	}
}
