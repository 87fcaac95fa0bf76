package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/dspex/dspex/host/config"
	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/host/internal/pyenv"
	"github.com/dspex/dspex/host/internal/session"
	"github.com/dspex/dspex/host/internal/worker"
	"github.com/dspex/dspex/shared"
)

// maxName is the longest name of a pool, command or session in a call, in bytes.
const maxName = 256

// Options of a host. The zero value is ready to use.
type Options struct {
	// Log defaults to no logging.
	Log hclog.Logger
	// Version is what Stats says. Defaults to "dev".
	Version string
	// OnEvent, unless nil, is subscribed before the first event. See
	// Host.Subscribe.
	OnEvent func(shared.Event)
	// Progress is told of the steps of making a Python environment, which takes
	// seconds the first time. Defaults to logging them.
	Progress func(phase, detail string, elapsed time.Duration)
	// PythonDir is where Python environments are kept, which are immutable and
	// may be shared by hosts. Defaults to $DSPEX_PYTHON_DIR, else the folder
	// python in the data folder.
	PythonDir string
}

// Host is one configuration at work: pools, sessions and programs. Its methods
// may be called concurrently.
type Host struct {
	cfg     *config.Config
	opts    Options
	log     hclog.Logger
	started time.Time
	events  events
	starts  *semaphore.Weighted

	// socketDir is where workers make their sockets; immutable after Start.
	socketDir string
	lock      *dirLock
	sessions  *session.Sessions
	pools     []*Pool // immutable after Start
	byName    map[string]*Pool

	mu    sync.Mutex
	state hostState // guarded by mu
}

// hostState is the life of a host.
type hostState int

const (
	// created: New has returned.
	created hostState = iota
	// running: Start has returned without an error.
	running
	// closed: Close was called, or Start failed.
	closed
)

// New checks a configuration and makes a host of it. Nothing is started or
// written yet.
func New(cfg *config.Config, opts Options) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, shared.Errorf(shared.ConfigInvalid, "check configuration: %w", err)
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	if opts.Version == "" {
		opts.Version = "dev"
	}
	if opts.PythonDir == "" {
		opts.PythonDir = os.Getenv("DSPEX_PYTHON_DIR")
	}
	if opts.PythonDir == "" {
		opts.PythonDir = filepath.Join(cfg.Host.DataDir, "python")
	}
	h := &Host{
		cfg:    cfg,
		opts:   opts,
		log:    opts.Log,
		starts: semaphore.NewWeighted(int64(max(cfg.Host.StartupConcurrency, 1))),
		byName: make(map[string]*Pool),
	}
	if opts.OnEvent != nil {
		h.events.subscribe(opts.OnEvent)
	}
	for _, c := range cfg.Pools {
		p := newPool(h, c)
		h.pools = append(h.pools, p)
		h.byName[c.Name] = p
	}
	return h, nil
}

// Start takes the data folder, opens the store, makes the Python environments,
// and starts the workers of all pools at once. It returns when the workers are
// being started: a pool that fails to start does not fail the host; WaitReady
// tells. A host is started once.
func (h *Host) Start(ctx context.Context) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != created {
		return shared.Errorf(shared.Internal, "start host: it was started or closed before")
	}
	h.started = time.Now()
	defer func() {
		h.state = running
		if err != nil {
			h.state = closed
			h.releaseAll(context.Background())
		}
	}()
	dataDir, err := h.prepareDirs()
	if err != nil {
		return err
	}
	if h.lock, err = lockDir(dataDir, h.cfg.Host.Name); err != nil {
		return err
	}
	if err := h.clearSockets(); err != nil {
		return err
	}
	if h.sessions, err = h.openSessions(); err != nil {
		return err
	}
	envs := make(map[string]*pyenv.Environment)
	for _, p := range h.pools {
		if p.cfg.Enabled && p.runsPrograms() {
			if envs[p.cfg.Name], err = h.environment(ctx, p.cfg); err != nil {
				return fmt.Errorf("prepare pool %q: %w", p.cfg.Name, err)
			}
		}
	}
	if err := h.loadPrograms(ctx); err != nil {
		return err
	}
	for _, p := range h.pools {
		if p.cfg.Enabled {
			h.startPool(p, envs[p.cfg.Name])
		}
	}
	return nil
}

// WaitReady blocks until every enabled pool is ready. It fails when a pool cannot
// become ready, or ctx ends.
func (h *Host) WaitReady(ctx context.Context) error {
	for _, p := range h.pools {
		if err := p.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close takes no more calls, waits for the running ones until ctx ends or
// drain_timeout is over, and ends every worker. No process is left when it
// returns. It may be called more than once, and without Start.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == closed {
		return nil
	}
	h.state = closed
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Host.DrainTimeout)
	defer cancel()
	return h.releaseAll(ctx)
}

// Call runs one command in a pool. Errors are *shared.Error.
func (h *Host) Call(ctx context.Context, req shared.CallRequest) (*shared.CallResult, error) {
	return h.CallStream(ctx, req, nil)
}

// CallStream is Call with chunks and progress, which go to sink in order, on the
// caller's goroutine, before CallStream returns. An error of sink cancels the
// call.
func (h *Host) CallStream(ctx context.Context, req shared.CallRequest, sink func(shared.StreamEvent) error) (*shared.CallResult, error) {
	pool, err := h.Pool(req.Pool)
	if err != nil {
		return nil, err
	}
	if err := pool.check(&req); err != nil {
		return nil, err
	}
	var after func(*shared.CallResult) error
	if pool.runsPrograms() {
		if after, err = h.programCommand(ctx, &req); err != nil {
			return nil, err
		}
	}
	if err := h.enterSession(ctx, &req); err != nil {
		return nil, err
	}
	result, err := pool.run(ctx, &req, sink)
	if err != nil {
		return nil, err
	}
	if after != nil {
		if err := after(result); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// Pool returns a pool by its name.
func (h *Host) Pool(name string) (*Pool, error) {
	if p := h.byName[name]; p != nil {
		return p, nil
	}
	err := shared.Errorf(shared.PoolNotFound, "no pool %q", clip(name, 64))
	if near := nearest(name, h.byName); near != "" {
		return nil, err.WithHint("did you mean %q?", near)
	}
	return nil, err
}

// Pools returns the state of all pools, in the order of the configuration.
func (h *Host) Pools() []shared.PoolStatus {
	all := make([]shared.PoolStatus, len(h.pools))
	for i, p := range h.pools {
		all[i] = p.Status()
	}
	return all
}

// PoolStatus returns the state of one pool.
func (h *Host) PoolStatus(name string) (shared.PoolStatus, error) {
	p, err := h.Pool(name)
	if err != nil {
		return shared.PoolStatus{}, err
	}
	return p.Status(), nil
}

// Workers returns the state of a pool's workers, or of all if pool is empty.
func (h *Host) Workers(pool string) ([]shared.WorkerStatus, error) {
	if pool != "" {
		p, err := h.Pool(pool)
		if err != nil {
			return nil, err
		}
		return p.Workers(), nil
	}
	var all []shared.WorkerStatus
	for _, p := range h.pools {
		all = append(all, p.Workers()...)
	}
	return all, nil
}

// Stats sums up the host.
func (h *Host) Stats() shared.HostStats {
	s := shared.HostStats{
		Version: h.opts.Version, Host: h.cfg.Host.Name, Uptime: time.Since(h.started),
		Pools: make(map[string]shared.PoolStats, len(h.pools)), Sessions: h.sessions.Stats(),
	}
	for _, p := range h.pools {
		s.Pools[p.cfg.Name] = p.Stats()
	}
	return s
}

// Ready reports whether every enabled pool is ready, and if not, why.
func (h *Host) Ready() (bool, string) {
	for _, p := range h.pools {
		if ok, reason := p.Ready(); !ok && p.cfg.Enabled {
			return false, fmt.Sprintf("pool %q: %s", p.cfg.Name, reason)
		}
	}
	return true, ""
}

// Subscribe gives every later event to sink, until the returned function is
// called. The sink runs where the event happens: it must be quick, and must not
// call the host.
func (h *Host) Subscribe(sink func(shared.Event)) (cancel func()) { return h.events.subscribe(sink) }

// prepareDirs makes the folders of the host, and returns the data folder's real
// path.
func (h *Host) prepareDirs() (dataDir string, err error) {
	if err := os.MkdirAll(h.cfg.Host.DataDir, 0o700); err != nil {
		return "", shared.Errorf(shared.StoreFailed, "make data folder: %w", err).WithHint("set host.data_dir or DSPEX_DATA_DIR to a folder that this user can write")
	}
	if dataDir, err = filepath.EvalSymlinks(h.cfg.Host.DataDir); err != nil {
		return "", fmt.Errorf("find data folder: %w", err)
	}
	if err := ownDir(h.cfg.Host.RunDir, 0o755); err != nil {
		return "", err
	}
	// Hosts may share a run folder, so that this one's sockets have a folder named
	// by its data folder, which it alone can have.
	digest := sha256.Sum256([]byte(dataDir))
	h.socketDir = filepath.Join(h.cfg.Host.RunDir, "w-"+hex.EncodeToString(digest[:4]))
	return dataDir, nil
}

// clearSockets makes the folder in which workers make their sockets, and removes
// what a host that was killed has left there. The data folder is locked.
func (h *Host) clearSockets() error {
	if err := ownDir(h.socketDir, 0o700); err != nil {
		return err
	}
	left, err := os.ReadDir(h.socketDir)
	if err != nil {
		return fmt.Errorf("read socket folder: %w", err)
	}
	for _, e := range left {
		if err := os.RemoveAll(filepath.Join(h.socketDir, e.Name())); err != nil {
			return fmt.Errorf("clear socket folder: %w", err)
		}
	}
	return nil
}

func (h *Host) openSessions() (*session.Sessions, error) {
	var store session.Store
	if h.cfg.Store.Engine == "memory" {
		store = session.NewMemory()
	} else {
		bolt, err := session.OpenBolt(h.cfg.Store.Path, session.BoltOptions{})
		if err != nil {
			return nil, err
		}
		store = bolt
	}
	c := h.cfg.Session
	return session.New(store, session.Options{
		DefaultTTL: c.DefaultTTL, MaxTTL: c.MaxTTL, CleanupInterval: c.CleanupInterval, Sliding: c.Sliding,
		MaxCount: c.MaxCount, MaxBytes: int(c.MaxBytes), MaxPrograms: c.MaxPrograms,
		OnEvent: h.events.publish, Log: h.log.Named("session"),
	})
}

// loadPrograms stores the global programs of the configuration. One that is
// there as it is keeps its revision.
func (h *Host) loadPrograms(ctx context.Context) error {
	for _, c := range h.cfg.Programs {
		spec, err := ProgramSpec(c)
		if err != nil {
			return fmt.Errorf("load program %q: %w", c.Name, err)
		}
		if stored, err := h.sessions.GetProgram(ctx, "", c.Name); err == nil && stored.Hash == program.Hash(spec) {
			continue
		}
		if _, _, err := h.sessions.PutProgram(ctx, "", c.Name, spec, nil); err != nil {
			return fmt.Errorf("load program %q: %w", c.Name, err)
		}
	}
	return nil
}

func (h *Host) startPool(p *Pool, env *pyenv.Environment) {
	p.forker = h.newForker(p, env)
	slots := p.cfg.Worker.Concurrency
	for i := range p.cfg.Size {
		id := fmt.Sprintf("%s-%d", p.cfg.Name, i+1)
		p.workers = append(p.workers, worker.New(h.workerOptions(p, id, slots, env)))
	}
}

// enterSession completes the arguments of a call that belongs to a session, and
// keeps that session alive.
func (h *Host) enterSession(ctx context.Context, req *shared.CallRequest) error {
	if req.Session == "" {
		if req.SessionData {
			return shared.Errorf(shared.InvalidArgument, "the call asks for session data and belongs to no session")
		}
		return nil
	}
	if _, err := h.sessions.Ensure(ctx, req.Session); err != nil {
		return err
	}
	members := []jsonx.Member{{Name: "session_id", Value: quote(req.Session)}}
	if req.SessionData {
		s, err := h.sessions.Get(ctx, req.Session)
		if err != nil {
			return err
		}
		members = append(members, jsonx.Member{Name: "session_data", Value: s.Data})
	}
	req.Args = jsonx.InsertMembers(req.Args, members...)
	return nil
}

// releaseAll ends what Start began. It runs with mu held.
func (h *Host) releaseAll(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range h.pools {
		wg.Go(func() { p.close(ctx) })
	}
	wg.Wait()
	var errs []error
	if h.sessions != nil {
		errs = append(errs, h.sessions.Close(context.WithoutCancel(ctx)))
	}
	if h.lock != nil {
		h.lock.release()
		h.lock = nil
	}
	return errors.Join(errs...)
}

// check refuses a call that no worker should see, and completes it.
func (p *Pool) check(req *shared.CallRequest) error {
	switch {
	case !p.cfg.Enabled:
		return shared.Errorf(shared.NotReady, "pool %q is disabled", p.cfg.Name).WithHint("set enabled = true")
	case req.Command == "":
		return shared.Errorf(shared.InvalidArgument, "the call names no command")
	case len(req.Command) > maxName:
		return shared.Errorf(shared.InvalidArgument, "command name of %d bytes is longer than %d", len(req.Command), maxName)
	case req.Timeout < 0:
		return shared.Errorf(shared.InvalidArgument, "timeout %s is negative", req.Timeout)
	}
	if len(req.Args) == 0 {
		req.Args = []byte("{}")
		return nil
	}
	return jsonx.CheckObject("args", req.Args, int(p.cfg.Worker.MaxMessage), jsonx.MaxDepth)
}
