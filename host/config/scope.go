package config

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

const (
	// maxElements is how many values a variable or local may hold, so that no few
	// lines grow into gigabytes.
	maxElements = 4096
	// maxText is the longest text that one of them may hold, in bytes.
	maxText = 1 << 20
	// maxLoops is how deep `for` expressions may nest.
	maxLoops = 2
	// sensitive marks values that must not be printed.
	sensitive = markSensitive("sensitive")
)

type markSensitive string

// scope is what expressions can refer to.
type scope struct {
	opts      Options
	variables map[string]cty.Value
	locals    map[string]cty.Value
	host      cty.Value
	functions map[string]function.Function
}

// newScope evaluates variables, then locals, and reports what is wrong in them.
func newScope(l *loader) *scope {
	s := &scope{
		opts:      l.opts,
		variables: make(map[string]cty.Value),
		locals:    make(map[string]cty.Value),
		host: cty.ObjectVal(map[string]cty.Value{
			"cpus":   cty.NumberIntVal(int64(cpus())),
			"memory": cty.NumberUIntVal(memory()),
			"name":   cty.StringVal(hostName()),
		}),
	}
	s.functions = functions(s)
	s.readVariables(l)
	s.readLocals(l)
	return s
}

// eval evaluates an expression of the file that it stands in.
func (s *scope) eval(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	if diags := checkLoops(expr); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, diags := expr.Value(s.context(expr.Range().Filename))
	if diags.HasErrors() {
		return cty.DynamicVal, s.explain(diags, expr)
	}
	return v, diags
}

func (s *scope) context(filename string) *hcl.EvalContext {
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"var":   cty.ObjectVal(s.variables),
			"local": cty.ObjectVal(s.locals),
			"host":  s.host,
			"path":  cty.ObjectVal(map[string]cty.Value{"config": cty.StringVal(dir(hcl.Range{Filename: filename}))}),
		},
		Functions: s.functions,
	}
}

// explain adds a suggestion where a name is not known.
func (s *scope) explain(diags hcl.Diagnostics, expr hcl.Expression) hcl.Diagnostics {
	for _, traversal := range expr.Variables() {
		known := map[string]map[string]cty.Value{"var": s.variables, "local": s.locals}[traversal.RootName()]
		if known == nil || len(traversal) < 2 {
			continue
		}
		step, ok := traversal[1].(hcl.TraverseAttr)
		if _, there := known[step.Name]; !ok || there {
			continue
		}
		words := make([]string, 0, len(known))
		for name := range known {
			words = append(words, name)
		}
		sort.Strings(words)
		for _, d := range diags {
			if d.Subject != nil && traversal.SourceRange().Overlaps(*d.Subject) {
				what := map[string]string{"var": "variable", "local": "local"}[traversal.RootName()]
				d.Summary = "Unknown " + what
				d.Detail = fmt.Sprintf("There is no %s %q%s", what, clip(step.Name), didYouMean(step.Name, words))
			}
		}
	}
	// Of a sensitive value not even the parts of an expression are shown.
	for _, d := range diags {
		if d.Expression != nil && d.EvalContext != nil {
			if v, _ := d.Expression.Value(d.EvalContext); containsMark(v) {
				d.Expression, d.EvalContext = nil, nil
			}
		}
	}
	return diags
}

func containsMark(v cty.Value) bool { return v.HasMark(sensitive) || v.ContainsMarked() }

// variable is one `variable` block.
type variable struct {
	block     *hclsyntax.Block
	wantType  cty.Type
	sensitive bool
	nullable  bool
}

func (s *scope) readVariables(l *loader) {
	declared := make(map[string]*variable)
	order := []string{}
	for _, block := range l.blocks {
		if block.Type != "variable" {
			continue
		}
		if len(block.Labels) != 1 {
			l.d.errorf(block.DefRange(), "Wrong labels", `A variable is written: variable "name" { ... }`)
			continue
		}
		name := block.Labels[0]
		if !hclsyntax.ValidIdentifier(name) {
			l.d.errorf(block.LabelRanges[0], "Bad name", "%q is no name of a variable.", clip(name))
			continue
		}
		if before := declared[name]; before != nil {
			l.d.errorf(block.DefRange(), "Duplicate variable", "variable %q stands already at %s.", name, before.block.DefRange())
			continue
		}
		declared[name] = s.declare(l, block)
		order = append(order, name)
	}
	given := s.given(l, declared)
	for _, name := range order {
		s.variables[name] = s.value(l, name, declared[name], given[name])
	}
	for _, name := range order {
		s.validate(l, name, declared[name])
	}
}

func (s *scope) declare(l *loader, block *hclsyntax.Block) *variable {
	v := &variable{block: block, wantType: cty.DynamicPseudoType, nullable: true}
	allowed := &Block{Type: "variable", Attributes: []Attribute{
		{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}, {Name: "nullable"},
	}, Blocks: []*Block{{Type: "validation"}}}
	for _, a := range sorted(block.Body.Attributes) {
		switch a.Name {
		case "type":
			t, diags := typeexpr.TypeConstraint(a.Expr)
			l.d.diags = append(l.d.diags, diags...)
			if !diags.HasErrors() {
				v.wantType = t
			}
		case "sensitive", "nullable":
			got, diags := a.Expr.Value(nil)
			l.d.diags = append(l.d.diags, diags...)
			if diags.HasErrors() {
				continue
			}
			b, ok := boolean().convert(l.d, a.Name, got, a.Expr)
			if ok && a.Name == "sensitive" {
				v.sensitive = b
			} else if ok {
				v.nullable = b
			}
		case "default", "description":
		default:
			l.d.unknown(allowed, a.Name, "argument", a.NameRange)
		}
	}
	for _, b := range block.Body.Blocks {
		if b.Type != "validation" {
			l.d.unknown(allowed, b.Type, "block", b.TypeRange)
		}
	}
	return v
}

// value finds a variable's value: what was given, else its default.
func (s *scope) value(l *loader, name string, v *variable, given *input) cty.Value {
	unknown := cty.UnknownVal(v.wantType)
	var got cty.Value
	at := v.block.DefRange()
	switch attr := v.block.Body.Attributes["default"]; {
	case given != nil:
		var ok bool
		if got, ok = given.read(l, name, v); !ok {
			return unknown
		}
	case attr != nil:
		at = attr.Expr.Range()
		var diags hcl.Diagnostics
		got, diags = s.eval(attr.Expr)
		l.d.diags = append(l.d.diags, diags...)
		if diags.HasErrors() {
			return unknown
		}
	default:
		l.d.errorf(at, "Missing variable", "variable %q has no default and no value was given. Give one: --var %s=..., or DSPEX_VAR_%s in the environment.", name, name, name)
		return unknown
	}
	converted, err := convert.Convert(got, v.wantType)
	if err != nil {
		source := ""
		if given != nil {
			source = " given by " + given.source
		}
		l.d.errorf(at, "Wrong value", "The value of variable %q%s is not %s: %v.", name, source, v.wantType.FriendlyName(), err)
		return unknown
	}
	if converted.IsNull() && !v.nullable {
		l.d.errorf(at, "Wrong value", "variable %q is null, and nullable is false.", name)
		return unknown
	}
	if problem := tooLarge(converted); problem != "" {
		l.d.errorf(at, "Value too large", "variable %q %s.", name, problem)
		return unknown
	}
	if v.sensitive {
		converted = converted.Mark(sensitive)
	}
	return converted
}

func (s *scope) validate(l *loader, name string, v *variable) {
	for _, rule := range v.block.Body.Blocks {
		if rule.Type != "validation" {
			continue
		}
		condition, message := rule.Body.Attributes["condition"], rule.Body.Attributes["error_message"]
		if condition == nil || message == nil {
			l.d.errorf(rule.DefRange(), "Missing argument", `A validation needs "condition" and "error_message".`)
			continue
		}
		ok, diags := s.eval(condition.Expr)
		l.d.diags = append(l.d.diags, diags...)
		ok, _ = ok.Unmark()
		if diags.HasErrors() || !ok.IsKnown() {
			continue
		}
		if ok.IsNull() || ok.Type() != cty.Bool {
			l.d.errorf(condition.Expr.Range(), "Wrong value", "A condition is true or false.")
			continue
		}
		if ok.True() {
			continue
		}
		text, diags := s.eval(message.Expr)
		l.d.diags = append(l.d.diags, diags...)
		text, _ = text.Unmark()
		if !diags.HasErrors() && text.IsKnown() && !text.IsNull() && text.Type() == cty.String {
			l.d.errorf(condition.Expr.Range(), "Invalid value for variable", "variable %q: %s", name, text.AsString())
		}
	}
}

// readLocals evaluates locals in the order in which they need each other.
func (s *scope) readLocals(l *loader) {
	attrs := make(map[string]*hclsyntax.Attribute)
	for _, block := range l.blocks {
		if block.Type != "locals" {
			continue
		}
		if len(block.Labels) > 0 {
			l.d.errorf(block.DefRange(), "Wrong labels", "A locals block has no label.")
		}
		for _, inner := range block.Body.Blocks {
			l.d.errorf(inner.DefRange(), "Unknown block", "A locals block has no blocks.")
		}
		for _, a := range sorted(block.Body.Attributes) {
			if before := attrs[a.Name]; before != nil {
				l.d.errorf(a.NameRange, "Duplicate local", "local %q stands already at %s.", a.Name, before.NameRange)
				continue
			}
			attrs[a.Name] = a
		}
	}
	const (
		underWay = 1
		done     = 2
	)
	state := make(map[string]int)
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		a := attrs[name]
		if a == nil || state[name] == done {
			return
		}
		if state[name] == underWay {
			l.d.errorf(a.NameRange, "Cycle", "Locals need each other in a circle: %s.", strings.Join(append(trail, name), " -> "))
			s.locals[name] = cty.DynamicVal
			state[name] = done
			return
		}
		state[name] = underWay
		for _, traversal := range a.Expr.Variables() {
			if traversal.RootName() != "local" || len(traversal) < 2 {
				continue
			}
			if step, ok := traversal[1].(hcl.TraverseAttr); ok {
				visit(step.Name, append(trail, name))
			}
		}
		if state[name] == done {
			return // it was in a circle
		}
		state[name] = done
		v, diags := s.eval(a.Expr)
		l.d.diags = append(l.d.diags, diags...)
		if problem := tooLarge(v); problem != "" {
			l.d.errorf(a.Expr.Range(), "Value too large", "local %q %s.", name, problem)
			v = cty.DynamicVal
		}
		s.locals[name] = v
	}
	names := make([]string, 0, len(attrs))
	for name := range attrs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		visit(name, nil)
	}
}

// tooLarge says why a value is too large to keep, or nothing.
func tooLarge(v cty.Value) string {
	elements, long := 0, false
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		e, _ = e.Unmark()
		if elements++; elements > maxElements {
			return false, nil
		}
		if e.IsKnown() && !e.IsNull() && e.Type() == cty.String && len(e.AsString()) > maxText {
			long = true
		}
		return true, nil
	})
	switch {
	case elements > maxElements:
		return fmt.Sprintf("holds more than %d values", maxElements)
	case long:
		return fmt.Sprintf("holds a text of more than %d bytes", maxText)
	}
	return ""
}

// checkLoops refuses `for` expressions that are nested too deep.
func checkLoops(expr hcl.Expression) hcl.Diagnostics {
	node, ok := expr.(hclsyntax.Node)
	if !ok {
		return nil
	}
	w := &loopWalker{}
	_ = hclsyntax.Walk(node, w)
	return w.diags
}

type loopWalker struct {
	depth int
	diags hcl.Diagnostics
}

func (w *loopWalker) Enter(node hclsyntax.Node) hcl.Diagnostics {
	if f, ok := node.(*hclsyntax.ForExpr); ok {
		if w.depth++; w.depth == maxLoops+1 {
			w.diags = append(w.diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Nested too deep", Subject: f.Range().Ptr(),
				Detail: fmt.Sprintf("for expressions nest at most %d deep.", maxLoops),
			})
		}
	}
	return nil
}

func (w *loopWalker) Exit(node hclsyntax.Node) hcl.Diagnostics {
	if _, ok := node.(*hclsyntax.ForExpr); ok {
		w.depth--
	}
	return nil
}

// autoFiles are the variable files beside the configuration.
func (s *scope) autoFiles(files []string) []string {
	seen := make(map[string]bool)
	var found []string
	for _, f := range files {
		folder := filepath.Dir(f)
		if seen[folder] || s.opts.NoFS {
			continue
		}
		seen[folder] = true
		matches, _ := filepath.Glob(filepath.Join(folder, "*.auto.dspexvars")) // the pattern is well-formed
		sort.Strings(matches)
		found = append(found, matches...)
	}
	return found
}
