package config

import (
	"math/big"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

const (
	// maxSteps and maxMade bound the evaluation of a whole configuration: the
	// parts of expressions that are evaluated, and the bytes of text that they
	// make. A few lines could else run for hours or fill the memory.
	maxSteps = 1_000_000
	maxMade  = 64 << 20
	// failurePrice is what a part that fails costs in steps: each failure is kept.
	failurePrice = 500
	// maxExponent is the largest binary exponent of a number. Writing a number
	// out takes as many digits as it has.
	maxExponent = 4096
)

// longNumber matches text that would be a number too large to write out.
var longNumber = regexp.MustCompile(`^[+-]?[0-9.]+[eEpP][+-]?[0-9]{4,}$`)

// budget is what an evaluation has cost.
type budget struct {
	steps, made int
}

// guarded is an expression whose value is accounted for. It embeds the
// expression within parentheses, since the syntax tree is closed to other types.
type guarded struct {
	*hclsyntax.ParenthesesExpr
	budget *budget
	// operand says that text here is read as a number.
	operand bool
}

// Value is unknown once the budget is spent: loops over it end at once.
func (g *guarded) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if g.budget.over() {
		return cty.DynamicVal, nil
	}
	var v cty.Value
	var diags hcl.Diagnostics
	if t, ok := g.Expression.(*hclsyntax.TemplateExpr); ok {
		v, diags = g.template(t, ctx)
	} else {
		v, diags = g.Expression.Value(ctx)
	}
	if diags.HasErrors() {
		g.budget.steps += failurePrice
	}
	if g.operand && isLongNumber(v) {
		g.budget.exhaust()
	}
	if g.budget.spend(v); g.budget.over() {
		return cty.DynamicVal, nil
	}
	return v, diags
}

// template evaluates the parts one by one, so that it can stop between them.
func (g *guarded) template(t *hclsyntax.TemplateExpr, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	whole := &hclsyntax.TemplateExpr{SrcRange: t.SrcRange}
	for _, part := range t.Parts {
		v, partDiags := part.Value(ctx)
		diags = append(diags, partDiags...)
		if g.budget.spend(v); g.budget.over() {
			return cty.DynamicVal, nil
		}
		whole.Parts = append(whole.Parts, &hclsyntax.LiteralValueExpr{Val: v, SrcRange: part.Range()})
	}
	v, wholeDiags := whole.Value(ctx)
	return v, append(diags, wholeDiags...)
}

func (b *budget) over() bool { return b.steps > maxSteps || b.made > maxMade }

func (b *budget) exhaust() { b.steps = maxSteps + 1 }

// spend accounts for a value that was made.
func (b *budget) spend(v cty.Value) {
	b.steps++
	v, _ = v.Unmark()
	if v.IsNull() || !v.IsKnown() {
		return
	}
	switch t := v.Type(); {
	case t == cty.String:
		b.made += len(v.AsString())
	case t == cty.Number:
		if tooLargeNumber(v.AsBigFloat()) {
			b.exhaust()
		}
	case t.IsObjectType():
		b.steps += len(t.AttributeTypes())
	case t.IsTupleType() || t.IsCollectionType():
		b.steps += v.LengthInt()
	}
}

// isLongNumber reports whether a value is text that would be a number too large
// to write out.
func isLongNumber(v cty.Value) bool {
	v, _ = v.Unmark()
	return v.IsKnown() && !v.IsNull() && v.Type() == cty.String && len(v.AsString()) < 1<<10 && longNumber.MatchString(v.AsString())
}

func tooLargeNumber(f *big.Float) bool {
	exponent := f.MantExp(nil)
	return f.IsInf() || exponent > maxExponent || exponent < -maxExponent
}

// guard makes an expression and all in it account for their values.
func guard(e hclsyntax.Expression, b *budget) hclsyntax.Expression {
	if e == nil {
		return nil
	}
	all := func(list []hclsyntax.Expression) {
		for i := range list {
			list[i] = guard(list[i], b)
		}
	}
	switch t := e.(type) {
	case *guarded:
		return t
	case *hclsyntax.LiteralValueExpr:
		if t.Val.Type() != cty.Number {
			return t // a template looks at its literal parts
		}
	case *hclsyntax.TemplateExpr:
		all(t.Parts)
	case *hclsyntax.TemplateWrapExpr:
		t.Wrapped = guard(t.Wrapped, b)
	case *hclsyntax.TemplateJoinExpr:
		t.Tuple = guard(t.Tuple, b)
	case *hclsyntax.ParenthesesExpr:
		t.Expression = guard(t.Expression, b)
	case *hclsyntax.BinaryOpExpr:
		t.LHS, t.RHS = operand(t.LHS, b), operand(t.RHS, b)
	case *hclsyntax.UnaryOpExpr:
		t.Val = operand(t.Val, b)
	case *hclsyntax.ConditionalExpr:
		t.Condition, t.TrueResult, t.FalseResult = guard(t.Condition, b), guard(t.TrueResult, b), guard(t.FalseResult, b)
	case *hclsyntax.IndexExpr:
		t.Collection, t.Key = guard(t.Collection, b), guard(t.Key, b)
	case *hclsyntax.RelativeTraversalExpr:
		t.Source = guard(t.Source, b)
	case *hclsyntax.SplatExpr:
		t.Source = guard(t.Source, b)
	case *hclsyntax.FunctionCallExpr:
		all(t.Args)
	case *hclsyntax.TupleConsExpr:
		all(t.Exprs)
	case *hclsyntax.ObjectConsExpr:
		for i := range t.Items {
			t.Items[i].ValueExpr = guard(t.Items[i].ValueExpr, b)
			if key, ok := t.Items[i].KeyExpr.(*hclsyntax.ObjectConsKeyExpr); ok {
				if _, name := key.Wrapped.(*hclsyntax.ScopeTraversalExpr); !name {
					key.Wrapped = guard(key.Wrapped, b)
				}
			}
		}
	case *hclsyntax.ForExpr:
		t.CollExpr, t.KeyExpr, t.ValExpr, t.CondExpr = guard(t.CollExpr, b), guard(t.KeyExpr, b), guard(t.ValExpr, b), guard(t.CondExpr, b)
	}
	return &guarded{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, budget: b}
}

// operand guards what an operator may read as a number.
func operand(e hclsyntax.Expression, b *budget) hclsyntax.Expression {
	g, ok := guard(e, b).(*guarded)
	if !ok {
		g = &guarded{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, budget: b}
	}
	g.operand = true
	return g
}
