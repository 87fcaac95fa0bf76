package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxChain is how many operators and the like an expression may chain. The parser
// and the evaluation recurse over them, and Go ends a process whose stack has
// grown too large.
const maxChain = 5000

// frame is an open bracket, quote or block.
type frame struct {
	chain int
	// lines says that the end of a line ends an item, as in a body.
	lines bool
}

// tooDeep finds the place where native syntax nests or chains too deep to be
// parsed safely.
func tooDeep(src []byte, filename string) (hcl.Range, bool) {
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos) // the parser reports what is wrong
	return tokensTooDeep(tokens)
}

func tokensTooDeep(tokens hclsyntax.Tokens) (hcl.Range, bool) {
	stack := []frame{{lines: true}}
	total := 0
	end := func() {
		total -= stack[len(stack)-1].chain
		stack[len(stack)-1].chain = 0
	}
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			stack[len(stack)-1].chain++
			total++
			stack = append(stack, frame{lines: t.Type == hclsyntax.TokenOBrace && !opensFor(tokens[i+1:])})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			if len(stack) > 1 {
				end()
				stack = stack[:len(stack)-1]
			}
		case hclsyntax.TokenComma:
			end()
		case hclsyntax.TokenNewline, hclsyntax.TokenComment: // a comment holds the end of its line
			if stack[len(stack)-1].lines {
				end()
			}
		case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit: // flat, however many
		default:
			stack[len(stack)-1].chain++
			total++
		}
		if len(stack) > maxNesting || total > maxChain {
			return t.Range, true
		}
	}
	return hcl.Range{}, false
}

// opensFor reports whether what follows a brace is a `for` expression, in which
// lines do not count.
func opensFor(tokens hclsyntax.Tokens) bool {
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenComment {
			return t.Type == hclsyntax.TokenIdent && string(t.Bytes) == "for"
		}
	}
	return false
}

// tooDeepJSON reports whether JSON nests too deep.
func tooDeepJSON(src []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
