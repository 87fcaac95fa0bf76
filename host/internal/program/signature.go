package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/shared"
)

// Limits of a signature.
const (
	maxSignature = 16 << 10
	maxFields    = 64
	maxDesc      = 4 << 10
)

// ParseSignature reads a signature in text form, such as
// "context: list[str], question -> answer: str, score: float". A field without a
// type is a str. The error is a SignatureInvalid with the byte offset.
func ParseSignature(text string) (shared.Signature, error) {
	sig, err := parseSignatureText(text)
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		err = signatureError("spec.signature: %w", err)
	}
	return sig, err
}

// FormatSignature writes a signature in text form, without descriptions.
func FormatSignature(sig shared.Signature) string {
	var b strings.Builder
	for i, fields := range [][]shared.Field{sig.Inputs, sig.Outputs} {
		if i == 1 {
			b.WriteString(" -> ")
		}
		for j, f := range fields {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.Name + ": " + f.Type)
		}
	}
	return b.String()
}

func parseSignatureText(text string) (shared.Signature, error) {
	var sig shared.Signature
	if len(text) > maxSignature {
		return sig, &syntaxError{maxSignature, fmt.Sprintf("longer than %d bytes", maxSignature)}
	}
	p, err := newParser(text)
	if err != nil {
		return sig, err
	}
	names := map[string]bool{}
	if sig.Inputs, err = p.fields(inputField, names); err != nil {
		return shared.Signature{}, err
	}
	if !p.isMark("->") {
		return shared.Signature{}, p.unexpected(`"," or "->"`)
	}
	if err := p.advance(); err != nil {
		return shared.Signature{}, err
	}
	if sig.Outputs, err = p.fields(outputField, names); err != nil {
		return shared.Signature{}, err
	}
	if p.tok.kind != tokenEnd {
		return shared.Signature{}, p.unexpected(`"," or the end`)
	}
	return sig, nil
}

// fields reads the fields on one side of the arrow. A last comma may follow.
func (p *parser) fields(role fieldRole, names map[string]bool) ([]shared.Field, error) {
	var fields []shared.Field
	for {
		name := p.tok
		if name.kind != tokenName {
			if len(fields) > 0 && (name.kind == tokenEnd || p.isMark("->")) {
				return fields, nil
			}
			return nil, p.unexpected(role.String() + " field")
		}
		if problem := checkFieldName(name.text, role, names); problem != "" {
			return nil, &syntaxError{name.at, problem}
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		field := shared.Field{Name: name.text, Type: "str"}
		if p.isMark(":") {
			if err := p.advance(); err != nil {
				return nil, err
			}
			t, err := p.field()
			if err != nil {
				return nil, inField(name.text, err)
			}
			field.Type = t.String()
		}
		fields = append(fields, field)
		if !p.isMark(",") {
			return fields, nil
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// inField adds the name of the field to a fault in its type.
func inField(name string, err error) error {
	var syntax *syntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	return &syntaxError{syntax.at, fmt.Sprintf("field %q: %s", name, syntax.problem)}
}

// parseSignatureValue reads a signature in text or object form, and the
// instructions that an object may hold.
func parseSignatureValue(raw json.RawMessage) (sig shared.Signature, instructions string, err error) {
	const where = "spec.signature"
	if raw == nil {
		return sig, "", signatureError("spec: no signature").WithHint(`write one, such as "question -> answer"`)
	}
	switch kind := jsonx.KindOf(raw); kind {
	case jsonx.String:
		sig, err = ParseSignature(jsonx.Text(raw))
		return sig, "", err
	case jsonx.Object:
	default:
		return sig, "", signatureError("%s: want a string or an object, got %s", where, kind)
	}
	obj, err := readObject(where, raw, []string{"inputs", "outputs", "instructions"})
	if err != nil {
		return sig, "", asSignatureError(err)
	}
	if instructions, err = readText(where+".instructions", obj["instructions"], maxInstructions); err != nil {
		return sig, "", asSignatureError(err)
	}
	names := map[string]bool{}
	inputs, err := parseFields(where+".inputs", obj["inputs"], inputField, names)
	if err != nil {
		return sig, "", err
	}
	outputs, err := parseFields(where+".outputs", obj["outputs"], outputField, names)
	if err != nil {
		return sig, "", err
	}
	return shared.Signature{Inputs: inputs, Outputs: outputs}, instructions, nil
}

// parseFields reads the fields of a signature in object form.
func parseFields(where string, raw json.RawMessage, role fieldRole, names map[string]bool) ([]shared.Field, error) {
	if raw == nil || jsonx.KindOf(raw) != jsonx.Array {
		return nil, signatureError("%s: want an array of fields", where)
	}
	var fields []shared.Field
	for element := range jsonx.Elements(raw) {
		field, err := parseField(index(where, len(fields)), element, role, names)
		if err != nil {
			return nil, asSignatureError(err)
		}
		fields = append(fields, field)
	}
	if len(fields) == 0 {
		return nil, signatureError("%s: want one field at least", where)
	}
	return fields, nil
}

func parseField(where string, raw json.RawMessage, role fieldRole, names map[string]bool) (shared.Field, error) {
	var field shared.Field
	obj, err := readObject(where, raw, []string{"name", "type", "desc"})
	if err != nil {
		return field, err
	}
	if field.Name, err = readText(where+".name", obj["name"], maxSpec); err != nil {
		return field, err
	}
	if problem := checkFieldName(field.Name, role, names); problem != "" {
		return field, signatureError("%s.name: %s", where, problem)
	}
	field.Type = "str"
	if obj["type"] != nil {
		text, err := readText(where+".type", obj["type"], maxSpec)
		if err != nil {
			return field, err
		}
		t, err := parseType(text)
		if err != nil {
			return field, signatureError("%s.type: field %q: %w", where, field.Name, err)
		}
		field.Type = t.String()
	}
	field.Desc, err = readText(where+".desc", obj["desc"], maxDesc)
	return field, err
}

// signatureError is a SignatureInvalid that lists the accepted types.
func signatureError(format string, args ...any) *shared.Error {
	return shared.Errorf(shared.SignatureInvalid, format, args...).WithHint(acceptedTypes)
}

// asSignatureError gives an error about a part of a signature its reason.
func asSignatureError(err error) error {
	e := *shared.AsError(err)
	e.Reason = shared.SignatureInvalid
	if e.Hint == "" {
		e.Hint = acceptedTypes
	}
	return &e
}
