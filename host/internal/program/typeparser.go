package program

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of one type.
const (
	maxType         = 4 << 10
	maxTypeNesting  = 16
	maxTypeParts    = 64
	maxLiterals     = 256
	maxLiteralBytes = 256
)

// parser reads types, and the signatures around them.
type parser struct {
	lexer lexer
	// tok is the token to be read next.
	tok token
	// parts counts the parts of the type being read.
	parts int
}

// parseType reads one whole type.
func parseType(text string) (*typ, error) {
	if len(text) > maxType {
		return nil, &syntaxError{maxType, fmt.Sprintf("longer than %d bytes", maxType)}
	}
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	t, err := p.field()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, p.unexpected("the end")
	}
	return t, nil
}

func newParser(text string) (*parser, error) {
	if !utf8.ValidString(text) {
		return nil, &syntaxError{0, "invalid UTF-8"}
	}
	p := &parser{lexer: lexer{text: text}}
	return p, p.advance()
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lexer.next()
	return err
}

// unexpected is the error that the next token is not what is wanted.
func (p *parser) unexpected(want string) error {
	got := "the end"
	if p.tok.kind != tokenEnd {
		got = quote(p.tok.text)
	}
	return &syntaxError{p.tok.at, fmt.Sprintf("want %s, got %s", want, got)}
}

func (p *parser) isMark(text string) bool { return p.tok.kind == tokenMark && p.tok.text == text }

// mark reads a given mark.
func (p *parser) mark(text string) error {
	if !p.isMark(text) {
		return p.unexpected(strconv.Quote(text))
	}
	return p.advance()
}

// field reads the type of a field.
func (p *parser) field() (*typ, error) {
	at := p.tok.at
	p.parts = 0
	t, err := p.typ(1)
	if err != nil {
		return nil, err
	}
	// The canonical form can be longer than the text, and must parse as well.
	if p.tok.at-at > maxType || len(t.String()) > maxType {
		return nil, &syntaxError{at, fmt.Sprintf("type longer than %d bytes", maxType)}
	}
	if t.kind == kindNone {
		return nil, &syntaxError{at, "a field cannot be only None"}
	}
	return t, nil
}

// typ reads a type: parts joined by "|".
func (p *parser) typ(depth int) (*typ, error) {
	var types []*typ
	for {
		t, err := p.part(depth)
		if err != nil {
			return nil, err
		}
		types = append(types, t)
		if !p.isMark("|") {
			return union(types), nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// part reads a type without a "|" around it.
func (p *parser) part(depth int) (*typ, error) {
	name := p.tok
	if name.kind != tokenName {
		return nil, p.unexpected("a type")
	}
	p.parts++
	if depth > maxTypeNesting || p.parts > maxTypeParts {
		return nil, &syntaxError{name.at, fmt.Sprintf("type too complex: at most %d levels and %d parts", maxTypeNesting, maxTypeParts)}
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.isMark("[") {
		if t, ok := simpleTypes[name.text]; ok {
			return &t, nil
		}
		switch name.text {
		case "Optional", "Union", "Literal":
			return nil, &syntaxError{name.at, fmt.Sprintf("%s needs its parts in brackets", name.text)}
		}
		return nil, unknownType(name)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	t, err := p.subscript(name, depth)
	if err != nil {
		return nil, err
	}
	return t, p.mark("]")
}

// subscript reads what stands in the brackets after a name.
func (p *parser) subscript(name token, depth int) (*typ, error) {
	switch name.text {
	case "list", "List":
		element, err := p.typ(depth + 1)
		return &typ{kind: kindList, parts: []*typ{element}}, err
	case "dict", "Dict":
		if p.tok.kind != tokenName || p.tok.text != "str" {
			return nil, p.unexpected("str: the keys of a JSON object are strings")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.mark(","); err != nil {
			return nil, err
		}
		value, err := p.typ(depth + 1)
		return &typ{kind: kindDict, parts: []*typ{value}}, err
	case "Optional":
		t, err := p.typ(depth + 1)
		if err != nil {
			return nil, err
		}
		return union([]*typ{t, {kind: kindNone}}), nil
	case "Union":
		var types []*typ
		for {
			t, err := p.typ(depth + 1)
			if err != nil {
				return nil, err
			}
			types = append(types, t)
			if !p.isMark(",") {
				return union(types), nil
			}
			if err := p.advance(); err != nil {
				return nil, err
			}
		}
	case "Literal":
		return p.literals()
	}
	if _, ok := simpleTypes[name.text]; ok {
		return nil, &syntaxError{name.at, fmt.Sprintf("%s has no parts in brackets", name.text)}
	}
	return nil, unknownType(name)
}

// literals reads the values of a Literal. A None among them makes it optional.
func (p *parser) literals() (*typ, error) {
	var values []literal
	none, seen := false, map[string]bool{}
	for {
		value, isNone, err := p.literal()
		if err != nil {
			return nil, err
		}
		if none = none || isNone; !isNone && !seen[value.text] {
			seen[value.text] = true
			values = append(values, value)
		}
		if len(values) > maxLiterals {
			return nil, &syntaxError{p.tok.at, fmt.Sprintf("more than %d values in a Literal", maxLiterals)}
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.isMark(",") {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	switch {
	case len(values) == 0:
		return &typ{kind: kindNone}, nil
	case none:
		return union([]*typ{{kind: kindLiteral, literals: values}, {kind: kindNone}}), nil
	}
	return &typ{kind: kindLiteral, literals: values}, nil
}

// literal reads the value at the next token, which it leaves there.
func (p *parser) literal() (value literal, none bool, err error) {
	const want = "a string, an integer, true, false or None"
	switch p.tok.kind {
	case tokenString:
		if len(p.tok.value) > maxLiteralBytes {
			return literal{}, false, &syntaxError{p.tok.at, fmt.Sprintf("Literal value longer than %d bytes", maxLiteralBytes)}
		}
		return literal{text: jsonString(p.tok.value)}, false, nil
	case tokenInteger:
		n, err := strconv.ParseInt(p.tok.text, 10, 64)
		if err != nil {
			return literal{}, false, p.unexpected(want)
		}
		return literal{text: strconv.FormatInt(n, 10)}, false, nil
	case tokenName:
		switch p.tok.text {
		case "True", "true":
			return literal{text: "true"}, false, nil
		case "False", "false":
			return literal{text: "false"}, false, nil
		case "None", "null":
			return literal{}, true, nil
		}
	}
	return literal{}, false, p.unexpected(want)
}

// jsonString is a string of a type as JSON. It has no control characters.
func jsonString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func unknownType(name token) error {
	meant := otherNames[name.text]
	if meant == "" {
		return &syntaxError{name.at, fmt.Sprintf("%s is not an accepted type%s", quote(name.text),
			didYouMean(name.text, []string{"str", "int", "float", "bool", "Any", "list", "dict", "Optional", "Literal"}))}
	}
	return &syntaxError{name.at, fmt.Sprintf("%s is not an accepted type; did you mean %q?", quote(name.text), meant)}
}
