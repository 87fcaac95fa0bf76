package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	// maxFile is the largest configuration file in bytes.
	maxFile = 1 << 20
	// maxNesting is how deep brackets and blocks may nest: the parser recurses
	// over them.
	maxNesting = 100
	// maxPools is how many pools a configuration may have: each has processes.
	maxPools = 1000
)

// Options say what to load.
type Options struct {
	// Paths of files, and of folders whose *.hcl files are read in the order of
	// their names.
	Paths []string
	// Vars are variables as name=value. They win over everything else.
	Vars []string
	// VarFiles are files of variables, the later winning. They win over
	// DSPEX_VAR_name in the environment, that one over *.auto.dspexvars beside the
	// configuration, and that one over a variable's default.
	VarFiles []string
	// Env looks up environment variables. Defaults to os.LookupEnv.
	Env func(string) (string, bool)
	// NoFS refuses the functions that read files, and skips checks for files.
	NoFS bool
	// CheckProgram, unless nil, is called for each program; its error becomes a
	// diagnostic at the program's signature.
	CheckProgram func(Program) error
}

// Load reads a configuration. The Config is nil if the diagnostics have errors.
// The files are for printing diagnostics.
func Load(opts Options) (*Config, hcl.Diagnostics, map[string]*hcl.File) {
	l := newLoader(opts)
	for _, path := range opts.Paths {
		l.read(path)
	}
	return l.finish()
}

// Parse is Load for a text that is already in memory.
func Parse(src []byte, filename string, opts Options) (*Config, hcl.Diagnostics, map[string]*hcl.File) {
	l := newLoader(opts)
	l.parse(src, filename)
	return l.finish()
}

// loader reads files into one configuration.
type loader struct {
	opts   Options
	parser *hclparse.Parser
	d      *decoder
	files  []string
	blocks []*hclsyntax.Block
	// broken says that a file could not be read: what follows would mislead.
	broken bool
}

func newLoader(opts Options) *loader {
	if opts.Env == nil {
		opts.Env = os.LookupEnv
	}
	return &loader{opts: opts, parser: hclparse.NewParser(), d: &decoder{places: make(map[any]map[string]hcl.Range)}}
}

// fail reports what has no place in a source.
func (l *loader) fail(summary, format string, args ...any) {
	l.d.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...)})
}

func (l *loader) read(path string) {
	info, err := os.Stat(path)
	if err != nil {
		l.broken = true
		l.fail("Cannot read configuration", "%v.", err)
		return
	}
	if !info.IsDir() {
		l.readFile(path)
		return
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		l.broken = true
		l.fail("Cannot read configuration", "%v.", err)
		return
	}
	found := false
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() && !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".hcl.json")) {
			found = true
			l.readFile(filepath.Join(path, name))
		}
	}
	if !found {
		l.broken = true
		l.fail("Cannot read configuration", "The folder %s has no *.hcl or *.hcl.json file.", path)
	}
}

func (l *loader) readFile(path string) {
	path = filepath.Clean(path)
	if slices.Contains(l.files, path) {
		return // given twice
	}
	src, err := readLimited(path)
	if err != nil {
		l.broken = true
		l.fail("Cannot read configuration", "%v.", err)
		return
	}
	l.parse(src, path)
}

// parse adds a file's blocks to the configuration.
func (l *loader) parse(src []byte, filename string) {
	l.files = append(l.files, filename)
	file, diags := l.parseFile(src, filename)
	if l.d.keep(diags); file == nil || diags.HasErrors() {
		l.broken = true
		return
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		j := &jsonSource{}
		body = j.body(file.Body, top())
		l.d.keep(j.diags)
	}
	for _, attr := range sorted(body.Attributes) {
		l.d.unknown(top(), attr.Name, "argument", attr.NameRange)
	}
	l.blocks = append(l.blocks, body.Blocks...)
}

// parseFile parses a file in either syntax, unless it is not safe to.
func (l *loader) parseFile(src []byte, filename string) (*hcl.File, hcl.Diagnostics) {
	bad := &hcl.Diagnostic{Severity: hcl.DiagError}
	if len(src) > maxFile {
		bad.Summary, bad.Detail = "File too large", fmt.Sprintf("%s has more than %d bytes, the most that a file may have.", filename, maxFile)
		return nil, hcl.Diagnostics{bad}
	}
	if isJSON(filename) {
		if tooDeepJSON(src) {
			bad.Summary, bad.Detail = "Nested too deep", fmt.Sprintf("%s nests more than %d deep.", filename, maxNesting)
			return nil, hcl.Diagnostics{bad}
		}
		return l.parser.ParseJSON(src, filename)
	}
	if at, deep := tooDeep(src, filename); deep {
		return nil, deepDiagnostics(at)
	}
	return l.parser.ParseHCL(src, filename)
}

func deepDiagnostics(at hcl.Range) hcl.Diagnostics {
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Nested too deep", Subject: &at,
		Detail: fmt.Sprintf("Brackets and blocks nest at most %d deep, and an expression chains at most %d parts.", maxNesting, maxChain),
	}}
}

// readLimited reads a file that may be a pipe, but no more than a file may have
// and one byte.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return src, nil
}

func isJSON(filename string) bool { return strings.HasSuffix(filename, ".json") }

// top is the file as a block, for messages.
func top() *Block {
	return &Block{Blocks: append([]*Block{variableBlock, localsBlock}, table...)}
}

func (l *loader) finish() (*Config, hcl.Diagnostics, map[string]*hcl.File) {
	if l.broken {
		return nil, l.d.report(l.files), l.parser.Files()
	}
	if n := countBlocks(l.blocks, "pool"); n > maxPools {
		l.fail("Too many pools", "The configuration has %d pools, and may have %d.", n, maxPools)
		return nil, l.d.report(l.files), l.parser.Files()
	} else if n == 0 {
		l.fail("No pool", `The configuration has no pool. The smallest is: pool "echo" {}`)
	}
	l.d.scope = newScope(l)
	c := defaultConfig(l.opts.Env)
	c.Files, c.Listeners, c.Store.Path = l.files, nil, ""
	l.decode(c)
	l.resolveHost(c)
	c.complete()
	l.check(c)
	if l.d.diags.HasErrors() {
		return nil, l.d.report(l.files), l.parser.Files()
	}
	return c, l.d.report(l.files), l.parser.Files()
}

// resolveHost completes the folders: the environment's go before the file's.
func (l *loader) resolveHost(c *Config) {
	for name, at := range map[string]*string{"data_dir": &c.Host.DataDir, "run_dir": &c.Host.RunDir} {
		if place, ok := l.d.place(&c.Host, name); ok {
			*at = resolve(*at, place)
		}
		if v, ok := l.opts.Env("DSPEX_" + strings.ToUpper(name)); ok && v != "" {
			if abs, err := filepath.Abs(v); err == nil {
				v = abs
			}
			*at = v
			delete(l.d.places[&c.Host], name) // messages must not point at the file
		}
	}
	if place, ok := l.d.place(&c.Store, "path"); ok {
		c.Store.Path = resolve(c.Store.Path, place)
	}
}

func countBlocks(blocks []*hclsyntax.Block, blockType string) int {
	n := 0
	for _, b := range blocks {
		if b.Type == blockType {
			n++
		}
	}
	return n
}

// decode reads all blocks but variables and locals.
func (l *loader) decode(c *Config) {
	first := make(map[string]*hclsyntax.Block)
	defaults := l.defaults()
	for _, source := range l.blocks {
		if source.Type == "variable" || source.Type == "locals" {
			continue
		}
		b := find(table, source.Type)
		if b == nil {
			l.d.unknown(top(), source.Type, "block", source.TypeRange)
			continue
		}
		if !l.d.labels(b, source) {
			continue
		}
		key := title(source)
		if before := first[key]; before != nil {
			l.d.add(&hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Duplicate block", Subject: source.DefRange().Ptr(),
				Detail: fmt.Sprintf("%s stands already at %s. Give one of them another name, or make them one.", key, before.DefRange()),
			})
			continue
		}
		first[key] = source
		switch source.Type {
		case "host":
			l.d.body(b, source, &c.Host)
		case "listener":
			listener := &Listener{Kind: source.Labels[0], Name: source.Labels[1]}
			l.d.body(b, source, listener)
			l.checkListener(listener, source)
			c.Listeners = append(c.Listeners, *listener)
		case "store":
			l.d.body(b, source, &c.Store)
		case "session":
			l.d.body(b, source, &c.Session)
			l.checkSession(&c.Session)
		case "lm":
			lm := &LM{Name: source.Labels[0]}
			lm.ModelType, lm.Timeout, lm.NumRetries, lm.Cache = "chat", defaultLMTimeout, 3, true
			l.d.body(b, source, lm)
			c.LMs[lm.Name] = *lm
		case "pool":
			pool := DefaultPool(source.Labels[0])
			if defaults != nil {
				l.quietly(func() { l.d.body(find(table, "defaults"), defaults, &pool) })
			}
			l.d.body(b, source, &pool)
			l.checkPool(&pool, source)
			c.Pools = append(c.Pools, pool)
		case "program":
			program := &Program{Name: source.Labels[0], Module: "Predict"}
			l.d.body(b, source, program)
			l.checkProgram(program)
			c.Programs = append(c.Programs, *program)
		}
	}
	l.checkReferences(c)
}

// defaults finds the `defaults` block and reports what is wrong in it, once.
func (l *loader) defaults() *hclsyntax.Block {
	for _, source := range l.blocks {
		if source.Type == "defaults" {
			pool := DefaultPool("defaults")
			l.d.body(find(table, "defaults"), source, &pool)
			return source
		}
	}
	return nil
}

// quietly runs f without keeping its diagnostics.
func (l *loader) quietly(f func()) {
	before := l.d.diags
	f()
	l.d.diags = before
}

// dir is the folder to which paths in a source are relative.
func dir(at hcl.Range) string { return filepath.Dir(at.Filename) }

// resolve makes a path absolute, relative to the file that it stands in.
func resolve(path string, at hcl.Range) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	if strings.HasPrefix(path, "~/") {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, path[2:])
		}
	}
	abs, err := filepath.Abs(filepath.Join(dir(at), path))
	if err != nil {
		return path
	}
	return abs
}
