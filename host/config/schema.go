package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Attribute describes one attribute of a block.
type Attribute struct {
	Name string
	// Type as it is called in messages, such as "duration".
	Type string
	// Default as it would be written; empty if there is none to write.
	Default string
	Doc     string
	// Class says what a change costs: L live, W new workers, H new host.
	Class string
	// Required attributes have no default.
	Required bool

	set func(d *decoder, target any, v cty.Value, expr hcl.Expression)
}

// Block describes one kind of block.
type Block struct {
	Type string
	// Labels are what its labels are called.
	Labels     []string
	Doc        string
	Attributes []Attribute
	// Blocks within it.
	Blocks []*Block

	// sub returns the part of the outer block's target that this one fills.
	sub func(target any) any
}

// Reference returns the table of the language, in the order of documentation.
func Reference() []*Block { return append([]*Block{variableBlock, localsBlock}, table...) }

// as makes a typed attribute: at returns where its value goes.
func as[T, V any](name string, k kind[V], def, class, doc string, at func(*T) *V) Attribute {
	return Attribute{
		Name: name, Type: k.name, Default: def, Class: class, Doc: doc,
		set: func(d *decoder, target any, v cty.Value, expr hcl.Expression) {
			if got, ok := k.convert(d, name, v, expr); ok {
				*at(target.(*T)) = got
			}
		},
	}
}

func required(a Attribute) Attribute {
	a.Required = true
	return a
}

func nested[T, S any](blockType, doc string, at func(*T) *S, attributes ...Attribute) *Block {
	return &Block{Type: blockType, Doc: doc, Attributes: attributes, sub: func(target any) any { return at(target.(*T)) }}
}

const (
	live      = "L"
	newWorker = "W"
	newHost   = "H"
)

// variableBlock and localsBlock are evaluated before the rest.
var (
	variableBlock = &Block{Type: "variable", Labels: []string{"name"}, Doc: "an input", Attributes: []Attribute{
		{Name: "type", Type: "a type", Doc: "what a value must be; defaults to anything", Class: live},
		{Name: "default", Type: "any value", Doc: "the value if none is given; without it one must be", Class: live},
		{Name: "description", Type: "text", Default: `""`, Doc: "for people", Class: live},
		{Name: "sensitive", Type: "true or false", Default: "false", Doc: "never print the value", Class: live},
		{Name: "nullable", Type: "true or false", Default: "true", Doc: "null is a value", Class: live},
	}, Blocks: []*Block{validationBlock}}
	validationBlock = &Block{Type: "validation", Doc: "a rule for the value", Attributes: []Attribute{
		{Name: "condition", Type: "true or false", Doc: "true if the value is right", Class: live, Required: true},
		{Name: "error_message", Type: "text", Doc: "what to say if it is not", Class: live, Required: true},
	}}
	localsBlock = &Block{Type: "locals", Doc: "names for values; they may use variables and each other"}
)

// table is the language but for variables and locals.
var table = []*Block{
	{Type: "host", Doc: "the host itself", Attributes: []Attribute{
		as("name", text(), "", newHost, "name of this host; defaults to the machine's", func(h *Host) *string { return &h.Name }),
		as("data_dir", text(), "", newHost, "store, lock and Python environments; DSPEX_DATA_DIR overrides it", func(h *Host) *string { return &h.DataDir }),
		as("run_dir", text(), "", newHost, "sockets; DSPEX_RUN_DIR overrides it", func(h *Host) *string { return &h.RunDir }),
		as("log_level", oneOf("trace", "debug", "info", "warn", "error"), `"info"`, live, "trace, debug, info, warn or error", func(h *Host) *string { return &h.LogLevel }),
		as("log_format", oneOf("auto", "text", "json"), `"auto"`, live, "auto is text on a terminal, else json", func(h *Host) *string { return &h.LogFormat }),
		as("drain_timeout", duration(0), `"30s"`, live, "how long a stop waits for running calls", func(h *Host) *time.Duration { return &h.DrainTimeout }),
		as("startup_concurrency", integer(1, 1024), "host.cpus", live, "worker starts at once, over all pools", func(h *Host) *int { return &h.StartupConcurrency }),
		as("max_workers", integer(0, 1<<20), "0", live, "bound of all pools' sizes together; 0 is none", func(h *Host) *int { return &h.MaxWorkers }),
	}},
	{Type: "listener", Labels: []string{"kind", "name"}, Doc: "where clients reach the host", Attributes: []Attribute{
		as("address", text(), "", newHost, "tcp: loopback address and port", func(l *Listener) *string { return &l.Address }),
		as("path", text(), "", newHost, "unix: path of the socket", func(l *Listener) *string { return &l.Path }),
		as("mode", fileMode(), `"0660"`, newHost, "unix: permissions of the socket", func(l *Listener) *uint32 { return &l.Mode }),
	}},
	{Type: "store", Doc: "where sessions and programs are kept", Attributes: []Attribute{
		as("engine", later(oneOf("bolt", "memory"), "nats"), `"bolt"`, newHost, "bolt survives a restart, memory does not", func(s *Store) *string { return &s.Engine }),
		as("path", text(), "", newHost, "defaults to dspex.db in the data folder", func(s *Store) *string { return &s.Path }),
	}},
	{Type: "session", Doc: "limits of sessions", Attributes: []Attribute{
		as("default_ttl", duration(time.Millisecond), `"1h"`, live, "life of a session after its last use", func(s *Session) *time.Duration { return &s.DefaultTTL }),
		as("max_ttl", duration(time.Millisecond), `"7d"`, live, "longest life that a session may ask for", func(s *Session) *time.Duration { return &s.MaxTTL }),
		as("cleanup_interval", duration(time.Millisecond), `"60s"`, live, "time between two sweeps of expired sessions", func(s *Session) *time.Duration { return &s.CleanupInterval }),
		as("sliding", boolean(), "true", live, "use extends the life of a session", func(s *Session) *bool { return &s.Sliding }),
		as("max_count", integer(1, 1<<30), "100000", live, "sessions at once", func(s *Session) *int { return &s.MaxCount }),
		as("max_bytes", size(1), `"1MiB"`, live, "data of one session", func(s *Session) *int64 { return &s.MaxBytes }),
		as("max_programs", integer(1, 1<<20), "100", live, "programs of one session", func(s *Session) *int { return &s.MaxPrograms }),
	}},
	{Type: "lm", Labels: []string{"name"}, Doc: "a language model", Attributes: []Attribute{
		required(as("model", text(), "", newWorker, "provider/model, as DSPy names it", func(l *LM) *string { return &l.Model })),
		as("api_key", secret(), `""`, newWorker, "goes to workers by RPC, never into their environment", func(l *LM) *Secret { return &l.APIKey }),
		as("api_base", text(), `""`, newWorker, "URL of the API; defaults to the provider's own", func(l *LM) *string { return &l.APIBase }),
		as("model_type", oneOf("chat", "text", "responses"), `"chat"`, newWorker, "chat, text or responses", func(l *LM) *string { return &l.ModelType }),
		as("temperature", optional(ratio(2)), "null", newWorker, "defaults to the model's own", func(l *LM) **float64 { return &l.Temperature }),
		as("max_tokens", optional(integer(1, 1<<30)), "null", newWorker, "defaults to the model's own", func(l *LM) **int { return &l.MaxTokens }),
		as("timeout", duration(time.Millisecond), `"60s"`, newWorker, "of one request", func(l *LM) *time.Duration { return &l.Timeout }),
		as("num_retries", integer(0, 100), "3", newWorker, "of one request", func(l *LM) *int { return &l.NumRetries }),
		as("cache", boolean(), "true", newWorker, "keep answers in the worker's memory", func(l *LM) *bool { return &l.Cache }),
		as("extra", object(), "{}", newWorker, "further arguments of dspy.LM", func(l *LM) *map[string]any { return &l.Extra }),
	}},
	{Type: "defaults", Doc: "what pools have unless they say otherwise", Attributes: poolAttributes, Blocks: poolBlocks},
	{Type: "pool", Labels: []string{"name"}, Doc: "workers of one kind behind one queue", Attributes: poolAttributes, Blocks: poolBlocks},
	{Type: "program", Labels: []string{"name"}, Doc: "a global DSPy program", Attributes: []Attribute{
		required(as("pool", text(), "", live, "pool to run in", func(p *Program) *string { return &p.Pool })),
		required(as("signature", signature(), "", live, `text such as "question -> answer", or an object with inputs and outputs`, func(p *Program) *any { return &p.Signature })),
		as("module", text(), `"Predict"`, live, "Predict or ChainOfThought", func(p *Program) *string { return &p.Module }),
		as("instructions", text(), `""`, live, "what the program shall do", func(p *Program) *string { return &p.Instructions }),
		as("lm", text(), "", live, "an lm block; defaults to the pool's", func(p *Program) *string { return &p.LM }),
		as("config", object(), "{}", live, "settings of each LM call, such as temperature", func(p *Program) *map[string]any { return &p.Config }),
		as("description", text(), `""`, live, "for people", func(p *Program) *string { return &p.Description }),
	}},
}

var poolAttributes = []Attribute{
	as("description", text(), `""`, live, "for people", func(p *Pool) *string { return &p.Description }),
	as("enabled", boolean(), "true", live, "start the pool", func(p *Pool) *bool { return &p.Enabled }),
	as("size", integer(1, 4096), "host.cpus * 2", live, "number of workers", func(p *Pool) *int { return &p.Size }),
	as("min_ready", integer(1, 4096), "1", live, "workers that make the pool ready", func(p *Pool) *int { return &p.MinReady }),
	as("startup_timeout", duration(time.Millisecond), `"30s"`, live, "of one worker, to its first answer", func(p *Pool) *time.Duration { return &p.StartupTimeout }),
	as("startup_concurrency", integer(1, 1024), "host.cpus", live, "starts at once", func(p *Pool) *int { return &p.StartupConcurrency }),
	as("queue_timeout", duration(time.Millisecond), `"5s"`, live, "longest wait for a slot", func(p *Pool) *time.Duration { return &p.QueueTimeout }),
	as("execution_timeout", duration(time.Millisecond), `"30s"`, live, "of a call that asks for none, its wait included", func(p *Pool) *time.Duration { return &p.ExecutionTimeout }),
	as("cancel_grace", duration(time.Millisecond), `"2s"`, live, "for a worker to end a cancelled call before it is replaced", func(p *Pool) *time.Duration { return &p.CancelGrace }),
	as("launch", oneOf("fork", "exec"), `"fork"`, newWorker, "fork: from a fork server that has imported everything once; exec: each worker by itself", func(p *Pool) *string { return &p.Launch }),
	as("module", text(), `""`, newWorker, "Python module with the pool's own commands", func(p *Pool) *string { return &p.Module }),
	as("command", texts(), "[]", newWorker, "a go-plugin program and its arguments, in place of Python", func(p *Pool) *[]string { return &p.Command }),
	as("lm", text(), `""`, newWorker, "an lm block, for the pool's programs", func(p *Pool) *string { return &p.LM }),
	as("env", textMap(), "{}", newWorker, "set in the workers' environment", func(p *Pool) *map[string]string { return &p.Env }),
	as("inherit_env", texts(), "", newWorker, "variables of the host that workers get; defaults to PATH, locale, time zone, proxies", func(p *Pool) *[]string { return &p.InheritEnv }),
	as("labels", textMap(), "{}", live, "for people and tools", func(p *Pool) *map[string]string { return &p.Labels }),
	as("cwd", text(), `""`, newWorker, "working folder of the workers", func(p *Pool) *string { return &p.Cwd }),
}

var poolBlocks = []*Block{
	nested("python", "the interpreter and its packages", func(p *Pool) *Python { return &p.Python },
		as("interpreter", text(), `""`, newWorker, "one that has the packages already; empty: dspex makes an environment", func(p *Python) *string { return &p.Interpreter }),
		as("version", text(), `">=3.10,<3.15"`, newWorker, "what the interpreter must be", func(p *Python) *string { return &p.Version }),
		as("requirements", text(), `""`, newWorker, "a lock file; empty: the one that comes with dspex", func(p *Python) *string { return &p.Requirements }),
		as("hashes", boolean(), "true", newWorker, "require a hash for each package", func(p *Python) *bool { return &p.Hashes }),
		as("path", texts(), "[]", newWorker, "folders for imports, relative to this file", func(p *Python) *[]string { return &p.Path }),
		as("offline", boolean(), "false", newWorker, "download nothing", func(p *Python) *bool { return &p.Offline }),
		as("pth", boolean(), "false", newWorker, "let .pth files of the environment run", func(p *Python) *bool { return &p.PTH }),
	),
	nested("worker", "each worker process", func(p *Pool) *Worker { return &p.Worker },
		as("concurrency", integer(1, 1024), "32", newWorker, "calls at once", func(w *Worker) *int { return &w.Concurrency }),
		as("preload", texts(), "[]", newWorker, "modules to import before the worker is ready", func(w *Worker) *[]string { return &w.Preload }),
		as("max_message", size(1<<10), `"64MiB"`, newWorker, "largest arguments or result of a call", func(w *Worker) *int64 { return &w.MaxMessage }),
	),
	nested("queue", "calls that wait for a slot", func(p *Pool) *Queue { return &p.Queue },
		as("capacity", integer(0, 1<<20), "1000", live, "calls that may wait; more are refused", func(q *Queue) *int { return &q.Capacity }),
		as("order", later(oneOf("fifo"), "lifo_on_overload", "fair"), `"fifo"`, live, "fifo", func(q *Queue) *string { return &q.Order }),
	),
	nested("scheduler", "the choice of a worker", func(p *Pool) *Scheduler { return &p.Scheduler },
		as("strategy", later(oneOf("least_busy"), "weighted_round_robin", "least_latency", "p2c", "random"), `"least_busy"`, live, "least_busy: most free slots", func(s *Scheduler) *string { return &s.Strategy }),
		as("tie", oneOf("oldest_idle", "newest_idle"), `"oldest_idle"`, live, "among equally free workers", func(s *Scheduler) *string { return &s.Tie }),
	),
	nested("health", "when a worker counts as unhealthy, and a pool", func(p *Pool) *Health { return &p.Health },
		as("interval", duration(10*time.Millisecond), `"5s"`, live, "between two checks of a worker", func(h *Health) *time.Duration { return &h.Interval }),
		as("timeout", duration(time.Millisecond), `"2s"`, live, "of a check", func(h *Health) *time.Duration { return &h.Timeout }),
		as("fail_after", integer(1, 1000), "3", live, "failed checks in a row, the worker is replaced", func(h *Health) *int { return &h.FailAfter }),
		as("max_error_rate", ratio(1), "0.05", live, "of the last minute; above it the pool's health is an error", func(h *Health) *float64 { return &h.MaxErrorRate }),
		as("warn_queue_timeouts", integer(0, 1<<30), "1", live, "in the last minute, for a warning; 0 is never", func(h *Health) *int { return &h.WarnQueueTimeouts }),
	),
	nested("restart", "what follows the end of a worker's process", func(p *Pool) *Restart { return &p.Restart },
		as("mode", restartMode(), `"always"`, live, "always (permanent), on_failure (transient) or never (temporary)", func(r *Restart) *string { return &r.Mode }),
		as("backoff", duration(time.Millisecond), `"200ms"`, live, "before the first restart of a worker that keeps failing; doubles", func(r *Restart) *time.Duration { return &r.Backoff }),
		as("max_backoff", duration(time.Millisecond), `"30s"`, live, "its bound", func(r *Restart) *time.Duration { return &r.MaxBackoff }),
		as("intensity", integer(0, 1<<20), "5", live, "restarts of the pool within intensity_in; more make it degraded", func(r *Restart) *int { return &r.Intensity }),
		as("intensity_in", duration(time.Millisecond), `"60s"`, live, "see intensity", func(r *Restart) *time.Duration { return &r.IntensityIn }),
	),
	nested("recycle", "when a worker that is well gets a new process; the new one starts first", func(p *Pool) *Recycle { return &p.Recycle },
		as("max_requests", integer(0, 1<<30), "0", live, "0 is off", func(r *Recycle) *int { return &r.MaxRequests }),
		as("max_age", duration(0), `"0s"`, live, "0s is off", func(r *Recycle) *time.Duration { return &r.MaxAge }),
		as("max_rss", size(0), `"0"`, live, "resident memory; 0 is off", func(r *Recycle) *int64 { return &r.MaxRSS }),
		as("jitter", ratio(1), "0.1", live, "spreads the limits by this share", func(r *Recycle) *float64 { return &r.Jitter }),
	),
}

// unsupported are names of the language that this version does not have, by the type
// of the block around them.
var unsupported = map[string][]string{
	"": {"dspex", "auth", "telemetry", "cluster", "route", "tool"},
	"host": {
		"on_exit", "orphans", "orphan_grace", "event_buffer",
	},
	"listener": {"group", "allow_uids", "serve", "tls"},
	"store":    {"fsync", "group_window", "max_size"},
	"session":  {"degraded"},
	"lm":       {"requests_per_minute", "tokens_per_minute"},
	"pool": {
		"plugin", "affinity", "autoscale", "breaker", "retry", "hedge", "rate_limit", "resources", "stream", "logs", "update",
	},
	"defaults": {
		"plugin", "affinity", "autoscale", "breaker", "retry", "hedge", "rate_limit", "resources", "stream", "logs", "update",
	},
	"python":    {"packages", "index_url", "find_links", "isolated", "flags", "gc_freeze"},
	"worker":    {"protocol_version"},
	"queue":     {"fair_key", "overflow", "priorities", "codel_target"},
	"scheduler": {"warm_penalty"},
	"health":    {"hung_after", "on_unhealthy"},
	"recycle":   {"max_idle"},
	"program":   {"demos", "state", "inputs", "outputs", "entry"},
}
