package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dspex/dspex/shared"
)

const (
	// demoSession is the session of the examples.
	demoSession = "user_session_123"
	// longestAnswer is how much of an answer is shown.
	longestAnswer = 240
)

// title begins a part of the output.
func (d *demo) title(text string) {
	paint := painter(d.cli.colored(d.cli.stdout))
	fmt.Fprintf(d.line, "\n%s\n", paint(bold, text))
}

// fact prints a name and what is so.
func (d *demo) fact(name, format string, args ...any) {
	fmt.Fprintf(d.line, "  %-12s  %s\n", name, oneLine(fmt.Sprintf(format, args...)))
}

// request prints a command line that does what follows.
func (d *demo) request(format string, args ...any) {
	paint := painter(d.cli.colored(d.cli.stdout))
	fmt.Fprintf(d.line, "  %s\n", paint(faint, "$ dspex "+fmt.Sprintf(format, args...)))
}

// answer prints what came back, and the figures to it.
func (d *demo) answer(raw []byte, figures ...string) {
	fmt.Fprintf(d.line, "  %s\n", printable(clip(string(raw), longestAnswer)))
	if len(figures) > 0 {
		paint := painter(d.cli.colored(d.cli.stdout))
		fmt.Fprintf(d.line, "  %s\n", paint(faint, "# "+strings.Join(figures, ", ")))
	}
}

// call runs a command, prints it, and checks its result.
func (d *demo) call(ctx context.Context, req shared.CallRequest, line string, check func(json.RawMessage) error) error {
	d.request("%s", line)
	req.Pool = d.pool
	started := time.Now()
	result, err := d.host.Call(ctx, req)
	if err != nil {
		return err
	}
	d.answer(result.Result, result.Worker, latency(time.Since(started)))
	if err := check(result.Result); err != nil {
		return fmt.Errorf("answer of %s: %w", req.Command, err)
	}
	return nil
}

func (d *demo) showPing(ctx context.Context) error {
	d.title("ping")
	return d.call(ctx, shared.CallRequest{Command: "ping", Args: json.RawMessage(`{"test":true}`)},
		fmt.Sprintf("call %s ping test:=true", d.pool),
		func(raw json.RawMessage) error {
			var pong struct {
				Args struct{ Test bool }
			}
			if err := json.Unmarshal(raw, &pong); err != nil || !pong.Args.Test {
				return errors.New("the argument did not come back")
			}
			return nil
		})
}

func (d *demo) showAnalyze(ctx context.Context) error {
	d.title("analyze")
	return d.call(ctx, shared.CallRequest{Command: "analyze", Args: json.RawMessage(`{"data":[3,1,4,1,5,9,2,6]}`), Timeout: time.Minute},
		fmt.Sprintf("call %s analyze data:='[3,1,4,1,5,9,2,6]' --timeout 60s", d.pool),
		func(raw json.RawMessage) error {
			var got struct{ Sum, Count int }
			if err := json.Unmarshal(raw, &got); err != nil || got.Sum != 31 || got.Count != 8 {
				return fmt.Errorf("sum %d and count %d, want 31 and 8", got.Sum, got.Count)
			}
			return nil
		})
}

// showPrograms makes a program in a session and runs it there.
func (d *demo) showPrograms(ctx context.Context) error {
	d.title("a program in session " + demoSession)
	create := `{"id":"qa_program","signature":{"inputs":[{"name":"question","type":"str"}],"outputs":[{"name":"answer","type":"str"}]},"instructions":"Answer questions concisely"}`
	err := d.call(ctx, shared.CallRequest{Command: "create_program", Session: demoSession, Args: json.RawMessage(create)},
		fmt.Sprintf("call %s create_program --session %s id=qa_program signature:='{...}' instructions=...", d.pool, demoSession), object)
	if err != nil {
		return err
	}
	run := `{"program_id":"qa_program","inputs":{"question":"What is DSPy?"}}`
	return d.call(ctx, shared.CallRequest{Command: "execute_program", Session: demoSession, Args: json.RawMessage(run), Timeout: time.Minute},
		fmt.Sprintf("call %s execute_program --session %s program_id=qa_program inputs:='{\"question\": \"What is DSPy?\"}'", d.pool, demoSession),
		func(raw json.RawMessage) error {
			var got struct{ Outputs struct{ Answer string } }
			if err := json.Unmarshal(raw, &got); err != nil || got.Outputs.Answer == "" {
				return errors.New("there is no answer in it")
			}
			return nil
		})
}

// showGlobalProgram stores a program for all, and runs it in sessions that do not
// own it.
func (d *demo) showGlobalProgram(ctx context.Context) error {
	d.title("a global program, from any session")
	d.request(`program put shared_qa_program --signature "question -> answer" --instructions "Global Q&A program" --pool %s`, d.pool)
	spec, err := json.Marshal(map[string]string{"signature": "question -> answer", "instructions": "Global Q&A program", "pool": d.pool})
	if err != nil {
		return fmt.Errorf("encode program: %w", err)
	}
	p, _, err := d.host.PutProgram(ctx, shared.PutProgramRequest{Name: "shared_qa_program", Spec: spec})
	if err != nil {
		return err
	}
	d.answer(fmt.Appendf(nil, "created program %q (revision %d)", p.Name, p.Revision))
	for _, session := range []string{demoSession, "session_456"} {
		d.request(`run shared_qa_program --session %s question="What is the capital of France?"`, session)
		started := time.Now()
		result, err := d.host.RunProgram(ctx, shared.RunRequest{
			Session: session, Name: p.Name, Inputs: json.RawMessage(`{"question":"What is the capital of France?"}`), Timeout: time.Minute,
		})
		if err != nil {
			return err
		}
		d.answer(result.Outputs, result.Worker, latency(time.Since(started)))
		if !strings.Contains(string(result.Outputs), "Paris") {
			return fmt.Errorf("answer of %s: %s is not about Paris", p.Name, result.Outputs)
		}
	}
	return nil
}

// showSessionData writes a session's data twice at one revision: the second
// write must be refused.
func (d *demo) showSessionData(ctx context.Context) error {
	d.title("session data, with compare and swap")
	const id = "session_123"
	d.request("session create %s", id)
	absent := uint64(0)
	s, _, err := d.host.PutSession(ctx, shared.PutSessionRequest{ID: id, IfRevision: &absent})
	if err != nil {
		return err
	}
	d.answer(fmt.Appendf(nil, "created session %q (revision %d)", s.ID, s.Revision))
	patch := shared.PatchSessionRequest{ID: id, Patch: json.RawMessage(`{"custom_data":{"user_id":456}}`), IfRevision: &s.Revision}
	for _, refused := range []bool{false, true} {
		d.request(`session patch %s custom_data:='{"user_id": 456}' --if-revision %d`, id, s.Revision)
		now, err := d.host.PatchSession(ctx, patch)
		switch {
		case refused && errors.Is(err, shared.ErrRevisionConflict):
			d.answer([]byte("error: " + err.Error()))
		case refused && err == nil:
			return fmt.Errorf("session %q: a write at revision %d was accepted twice", id, s.Revision)
		case err != nil:
			return err
		default:
			d.answer(fmt.Appendf(nil, "updated session %q (revision %d): %s", id, now.Revision, now.Data))
		}
	}
	return nil
}

func (d *demo) showStats(ctx context.Context) error {
	d.title("stats")
	d.request("stats")
	stats, err := d.host.Stats(ctx)
	if err != nil {
		return err
	}
	s := stats.Pools[d.pool]
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"workers", int64(s.Workers)},
		{"available", int64(s.Available)},
		{"busy", int64(s.Busy)},
		{"queued", int64(s.Queued)},
		{"requests", s.Requests},
		{"errors", s.Errors},
		{"timeouts", s.QueueTimeouts},
	} {
		d.fact(f.name, "%s", count(f.value))
	}
	d.fact("run time", "%s", quantiles(s.Run))
	d.fact("queue time", "%s", quantiles(s.QueueWait))
	d.fact("sessions", "%s, with %s; %s", count(stats.Sessions.Sessions), plural(stats.Sessions.Programs, "program"), plural(stats.Sessions.GlobalPrograms, "global program"))
	return nil
}

func (d *demo) showHealth(ctx context.Context) error {
	d.title("health")
	d.request("health")
	pools, err := d.host.Pools(ctx)
	if err != nil {
		return err
	}
	for _, p := range pools {
		d.fact(p.Name, "%s", strings.Join(append([]string{p.Health.Level}, p.Health.Findings...), "; "))
		if p.Health.Level != "healthy" {
			return shared.Errorf(shared.Internal, "pool %q is not healthy: %s", p.Name, strings.Join(p.Health.Findings, "; "))
		}
	}
	return nil
}

// object checks that an answer is a JSON object.
func object(raw json.RawMessage) error {
	var members map[string]json.RawMessage
	return json.Unmarshal(raw, &members)
}

// writeLogs prints the last lines of what the children said.
func (d *demo) writeLogs() {
	for _, c := range []struct {
		name  string
		child *child
	}{{"the fake LM", d.lm}, {"dspex serve", d.serve}} {
		if c.child != nil {
			fmt.Fprintf(d.cli.stderr, "\nlast lines of %s:\n", c.name)
			c.child.writeTail(d.cli.stderr)
		}
	}
}
