package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/host/internal/proc"
	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/host/internal/pyenv"
	"github.com/dspex/dspex/host/internal/worker"
	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// ProgramSpec checks the definition of a `program` block.
func ProgramSpec(c config.Program) (shared.ProgramSpec, error) {
	fields := map[string]any{"pool": c.Pool, "signature": c.Signature, "module": c.Module}
	if c.Instructions != "" {
		fields["instructions"] = c.Instructions
	}
	if c.LM != "" {
		fields["lm"] = c.LM
	}
	if len(c.Config) > 0 {
		fields["config"] = c.Config
	}
	if c.Description != "" {
		fields["description"] = c.Description
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return shared.ProgramSpec{}, fmt.Errorf("encode program: %w", err)
	}
	return program.ParseSpec(raw)
}

// runsPrograms reports whether the pool's workers are Python workers of dspex,
// which have the program commands.
func (p *Pool) runsPrograms() bool { return len(p.cfg.Command) == 0 }

// environment makes, or finds, the Python environment of a pool.
func (h *Host) environment(ctx context.Context, c config.Pool) (*pyenv.Environment, error) {
	var lock []byte
	if c.Python.Requirements != "" {
		var err error
		if lock, err = os.ReadFile(c.Python.Requirements); err != nil {
			return nil, shared.Errorf(shared.PythonEnvironment, "read requirements: %w", err)
		}
	}
	modules := []string{"grpc", "google.protobuf"}
	if c.LM != "" {
		modules = append(modules, "dspy")
	}
	progress := h.opts.Progress
	if progress == nil {
		progress = func(phase, detail string, elapsed time.Duration) {
			h.log.Info("python environment", "phase", phase, "detail", detail, "elapsed", elapsed)
		}
	}
	return pyenv.Ensure(ctx, pyenv.Options{
		Dir:          h.opts.PythonDir,
		Interpreter:  c.Python.Interpreter,
		Version:      c.Python.Version,
		Requirements: lock,
		Hashes:       c.Python.Hashes,
		Offline:      c.Python.Offline,
		Path:         c.Python.Path,
		PTH:          c.Python.PTH,
		Modules:      modules,
		Progress:     func(s pyenv.Step) { progress(s.Phase, s.Detail, s.Elapsed) },
		Log:          h.log.Named("python"),
	})
}

// workerOptions says how a worker of the pool is started.
func (h *Host) workerOptions(p *Pool, id string, slots int, env *pyenv.Environment) worker.Options {
	c := p.cfg
	opts := worker.Options{
		ID:             id,
		Pool:           c.Name,
		Spec:           proc.Spec{Argv: c.Command, Env: h.workerEnv(c), Dir: c.Cwd},
		SocketDir:      h.socketDir,
		Launcher:       proc.Exec{},
		StartupTimeout: c.StartupTimeout,
		MaxMessage:     int(c.Worker.MaxMessage),
		Slots:          slots,
		DrainTimeout:   c.ExecutionTimeout + c.CancelGrace,
		Health:         worker.Health{Interval: c.Health.Interval, Timeout: c.Health.Timeout, FailAfter: c.Health.FailAfter},
		Restart:        worker.Restart{Mode: restartMode(c.Restart.Mode), Backoff: c.Restart.Backoff, MaxBackoff: c.Restart.MaxBackoff},
		Recycle: worker.Recycle{
			MaxRequests: int64(c.Recycle.MaxRequests), MaxAge: c.Recycle.MaxAge,
			MaxRSS: uint64(c.Recycle.MaxRSS), Jitter: c.Recycle.Jitter,
		},
		Owner: owner{p},
		Log:   p.log.Named(id),
	}
	if env != nil {
		opts.Spec.Argv = env.Args
		opts.Spec.Env = append(opts.Spec.Env, h.pythonEnv(c, env)...)
		if p.forker != nil {
			opts.Launcher = p.forker
		}
		opts.LanguageModels, opts.DefaultLanguageModel = h.languageModels(c)
	}
	return opts
}

// newForker returns the launcher of a pool whose workers are forked, or nil. The
// fork server is a program like the workers, with the same imports.
func (h *Host) newForker(p *Pool, env *pyenv.Environment) *proc.Forker {
	if env == nil || p.cfg.Launch != "fork" {
		return nil
	}
	cookie := shared.Handshake()
	spec := proc.Spec{
		Name: p.cfg.Name + "-fork-server",
		Argv: append(env.Args[:len(env.Args):len(env.Args)], "--fork-server"),
		Env:  append(append(h.workerEnv(p.cfg), h.pythonEnv(p.cfg, env)...), cookie.MagicCookieKey+"="+cookie.MagicCookieValue),
		Dir:  p.cfg.Cwd,
		Log:  p.log.Named("fork-server"),
	}
	return proc.NewForker(spec, p.cfg.StartupTimeout, p.log)
}

// workerEnv is the environment of every worker: what the pool lets through, what
// it sets, and nothing else of the host's.
func (h *Host) workerEnv(c config.Pool) []string {
	set := make(map[string]string)
	for _, name := range c.InheritEnv {
		if v, ok := os.LookupEnv(name); ok {
			set[name] = v
		}
	}
	for k, v := range c.Env {
		set[k] = v
	}
	set["DSPEX_MAX_MESSAGE"] = fmt.Sprint(c.Worker.MaxMessage)
	env := make([]string, 0, len(set))
	for k, v := range set {
		env = append(env, k+"="+v)
	}
	sort.Strings(env)
	return env
}

// pythonEnv is what a Python worker needs beside. A pool's own env wins, since
// it is set later.
func (h *Host) pythonEnv(c config.Pool, env *pyenv.Environment) []string {
	preload := c.Worker.Preload
	if c.LM != "" {
		preload = append([]string{"dspy"}, preload...)
	}
	defaults := [][2]string{
		// Eight workers on two cores need no thread pool each.
		{"OMP_NUM_THREADS", "1"},
		{"OPENBLAS_NUM_THREADS", "1"},
		{"MKL_NUM_THREADS", "1"},
		// Without it the first priced call fetches a price list, for up to 5 s.
		{"LITELLM_LOCAL_MODEL_COST_MAP", "true"},
		{"DSPY_CACHEDIR", filepath.Join(h.cfg.Host.DataDir, "dspy", c.Name)},
		{"GRPC_ENABLE_FORK_SUPPORT", "0"},
		{"DSPEX_PYTHONPATH", strings.Join(env.PythonPath, string(os.PathListSeparator))},
		{"DSPEX_MODULE", c.Module},
		{"DSPEX_PRELOAD", strings.Join(preload, ",")},
	}
	var out []string
	for _, kv := range defaults {
		if _, own := c.Env[kv[0]]; !own && kv[1] != "" {
			out = append(out, kv[0]+"="+kv[1])
		}
	}
	return out
}

// languageModels are the ones that a pool's workers may use: all, if the pool has
// one, since a program may name another.
func (h *Host) languageModels(c config.Pool) (models []*workerv1.LanguageModel, name string) {
	if c.LM == "" {
		return nil, ""
	}
	for _, lm := range h.cfg.LMs {
		m := &workerv1.LanguageModel{
			Name: lm.Name, Model: lm.Model, ModelType: lm.ModelType, ApiKey: lm.APIKey.Reveal(), ApiBase: lm.APIBase,
			Temperature: lm.Temperature, TimeoutMs: uint32(lm.Timeout.Milliseconds()), NumRetries: uint32(lm.NumRetries),
			Cache: lm.Cache,
		}
		if lm.MaxTokens != nil {
			n := uint32(*lm.MaxTokens)
			m.MaxTokens = &n
		}
		if len(lm.Extra) > 0 {
			m.Extra, _ = json.Marshal(lm.Extra) // values that HCL gave always encode
		}
		models = append(models, m)
	}
	sort.Slice(models, func(i, j int) bool { return models[i].Name < models[j].Name })
	return models, c.LM
}

func restartMode(mode string) worker.RestartMode {
	switch mode {
	case "on_failure":
		return worker.OnFailure
	case "never":
		return worker.Never
	}
	return worker.Always
}
