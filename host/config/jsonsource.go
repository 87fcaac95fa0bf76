package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// jsonSource turns HCL's JSON syntax into the native syntax tree, so that all that
// follows knows one of them. Text in JSON is a template, as ever in HCL.
type jsonSource struct {
	diags hcl.Diagnostics
}

// body converts what is within the braces of a block. What the block does not
// have becomes an attribute, which is reported when it is decoded.
func (j *jsonSource) body(body hcl.Body, b *Block) *hclsyntax.Body {
	out := &hclsyntax.Body{Attributes: make(hclsyntax.Attributes), SrcRange: body.MissingItemRange(), EndRange: body.MissingItemRange()}
	schema := &hcl.BodySchema{}
	if b != nil {
		for _, a := range b.Attributes {
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: a.Name})
		}
		for _, sub := range b.Blocks {
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: sub.Type, LabelNames: sub.Labels})
		}
	}
	content, rest, diags := body.PartialContent(schema)
	if j.diags = append(j.diags, diags...); diags.HasErrors() {
		return out
	}
	others, diags := rest.JustAttributes()
	if diags.HasErrors() { // an array of objects
		_, diags = body.Content(schema)
		j.diags = append(j.diags, diags...)
	}
	for _, attrs := range []hcl.Attributes{content.Attributes, others} {
		for name, a := range attrs {
			out.Attributes[name] = &hclsyntax.Attribute{Name: name, Expr: j.attribute(b, a), SrcRange: a.Range, NameRange: a.NameRange, EqualsRange: a.NameRange}
		}
	}
	for _, inner := range content.Blocks {
		at := inner.TypeRange
		if n := len(inner.LabelRanges); n > 0 {
			at = inner.LabelRanges[n-1]
		}
		out.Blocks = append(out.Blocks, &hclsyntax.Block{
			Type: inner.Type, Labels: inner.Labels, Body: j.body(inner.Body, find(b.Blocks, inner.Type)),
			TypeRange: at, LabelRanges: inner.LabelRanges, OpenBraceRange: inner.DefRange, CloseBraceRange: inner.DefRange,
		})
	}
	return out
}

func (j *jsonSource) attribute(b *Block, a *hcl.Attribute) hclsyntax.Expression {
	if b == variableBlock && a.Name == "type" { // written as text, read as an expression
		if v, diags := a.Expr.Value(nil); !diags.HasErrors() && !v.IsNull() && v.Type() == cty.String {
			return j.text(v.AsString(), a.Expr.Range(), hclsyntax.LexExpression, hclsyntax.ParseExpression)
		}
	}
	return j.expression(a.Expr)
}

func (j *jsonSource) expression(e hcl.Expression) hclsyntax.Expression {
	at := e.Range()
	if list, diags := hcl.ExprList(e); !diags.HasErrors() {
		tuple := &hclsyntax.TupleConsExpr{SrcRange: at, OpenRange: e.StartRange()}
		for _, item := range list {
			tuple.Exprs = append(tuple.Exprs, j.expression(item))
		}
		return tuple
	}
	if pairs, diags := hcl.ExprMap(e); !diags.HasErrors() {
		object := &hclsyntax.ObjectConsExpr{SrcRange: at, OpenRange: e.StartRange()}
		for _, pair := range pairs {
			object.Items = append(object.Items, hclsyntax.ObjectConsItem{KeyExpr: j.expression(pair.Key), ValueExpr: j.expression(pair.Value)})
		}
		return object
	}
	v, diags := e.Value(nil)
	j.diags = append(j.diags, diags...)
	if !diags.HasErrors() && !v.IsNull() && v.Type() == cty.String {
		return j.text(v.AsString(), at, hclsyntax.LexTemplate, hclsyntax.ParseTemplate)
	}
	return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: at}
}

// text parses what is within quotes. Places are right unless there are escapes.
func (j *jsonSource) text(
	src string, at hcl.Range,
	lex func([]byte, string, hcl.Pos) (hclsyntax.Tokens, hcl.Diagnostics),
	parse func([]byte, string, hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics),
) hclsyntax.Expression {
	start := at.Start
	start.Byte++
	start.Column++
	tokens, _ := lex([]byte(src), at.Filename, start) // the parser reports what is wrong
	if _, deep := tokensTooDeep(tokens); deep {
		j.diags = append(j.diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Nested too deep", Subject: &at,
			Detail: fmt.Sprintf("This nests more than %d deep, or chains more than %d parts.", maxNesting, maxChain),
		})
		return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	}
	e, diags := parse([]byte(src), at.Filename, start)
	if j.diags = append(j.diags, diags...); diags.HasErrors() {
		return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: at}
	}
	return e
}
