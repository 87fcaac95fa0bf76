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
	// maxLocalChain is how many locals may need each other one after the other.
	maxLocalChain = 500
	// maxKept is how many mistakes of one expression are reported.
	maxKept = 5
)

type markSensitive string

// phase says what an expression may refer to.
type phase int

const (
	// inInput is a value from outside: no references and no functions.
	inInput phase = iota
	// inDefault is an argument of a variable: neither variables nor locals.
	inDefault
	// inRule is a variable's validation: no locals.
	inRule
	// inBody is everything else.
	inBody
)

// scope is what expressions can refer to, and what they have cost.
type scope struct {
	opts      Options
	variables map[string]cty.Value
	locals    map[string]cty.Value
	host      cty.Value
	// functions by the folder to which they resolve paths.
	functions map[string]map[string]function.Function
	budget    budget
	guarded   map[hclsyntax.Expression]hclsyntax.Expression
	// exhausted says that the end of the budget has been reported.
	exhausted bool
}

// newScope evaluates variables, then locals, and reports what is wrong in them.
func newScope(l *loader) *scope {
	s := &scope{
		opts:      l.opts,
		variables: make(map[string]cty.Value),
		locals:    make(map[string]cty.Value),
		functions: make(map[string]map[string]function.Function),
		guarded:   make(map[hclsyntax.Expression]hclsyntax.Expression),
		host: cty.ObjectVal(map[string]cty.Value{
			"cpus":   cty.NumberIntVal(int64(cpus())),
			"memory": cty.NumberUIntVal(memory()),
			"name":   cty.StringVal(hostName()),
		}),
	}
	s.readVariables(l)
	s.readLocals(l)
	return s
}

// eval evaluates an expression. Its value is unknown if there are errors.
func (s *scope) eval(expr hclsyntax.Expression, p phase) (cty.Value, hcl.Diagnostics) {
	if diags := checkLoops(expr); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	ctx, touched, diags := s.context(expr, p)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	g := s.guarded[expr]
	if g == nil {
		g = guard(expr, &s.budget)
		s.guarded[expr] = g
	}
	v, diags := g.Value(ctx)
	if s.budget.over() {
		return cty.DynamicVal, s.reportExhausted(expr)
	}
	if len(diags) > maxKept {
		diags = diags[:maxKept]
	}
	for _, d := range diags {
		if touched { // a function may quote its argument, whatever it made of it
			d.Detail = "The reason is not shown, since a sensitive value is involved."
			d.Expression, d.EvalContext = nil, nil
		} else if strings.Contains(d.Detail, "panic in function implementation") { // a stack follows
			d.Detail = "The function cannot work with these values."
		}
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return v, diags
}

func (s *scope) reportExhausted(expr hclsyntax.Expression) hcl.Diagnostics {
	if s.exhausted {
		return nil
	}
	s.exhausted = true
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Evaluation takes too long", Subject: expr.Range().Ptr(),
		Detail: fmt.Sprintf("Up to here the configuration evaluates more than %d values, makes more than %d MiB of text, or has a number that is too large. The rest was not evaluated.", maxSteps, maxMade>>20),
	}}
}

// context holds what an expression refers to, and reports what is not there.
// Touched says that some of it is sensitive.
func (s *scope) context(expr hclsyntax.Expression, p phase) (ctx *hcl.EvalContext, touched bool, diags hcl.Diagnostics) {
	ctx = &hcl.EvalContext{}
	if p == inInput {
		return ctx, false, nil
	}
	folder := dir(expr.Range())
	if abs, err := filepath.Abs(folder); err == nil {
		folder = abs
	}
	if s.functions[folder] == nil {
		s.functions[folder] = functions(s, folder)
	}
	ctx.Functions = s.functions[folder]
	ctx.Variables = map[string]cty.Value{"host": s.host, "path": cty.ObjectVal(map[string]cty.Value{"config": cty.StringVal(folder)})}
	used := map[string]map[string]cty.Value{"var": {}, "local": {}}
	for _, t := range expr.Variables() {
		root := t.RootName()
		known, what := s.variables, "variable"
		switch root {
		case "var":
		case "local":
			known, what = s.locals, "local"
		default:
			continue
		}
		bad := &hcl.Diagnostic{Severity: hcl.DiagError, Subject: t.SourceRange().Ptr()}
		name, ok := memberOf(t)
		v, there := known[name]
		switch {
		case p == inDefault:
			bad.Summary, bad.Detail = "Reference not allowed", "An argument of a variable cannot refer to variables and locals; a local can."
		case p == inRule && root == "local":
			bad.Summary, bad.Detail = "Reference not allowed", "The validation of a variable cannot refer to locals: they are evaluated after it."
		case !ok:
			bad.Summary, bad.Detail = "Incomplete reference", fmt.Sprintf("Refer to one %s by its name: %s.NAME.", what, root)
		case !there:
			bad.Summary, bad.Detail = "Unknown "+what, fmt.Sprintf("There is no %s %q%s", what, clip(name), didYouMean(name, sortedKeys(known)))
		default:
			used[root][name] = v
			touched = touched || v.ContainsMarked()
			continue
		}
		diags = append(diags, bad)
	}
	for root, members := range used {
		ctx.Variables[root] = cty.ObjectVal(members)
	}
	return ctx, touched, diags
}

// memberOf is NAME of var.NAME and of var["NAME"].
func memberOf(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.IsKnown() && !step.Key.IsNull() && step.Key.Type() == cty.String {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

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
	l.d.strangers(variableBlock, block)
	for _, a := range sorted(block.Body.Attributes) {
		switch a.Name {
		case "type":
			t, diags := typeexpr.TypeConstraint(a.Expr)
			l.d.keep(diags)
			if !diags.HasErrors() {
				v.wantType = t
			}
		case "sensitive", "nullable":
			got, diags := s.eval(a.Expr, inDefault)
			l.d.keep(diags)
			b, ok := boolean().convert(l.d, a.Name, got, a.Expr)
			if ok && a.Name == "sensitive" {
				v.sensitive = b
			} else if ok {
				v.nullable = b
			}
		case "description":
			got, diags := s.eval(a.Expr, inDefault)
			l.d.keep(diags)
			text().convert(l.d, a.Name, got, a.Expr)
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
		if got, ok = given.read(s, l, name, v); !ok {
			return unknown
		}
	case attr != nil:
		at = attr.Expr.Range()
		var diags hcl.Diagnostics
		got, diags = s.eval(attr.Expr, inDefault)
		l.d.keep(diags)
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
		l.d.strangers(validationBlock, rule)
		condition, message := rule.Body.Attributes["condition"], rule.Body.Attributes["error_message"]
		if condition == nil || message == nil {
			l.d.errorf(rule.DefRange(), "Missing argument", `A validation needs "condition" and "error_message".`)
			continue
		}
		ok, diags := s.eval(condition.Expr, inRule)
		l.d.keep(diags)
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
		text, diags := s.eval(message.Expr, inRule)
		l.d.keep(diags)
		text, marks := text.Unmark()
		detail := "the value is not allowed."
		if len(marks) > 0 {
			detail += " Its error_message is not shown, since it holds a sensitive value."
		} else if text.IsKnown() && !text.IsNull() && text.Type() == cty.String {
			detail = text.AsString()
		}
		l.d.errorf(condition.Expr.Range(), "Invalid value for variable", "variable %q: %s", name, detail)
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
			s.locals[a.Name] = cty.DynamicVal // declared
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
		if len(trail) == maxLocalChain {
			l.d.errorf(a.NameRange, "Chain too long", "More than %d locals need each other one after the other.", maxLocalChain)
			state[name] = done
			return
		}
		state[name] = underWay
		for _, traversal := range a.Expr.Variables() {
			if other, ok := memberOf(traversal); ok && traversal.RootName() == "local" {
				visit(other, append(trail, name))
			}
		}
		if state[name] == done {
			return // it was in a circle
		}
		state[name] = done
		v, diags := s.eval(a.Expr, inBody)
		l.d.keep(diags)
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
	elements, why := 0, ""
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		e, _ = e.Unmark()
		elements++
		switch {
		case elements > maxElements:
			why = fmt.Sprintf("holds more than %d values", maxElements)
		case !e.IsKnown() || e.IsNull():
		case e.Type() == cty.String && len(e.AsString()) > maxText:
			why = fmt.Sprintf("holds a text of more than %d bytes", maxText)
		case e.Type() == cty.Number && tooLargeNumber(e.AsBigFloat()):
			why = "holds a number that is too large"
		}
		if why != "" {
			return false, errTooLarge
		}
		return true, nil
	})
	return why
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
