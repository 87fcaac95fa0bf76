package host

import (
	"context"
	"encoding/json"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/shared"
)

// The commands of a Python worker that work on programs. Programs live in the
// host: it checks what callers write, keeps it, and gives the worker what it
// needs with each call, so that any worker can run any program.
const (
	commandCreate  = "create_program"
	commandExecute = "execute_program"
	commandList    = "list_programs"
	commandDelete  = "delete_program"
)

// programArgs are the arguments of the program commands.
type programArgs struct {
	// ID and ProgramID are two words for the program's name.
	ID        string          `json:"id"`
	ProgramID string          `json:"program_id"`
	Inputs    json.RawMessage `json:"inputs"`
}

func (a programArgs) name() string {
	if a.ProgramID != "" {
		return a.ProgramID
	}
	return a.ID
}

// RunProgram runs the program of the session, else the global one of that name,
// and returns its outputs.
func (h *Host) RunProgram(ctx context.Context, req shared.RunRequest) (*shared.RunResult, error) {
	found, err := h.sessions.FindProgram(ctx, req.Session, req.Name)
	if err != nil {
		return nil, err
	}
	pool, err := h.programPool(req.Pool, found.Spec.Pool)
	if err != nil {
		return nil, err
	}
	args, err := executeArgs(found, req.Inputs)
	if err != nil {
		return nil, err
	}
	call := shared.CallRequest{Pool: pool.cfg.Name, Command: commandExecute, Session: req.Session, Timeout: req.Timeout, Args: args}
	if err := h.enterSession(ctx, &call); err != nil {
		return nil, err
	}
	answer, err := pool.run(ctx, &call, nil)
	if err != nil {
		return nil, err
	}
	var body struct {
		Outputs json.RawMessage `json:"outputs"`
	}
	if err := json.Unmarshal(answer.Result, &body); err != nil || body.Outputs == nil {
		return nil, shared.Errorf(shared.ResultInvalid, "run program %q: worker %q answered without outputs", req.Name, answer.Worker).WithRun(shared.RunYes)
	}
	return &shared.RunResult{
		Outputs: body.Outputs, Revision: found.Revision,
		Worker: answer.Worker, QueueTime: answer.QueueTime, RunTime: answer.RunTime,
	}, nil
}

// programPool chooses where a program runs: where the caller says, else the
// program's own pool, else the only pool that runs programs.
func (h *Host) programPool(asked, own string) (*Pool, error) {
	name := asked
	if name == "" {
		name = own
	}
	if name != "" {
		pool, err := h.Pool(name)
		if err != nil {
			return nil, err
		}
		if !pool.runsPrograms() {
			return nil, shared.Errorf(shared.InvalidArgument, "pool %q does not run programs: it has no Python workers", name)
		}
		return pool, nil
	}
	var only *Pool
	for _, p := range h.pools {
		if p.runsPrograms() {
			if only != nil {
				return nil, shared.Errorf(shared.InvalidArgument, "choose pool: both %q and %q run programs", only.cfg.Name, p.cfg.Name).
					WithHint("name a pool in the program or in the call")
			}
			only = p
		}
	}
	if only == nil {
		return nil, shared.Errorf(shared.PoolNotFound, "choose pool: no pool of this host runs programs")
	}
	return only, nil
}

// programCommand completes a call of one of the program commands. It returns
// what to do when the worker has answered, or nil.
func (h *Host) programCommand(ctx context.Context, req *shared.CallRequest) (after func(*shared.CallResult) error, err error) {
	switch req.Command {
	case commandCreate:
		return h.createProgram(ctx, req)
	case commandExecute:
		args, err := decodeProgramArgs(req)
		if err != nil {
			return nil, err
		}
		found, err := h.sessions.FindProgram(ctx, req.Session, args.name())
		if err != nil {
			return nil, err
		}
		req.Args, err = executeArgs(found, args.Inputs)
		return nil, err
	case commandList:
		return nil, h.listPrograms(ctx, req)
	case commandDelete:
		return nil, h.deleteProgram(ctx, req)
	}
	return nil, nil
}

// createProgram checks the definition, has a worker build it, and keeps it when
// that went well.
func (h *Host) createProgram(ctx context.Context, req *shared.CallRequest) (func(*shared.CallResult) error, error) {
	if req.Session == "" {
		return nil, shared.Errorf(shared.InvalidArgument, "create program: the call belongs to no session").
			WithHint("give the call a session, or store a global program: PUT /v1/programs/{name}, dspex program put")
	}
	args, err := decodeProgramArgs(req)
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(req.Args, &members); err != nil {
		return nil, shared.Errorf(shared.InvalidArgument, "decode arguments: %w", err)
	}
	delete(members, "id")
	delete(members, "program_id")
	delete(members, "session_id")
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, shared.Errorf(shared.InvalidArgument, "encode program: %w", err)
	}
	spec, err := h.parseSpec(raw)
	if err != nil {
		return nil, err
	}
	draft := shared.Program{Name: args.name(), Session: req.Session, Hash: program.Hash(spec), Spec: spec}
	req.Args = jsonx.InsertMembers(json.RawMessage("{}"),
		jsonx.Member{Name: "name", Value: quote(args.name())},
		jsonx.Member{Name: "program_data", Value: program.Data(draft)})
	return func(result *shared.CallResult) error {
		stored, _, err := h.sessions.PutProgram(ctx, req.Session, args.name(), spec, nil)
		if err != nil {
			return err
		}
		revision, _ := json.Marshal(stored.Revision)
		result.Result = jsonx.InsertMembers(result.Result, jsonx.Member{Name: "revision", Value: revision})
		return nil
	}, nil
}

func (h *Host) listPrograms(ctx context.Context, req *shared.CallRequest) error {
	type entry struct {
		Name     string `json:"name"`
		Session  string `json:"session,omitempty"`
		Revision uint64 `json:"revision"`
		Hash     string `json:"hash"`
	}
	list := []entry{}
	scopes := []string{""}
	if req.Session != "" {
		scopes = []string{req.Session, ""}
	}
	for _, scope := range scopes {
		programs, err := h.sessions.ListPrograms(ctx, scope)
		if err != nil && shared.AsError(err).Reason != shared.SessionNotFound {
			return err
		}
		for _, p := range programs {
			list = append(list, entry{p.Name, p.Session, p.Revision, p.Hash})
		}
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return shared.Errorf(shared.Internal, "encode programs: %w", err)
	}
	req.Args = jsonx.InsertMembers(json.RawMessage("{}"), jsonx.Member{Name: "programs", Value: raw})
	return nil
}

// deleteProgram deletes from the host; the worker that is called then drops it
// from its cache. Others keep it cached by its hash, where nothing finds it.
func (h *Host) deleteProgram(ctx context.Context, req *shared.CallRequest) error {
	args, err := decodeProgramArgs(req)
	if err != nil {
		return err
	}
	found, err := h.sessions.GetProgram(ctx, req.Session, args.name())
	if err != nil {
		return err
	}
	if err := h.DeleteProgram(ctx, req.Session, args.name(), nil); err != nil {
		return err
	}
	req.Args = jsonx.InsertMembers(json.RawMessage("{}"),
		jsonx.Member{Name: "program_id", Value: quote(args.name())},
		jsonx.Member{Name: "hash", Value: quote(found.Hash)})
	return nil
}

// parseSpec checks a program's definition, its pool and language model included.
func (h *Host) parseSpec(raw json.RawMessage) (shared.ProgramSpec, error) {
	spec, err := program.ParseSpec(raw)
	if err != nil {
		return spec, err
	}
	return spec, h.checkNames(spec)
}

// checkNames checks that the pool and the language model that a definition names
// are there.
func (h *Host) checkNames(spec shared.ProgramSpec) error {
	if spec.Pool != "" {
		if _, err := h.programPool(spec.Pool, ""); err != nil {
			return err
		}
	}
	if _, ok := h.cfg.LMs[spec.LM]; spec.LM != "" && !ok {
		return shared.Errorf(shared.InvalidArgument, "program names lm %q, which the configuration does not have", clip(spec.LM, 64))
	}
	return nil
}

func executeArgs(p shared.Program, inputs json.RawMessage) (json.RawMessage, error) {
	if inputs == nil {
		inputs = json.RawMessage("{}")
	}
	if err := program.ValidateInputs(p.Spec.Signature, inputs); err != nil {
		return nil, err
	}
	return jsonx.InsertMembers(json.RawMessage("{}"),
		jsonx.Member{Name: "program_id", Value: quote(p.Name)},
		jsonx.Member{Name: "inputs", Value: inputs},
		jsonx.Member{Name: "program_data", Value: program.Data(p)}), nil
}

func decodeProgramArgs(req *shared.CallRequest) (programArgs, error) {
	var args programArgs
	if err := json.Unmarshal(req.Args, &args); err != nil {
		return args, shared.Errorf(shared.InvalidArgument, "decode arguments of %s: %w", req.Command, err)
	}
	if args.name() == "" {
		return args, shared.Errorf(shared.InvalidArgument, "%s needs the program's name as args.program_id or args.id", req.Command)
	}
	return args, nil
}

func quote(s string) json.RawMessage {
	raw, _ := json.Marshal(s) // a string always encodes
	return raw
}
