package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/dspex/dspex/shared"
)

func (s *Server) postCall(w http.ResponseWriter, r *http.Request) error {
	stream, err := streamWanted(r)
	if err != nil {
		return err
	}
	req := shared.CallRequest{Pool: r.PathValue("pool"), Traceparent: traceparentOf(r.Header)}
	err = decodeBody(r,
		text("command", &req.Command),
		object("args", &req.Args),
		text("session", &req.Session),
		flag("session_data", &req.SessionData),
		duration("timeout", &req.Timeout),
		flag("idempotent", &req.Idempotent),
	)
	if err != nil {
		return err
	}
	if req.Command == "" {
		return shared.Errorf(shared.InvalidArgument, "command is missing").
			WithHint(`send an object such as {"command": "ping", "args": {}}`)
	}
	if stream {
		return s.streamCall(w, r, req)
	}
	result, err := s.backend.Call(r.Context(), req)
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, "application/json", appendCallResult(nil, result))
	return nil
}

func (s *Server) runProgram(w http.ResponseWriter, r *http.Request) error {
	if stream, err := streamWanted(r); err != nil {
		return err
	} else if stream {
		return shared.Errorf(shared.Unsupported, "runs of programs cannot be streamed").
			WithHint("leave out stream")
	}
	req := shared.RunRequest{Session: r.PathValue("id"), Name: r.PathValue("name")}
	err := decodeBody(r,
		object("inputs", &req.Inputs),
		text("pool", &req.Pool),
		duration("timeout", &req.Timeout),
	)
	if err != nil {
		return err
	}
	result, err := s.backend.RunProgram(r.Context(), req)
	if err != nil {
		return err
	}
	b := append([]byte(`{"outputs":`), rawOr(result.Outputs, "{}")...)
	b = append(b, `,"revision":`...)
	b = strconv.AppendUint(b, result.Revision, 10)
	b = appendTimes(b, result.Worker, millis(result.QueueTime), millis(result.RunTime))
	writeBody(w, http.StatusOK, "application/json", b)
	return nil
}

// appendCallResult writes a result without going through its JSON once more.
func appendCallResult(b []byte, result *shared.CallResult) []byte {
	b = append(b, `{"result":`...)
	b = append(b, rawOr(result.Result, "null")...)
	return appendTimes(b, result.Worker, millis(result.QueueTime), millis(result.RunTime))
}

func appendTimes(b []byte, worker string, queue, run millis) []byte {
	name, _ := json.Marshal(worker) // a string has a JSON form
	b = append(b, `,"worker":`...)
	b = append(b, name...)
	b = append(b, `,"queue_ms":`...)
	b = queue.append(b)
	b = append(b, `,"run_ms":`...)
	b = run.append(b)
	return append(b, "}\n"...)
}

func rawOr(raw json.RawMessage, absent string) []byte {
	if len(raw) == 0 {
		return []byte(absent)
	}
	return raw
}
