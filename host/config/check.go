package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dspex/dspex/shared"
)

const (
	defaultLMTimeout = time.Minute
	// maxSocketPath is the longest path of a unix socket on Linux, in bytes.
	maxSocketPath = 107
	// workerSocket is what a worker's socket adds to the run folder's path.
	workerSocket = len("/w-00000000/plugin-dir0000000000/worker-0000000.sock")
)

// Validate checks a configuration that was made in Go. One that was loaded is
// valid.
func (c *Config) Validate() error {
	if len(c.Pools) == 0 {
		return errors.New("the configuration has no pool")
	}
	seen := make(map[string]bool)
	for _, p := range c.Pools {
		switch {
		case !nameRule.MatchString(p.Name):
			return fmt.Errorf("pool name %q does not match %s", clip(p.Name), nameRule)
		case seen[p.Name]:
			return fmt.Errorf("there are two pools %q", p.Name)
		case p.Size < 1 || p.MinReady < 1 || p.Worker.Concurrency < 1:
			return fmt.Errorf("pool %q: size, min_ready and worker.concurrency are at least 1", p.Name)
		case p.MinReady > p.Size:
			return fmt.Errorf("pool %q: min_ready %d is more than size %d", p.Name, p.MinReady, p.Size)
		case p.ExecutionTimeout <= 0 || p.QueueTimeout <= 0 || p.StartupTimeout <= 0 || p.Health.Interval <= 0 || p.Health.Timeout <= 0 || p.Health.FailAfter < 1:
			return fmt.Errorf("pool %q: timeouts and health limits must be positive; begin with DefaultPool", p.Name)
		case p.LM != "" && c.LMs[p.LM].Model == "":
			return fmt.Errorf("pool %q: there is no lm %q", p.Name, p.LM)
		}
		seen[p.Name] = true
	}
	for _, p := range c.Programs {
		if !seen[p.Pool] {
			return fmt.Errorf("program %q: there is no pool %q", p.Name, p.Pool)
		}
	}
	return nil
}

// check applies the rules over several blocks.
func (l *loader) check(c *Config) {
	if n := len(c.Host.RunDir) + workerSocket; n > maxSocketPath {
		diag := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Path too long", Detail: fmt.Sprintf("host.run_dir %q is too long: with a worker's socket in it the path has %d bytes, and a socket's may have %d. Set a shorter run_dir, or DSPEX_RUN_DIR.", c.Host.RunDir, n, maxSocketPath)}
		if at, ok := l.d.place(&c.Host, "run_dir"); ok {
			diag.Subject = at.Ptr()
		}
		l.d.add(diag)
	}
	taken := make(map[string]string)
	for _, listener := range c.Listeners {
		at := listener.Path + listener.Address
		if other := taken[at]; other != "" && !strings.HasSuffix(at, ":0") && at != "" {
			l.fail("Address taken", "The listeners %q and %q are both at %s.", other, listener.Name, clip(at))
		}
		taken[at] = listener.Name
	}
	total := 0
	for _, p := range c.Pools {
		if p.Enabled {
			total += p.Size
		}
	}
	if limit := c.Host.MaxWorkers; limit > 0 && total > limit {
		at, ok := l.d.place(&c.Host, "max_workers")
		diag := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Too many workers", Detail: fmt.Sprintf("The pools have %d workers together; host.max_workers allows %d.", total, limit)}
		if ok {
			diag.Subject = at.Ptr()
		}
		l.d.add(diag)
	}
}

func (l *loader) checkListener(listener *Listener, source *hclsyntax.Block) {
	switch listener.Kind {
	case "tcp":
		at, ok := l.d.place(listener, "address")
		if !ok {
			if _, given := source.Body.Attributes["address"]; !given {
				l.d.errorf(source.DefRange(), "Missing argument", `%s needs "address", such as "127.0.0.1:4680".`, title(source))
			}
			return
		}
		if problem := checkLoopback(listener.Address); problem != "" {
			l.d.errorf(at, "Bad address", "%s", problem)
		}
	case "unix":
		if at, ok := l.d.place(listener, "path"); ok {
			listener.Path = resolve(listener.Path, at)
			if n := len(listener.Path); n > maxSocketPath {
				l.d.errorf(at, "Path too long", "The path of a socket has at most %d bytes, and this one %d.", maxSocketPath, n)
			}
		}
	default:
		l.d.errorf(source.LabelRanges[0], "Unknown listener", `A listener is "tcp" or "unix", not %q.`, listener.Kind)
		return
	}
	for _, rule := range [][2]string{{"address", "tcp"}, {"path", "unix"}, {"mode", "unix"}} {
		if at, ok := l.d.place(listener, rule[0]); ok && rule[1] != listener.Kind {
			l.d.errorf(at, "Wrong argument", "%q belongs to a %s listener.", rule[0], rule[1])
		}
	}
}

// checkLoopback says what is wrong with a listener's address.
func checkLoopback(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("%q is no address such as \"127.0.0.1:4680\".", clip(address))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Sprintf("%q is no port.", clip(port))
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Sprintf("%q is not a loopback address. This version has neither TLS nor authentication, so it listens on 127.0.0.1, [::1] or localhost only; put a proxy that has them in front.", clip(host))
	}
	return ""
}

func (l *loader) checkSession(s *Session) {
	if s.DefaultTTL > s.MaxTTL {
		l.across(s, "default_ttl", "max_ttl", fmt.Sprintf("default_ttl %s is longer than max_ttl %s.", s.DefaultTTL, s.MaxTTL))
	}
}

// across reports a contradiction between two attributes, pointing at both.
func (l *loader) across(target any, a, b, detail string) {
	at, okA := l.d.place(target, a)
	other, okB := l.d.place(target, b)
	if !okA {
		at = other
	}
	diag := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Contradiction", Detail: detail, Subject: at.Ptr()}
	if okA && okB {
		diag.Detail += fmt.Sprintf(" The other stands at %s.", other)
		context := hcl.RangeBetween(at, other)
		if other.Start.Byte < at.Start.Byte {
			context = hcl.RangeBetween(other, at)
		}
		if context.Filename == at.Filename && context.End.Line-context.Start.Line < 10 {
			diag.Context = &context
		}
	}
	l.d.add(diag)
}

func (l *loader) checkPool(p *Pool, source *hclsyntax.Block) {
	if p.MinReady > p.Size {
		l.across(p, "min_ready", "size", fmt.Sprintf("min_ready %d is more than size %d: the pool would never be ready.", p.MinReady, p.Size))
	}
	if p.Restart.Backoff > p.Restart.MaxBackoff {
		l.across(&p.Restart, "backoff", "max_backoff", fmt.Sprintf("backoff %s is longer than max_backoff %s.", p.Restart.Backoff, p.Restart.MaxBackoff))
	}
	if p.Health.Timeout > p.Health.Interval {
		l.across(&p.Health, "timeout", "interval", fmt.Sprintf("timeout %s is longer than interval %s.", p.Health.Timeout, p.Health.Interval))
	}
	own := source.Body
	if own.Attributes["command"] == nil && own.Attributes["module"] != nil {
		p.Command = nil // the pool's own module goes before a command of defaults
	}
	if len(p.Command) > 0 {
		at, _ := l.d.place(p, "command")
		l.checkCommand(p, own, at)
		if name := p.Command[0]; filepath.Base(name) != name {
			p.Command[0] = l.path(name, at, false)
		}
	}
	if at, ok := l.d.place(p, "module"); ok && !moduleRule.MatchString(p.Module) && p.Module != "" {
		l.d.errorf(at, "Bad module", "%q is no Python module such as \"acme.workers.qa\".", clip(p.Module))
	}
	for _, m := range p.Worker.Preload {
		if at, ok := l.d.place(&p.Worker, "preload"); ok && !moduleRule.MatchString(m) {
			l.d.errorf(at, "Bad module", "%q is no Python module.", clip(m))
		}
	}
	if at, ok := l.d.place(p, "cwd"); ok {
		p.Cwd = l.path(p.Cwd, at, true)
	}
	if at, ok := l.d.place(&p.Python, "interpreter"); ok {
		p.Python.Interpreter = l.interpreter(p.Python.Interpreter, at)
	}
	if at, ok := l.d.place(&p.Python, "requirements"); ok {
		p.Python.Requirements = l.path(p.Python.Requirements, at, false)
	}
	if at, ok := l.d.place(&p.Python, "path"); ok {
		for i, path := range p.Python.Path {
			p.Python.Path[i] = l.path(path, at, true)
		}
	}
}

// interpreter is a path as any other, or a name to look up in PATH.
func (l *loader) interpreter(name string, at hcl.Range) string {
	if name == "" || strings.ContainsRune(name, filepath.Separator) || strings.HasPrefix(name, "~") {
		return l.path(name, at, false)
	}
	if l.opts.NoFS {
		return name
	}
	if _, err := exec.LookPath(name); err != nil {
		l.d.errorf(at, "File not found", "There is no %s in PATH. For a file beside this one write \"./%s\".", clip(name), clip(name))
	}
	return name
}

// checkCommand refuses what a pool with a command cannot have. What it has from
// defaults alone is for Python pools, and dropped.
func (l *loader) checkCommand(p *Pool, own *hclsyntax.Body, at hcl.Range) {
	if own.Attributes["module"] != nil {
		l.across(p, "module", "command", "A pool has either command or module: a command's program brings its own.")
	}
	if own.Attributes["lm"] != nil && p.LM != "" {
		l.across(p, "lm", "command", "lm is for Python workers; a pool with command has none.")
	}
	for _, b := range own.Blocks {
		switch {
		case b.Type == "python":
			l.d.errorf(b.DefRange(), "Contradiction", "A pool has either command or python. The command stands at %s.", at)
		case b.Type == "worker" && b.Body.Attributes["preload"] != nil && len(p.Worker.Preload) > 0:
			l.d.errorf(b.Body.Attributes["preload"].NameRange, "Contradiction", "preload is for Python workers; a pool with command has none. The command stands at %s.", at)
		}
	}
	fresh := DefaultPool(p.Name)
	p.Module, p.LM, p.Python, p.Worker.Preload = "", "", fresh.Python, nil
	for _, name := range []string{"interpreter", "requirements", "path"} {
		delete(l.d.places[&p.Python], name)
	}
	delete(l.d.places[p], "module")
}

// path makes a path absolute and checks that something is there.
func (l *loader) path(path string, at hcl.Range, folder bool) string {
	abs := resolve(path, at)
	if l.opts.NoFS || abs == "" {
		return abs
	}
	info, err := os.Stat(abs)
	switch {
	case err != nil:
		l.d.errorf(at, "File not found", "%s is not there or cannot be read. Paths are relative to the file that they stand in.", abs)
	case folder && !info.IsDir():
		l.d.errorf(at, "Not a folder", "%s is a file, and should be a folder.", abs)
	case !folder && info.IsDir():
		l.d.errorf(at, "Not a file", "%s is a folder, and should be a file.", abs)
	}
	return abs
}

func (l *loader) checkProgram(p *Program) {
	at, ok := l.d.place(p, "signature")
	if !ok || p.Signature == nil || l.opts.CheckProgram == nil {
		return
	}
	if err := l.opts.CheckProgram(*p); err != nil {
		e := shared.AsError(err)
		detail := e.Message + "."
		if e.Hint != "" {
			detail += " " + e.Hint
		}
		l.d.errorf(at, "Bad program", "%s", detail)
	}
}

// checkReferences checks that what blocks name is there.
func (l *loader) checkReferences(c *Config) {
	lms := make([]string, 0, len(c.LMs))
	for name := range c.LMs {
		lms = append(lms, name)
	}
	sort.Strings(lms)
	pools := make([]string, 0, len(c.Pools))
	python := make(map[string]bool)
	for _, p := range c.Pools {
		pools = append(pools, p.Name)
		python[p.Name] = len(p.Command) == 0
	}
	refer := func(source *hclsyntax.Block, attr, what string, known []string) {
		a := source.Body.Attributes[attr]
		if a == nil {
			return
		}
		v, diags := l.d.scope.eval(a.Expr, inBody)
		v, marks := v.UnmarkDeep()
		if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type().FriendlyName() != "string" {
			return // reported where it was read
		}
		name := v.AsString()
		for _, k := range known {
			if k == name {
				if what == "pool" && !python[name] {
					l.d.errorf(a.Expr.Range(), "Wrong pool", "Pool %q has a command and runs no programs.", name)
				}
				return
			}
		}
		switch {
		case name == "":
		case len(marks) > 0:
			l.d.errorf(a.Expr.Range(), "Unknown "+what, "There is no such %s; its name is sensitive, and not shown.", what)
		case l.d.full():
			l.d.omitted++
		default:
			l.d.errorf(a.Expr.Range(), "Unknown "+what, "There is no %s %q%s", what, clip(name), didYouMean(name, known))
		}
	}
	for _, source := range l.blocks {
		switch source.Type {
		case "pool", "defaults":
			refer(source, "lm", "lm", lms)
		case "program":
			refer(source, "lm", "lm", lms)
			refer(source, "pool", "pool", pools)
		}
	}
}
