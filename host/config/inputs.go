package config

import (
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// input is a value that was given for a variable: as text, or in a file.
type input struct {
	source string
	text   string
	value  cty.Value // cty.NilVal if text counts
}

// read returns the value of an input. Text is taken as it is for a variable of
// text, and else read as an expression.
func (in *input) read(l *loader, name string, v *variable) (cty.Value, bool) {
	if in.value != cty.NilVal {
		return in.value, true
	}
	if v.wantType == cty.String || v.wantType == cty.DynamicPseudoType {
		return cty.StringVal(in.text), true
	}
	expr, diags := hclsyntax.ParseExpression([]byte(in.text), in.source, hcl.InitialPos)
	var got cty.Value
	if !diags.HasErrors() {
		got, diags = expr.Value(nil)
	}
	if diags.HasErrors() {
		l.d.errorf(v.block.DefRange(), "Wrong value", "The value of variable %q given by %s is not %s.", name, in.source, v.wantType.FriendlyName())
		return cty.NilVal, false
	}
	return got, true
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
			l.fail("Bad variable", "--var %s is not of the form name=value.", clip(pair))
			continue
		}
		if declared[name] == nil {
			l.fail("Unknown variable", "--var gives %q, which the configuration does not declare%s", clip(name), didYouMean(name, keys(declared)))
			continue
		}
		values[name] = &input{source: "--var", text: text}
	}
	return values
}

func (s *scope) variableFile(l *loader, path string, declared map[string]*variable, values map[string]*input) {
	src, err := os.ReadFile(path)
	if err != nil {
		l.fail("Cannot read variables", "%v.", err)
		return
	}
	if len(src) > maxFile {
		l.fail("File too large", "%s has %d bytes; a file of variables has at most %d.", path, len(src), maxFile)
		return
	}
	file, diags := l.parser.ParseHCL(src, path)
	l.d.diags = append(l.d.diags, diags...)
	if diags.HasErrors() {
		return
	}
	attrs, diags := file.Body.JustAttributes()
	l.d.diags = append(l.d.diags, diags...)
	for name, a := range attrs {
		if declared[name] == nil {
			l.d.errorf(a.NameRange, "Unknown variable", "The configuration declares no variable %q%s", clip(name), didYouMean(name, keys(declared)))
			continue
		}
		v, diags := a.Expr.Value(nil)
		l.d.diags = append(l.d.diags, diags...)
		if !diags.HasErrors() {
			values[name] = &input{source: path, value: v}
		}
	}
}

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}
