package config

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
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
		l.fail("Cannot read configuration", "%v.", err)
		return
	}
	if !info.IsDir() {
		l.readFile(path)
		return
	}
	matches, err := filepath.Glob(filepath.Join(path, "*.hcl"))
	if err != nil || len(matches) == 0 {
		l.fail("Cannot read configuration", "The folder %s has no *.hcl file.", path)
		return
	}
	sort.Strings(matches)
	for _, m := range matches {
		l.readFile(m)
	}
}

func (l *loader) readFile(path string) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxFile {
		l.fail("File too large", "%s has %d bytes; a configuration has at most %d.", path, info.Size(), maxFile)
		return
	}
	src, err := os.ReadFile(path)
	if err != nil {
		l.fail("Cannot read configuration", "%v.", err)
		return
	}
	l.parse(src, path)
}

func (l *loader) parse(src []byte, filename string) {
	if len(src) > maxFile {
		l.fail("File too large", "%s has %d bytes; a configuration has at most %d.", filename, len(src), maxFile)
		return
	}
	l.files = append(l.files, filename)
	if at, deep := tooDeep(src, filename); deep {
		l.d.errorf(at, "Nested too deep", "Brackets and blocks nest at most %d deep.", maxNesting)
		return
	}
	file, diags := l.parser.ParseHCL(src, filename)
	l.d.diags = append(l.d.diags, diags...)
	if file == nil {
		return
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return
	}
	for _, attr := range sorted(body.Attributes) {
		l.d.unknown(top(), attr.Name, "argument", attr.NameRange)
	}
	l.blocks = append(l.blocks, body.Blocks...)
}

// tooDeep finds the first bracket that nests too deep.
func tooDeep(src []byte, filename string) (hcl.Range, bool) {
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos) // the parser reports what is wrong
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			if depth++; depth > maxNesting {
				return t.Range, true
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
	}
	return hcl.Range{}, false
}

// top is the file as a block, for messages.
func top() *Block {
	return &Block{Blocks: append([]*Block{{Type: "variable"}, {Type: "locals"}}, table...)}
}

func (l *loader) finish() (*Config, hcl.Diagnostics, map[string]*hcl.File) {
	if l.d.diags.HasErrors() {
		// The text itself is broken: what follows from it would only mislead.
		return nil, l.d.diags, l.parser.Files()
	}
	l.d.scope = newScope(l)
	c := Default()
	c.Host.RunDir = DefaultRunDir(func(name string) string { v, _ := l.opts.Env(name); return v })
	c.Files, c.Listeners, c.Store.Path = l.files, nil, ""
	l.decode(c)
	for name, at := range map[string]*string{"DSPEX_DATA_DIR": &c.Host.DataDir, "DSPEX_RUN_DIR": &c.Host.RunDir} {
		if v, ok := l.opts.Env(name); ok && v != "" {
			*at = v
		}
	}
	c.complete()
	if len(c.Pools) == 0 && !l.d.diags.HasErrors() {
		l.fail("No pool", `The configuration has no pool. The smallest is: pool "echo" {}`)
	}
	l.check(c)
	if l.d.diags.HasErrors() {
		return nil, l.d.diags, l.parser.Files()
	}
	return c, l.d.diags, l.parser.Files()
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
