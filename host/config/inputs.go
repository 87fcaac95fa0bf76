package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// input is a value that was given for a variable: as text, or in a file.
type input struct {
	source string
	text   string
	expr   hclsyntax.Expression // nil if text counts
}

// read returns the value of an input. Text is taken as it is for a variable of
// text, and else read as an expression.
func (in *input) read(s *scope, l *loader, name string, v *variable) (cty.Value, bool) {
	if in.expr != nil {
		got, diags := s.eval(in.expr, inInput)
		l.d.keep(diags)
		return got, !diags.HasErrors()
	}
	if v.wantType == cty.String || v.wantType == cty.DynamicPseudoType {
		return cty.StringVal(in.text), true
	}
	if got, ok := s.evalText(in.text, in.source); ok {
		return got, true
	}
	l.d.errorf(v.block.DefRange(), "Wrong value", "The value of variable %q given by %s is not %s.", name, in.source, v.wantType.FriendlyName())
	return cty.NilVal, false
}

// evalText evaluates an expression that was given as text.
func (s *scope) evalText(text, source string) (cty.Value, bool) {
	tokens, _ := hclsyntax.LexExpression([]byte(text), source, hcl.InitialPos)
	if _, deep := tokensTooDeep(tokens); deep || len(text) > maxFile {
		return cty.NilVal, false
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), source, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	got, diags := s.eval(expr, inInput)
	return got, !diags.HasErrors()
}

// given collects the values that were given, the strongest source last.
func (s *scope) given(l *loader, declared map[string]*variable) map[string]*input {
	values := make(map[string]*input)
	for _, file := range s.autoFiles(l.files) {
		s.variableFile(l, file, declared, values)
	}
	for name := range declared {
		if text, ok := l.opts.Env("DSPEX_VAR_" + name); ok {
			values[name] = &input{source: "DSPEX_VAR_" + name, text: text}
		}
	}
	for _, file := range l.opts.VarFiles {
		s.variableFile(l, file, declared, values)
	}
	for _, pair := range l.opts.Vars {
		name, text, ok := strings.Cut(pair, "=")
		if !ok {
			l.fail("Bad variable", "--var takes name=value; one was given without the equals sign.")
			continue
		}
		if declared[name] == nil {
			l.fail("Unknown variable", "--var gives %q, which the configuration does not declare%s", clip(name), didYouMean(name, sortedKeys(declared)))
			continue
		}
		values[name] = &input{source: "--var", text: text}
	}
	return values
}

func (s *scope) variableFile(l *loader, path string, declared map[string]*variable, values map[string]*input) {
	src, err := readLimited(path)
	if err != nil {
		l.fail("Cannot read variables", "%v.", err)
		return
	}
	file, diags := l.parseFile(src, path)
	if l.d.keep(diags); diags.HasErrors() {
		return
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		j := &jsonSource{}
		body = j.body(file.Body, nil)
		l.d.keep(j.diags)
	}
	for _, b := range body.Blocks {
		l.d.errorf(b.DefRange(), "Unknown block", "A file of variables has lines of the form name = value only.")
	}
	for _, a := range sorted(body.Attributes) {
		if declared[a.Name] == nil {
			l.d.errorf(a.NameRange, "Unknown variable", "The configuration declares no variable %q%s", clip(a.Name), didYouMean(a.Name, sortedKeys(declared)))
			continue
		}
		values[a.Name] = &input{source: path, expr: a.Expr}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
