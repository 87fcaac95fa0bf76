// Package program checks what callers write about DSPy programs, before DSPy
// sees any of it.
//
// DSPy's own parser of signatures imports modules by the names it meets and
// repeats in its errors what it finds there. [ParseSpec] therefore accepts a
// signature only if each type is on a list, and brings a specification to one
// canonical form; a worker builds the program from that form and never parses text.
// [ValidateInputs] holds the inputs of a run against the signature, [Hash]
// names a specification by its content, and [Data] is what a worker gets.
//
// # Concurrency
//
// All functions may be called at once.
package program

import (
	"encoding/json"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/shared"
)

// Limits of a specification.
const (
	maxSpec         = 256 << 10
	maxInstructions = 64 << 10
	maxDescription  = 4 << 10
	maxDemos        = 100
	maxBlockName    = 63
)

var specKeys = []string{"signature", "module", "instructions", "pool", "lm", "config", "demos", "description"}

// ParseSpec reads a program's specification as a caller wrote it: a JSON object
// with the keys
//
//   - signature, required: text such as "context: list[str], question -> answer", or an
//     object {"inputs": [{"name", "type", "desc"}], "outputs": [...]}, which may
//     also hold the instructions;
//   - module: Predict, the default, or ChainOfThought;
//   - instructions, description, and the names of a pool and of an lm block;
//   - config: settings for each LM call, such as temperature;
//   - demos: objects with values for fields of the signature.
//
// A key that is null counts as left out. The result is canonical: its JSON parses
// to itself. The error is a *shared.Error: SignatureInvalid if the signature is
// at fault, PayloadTooLarge if raw is, else InvalidArgument.
func ParseSpec(raw json.RawMessage) (shared.ProgramSpec, error) {
	var none shared.ProgramSpec
	if err := jsonx.CheckObject("spec", raw, maxSpec, jsonx.MaxDepth); err != nil {
		return none, err
	}
	obj, err := readObject("spec", raw, specKeys)
	if err != nil {
		return none, err
	}
	spec := none
	var inside string
	if spec.Signature, inside, err = parseSignatureValue(obj["signature"]); err != nil {
		return none, err
	}
	if spec.Module, err = parseModule(obj["module"]); err != nil {
		return none, err
	}
	if err := checkModuleFields(spec.Module, spec.Signature); err != nil {
		return none, err
	}
	if spec.Instructions, err = readText("spec.instructions", obj["instructions"], maxInstructions); err != nil {
		return none, err
	}
	if inside != "" {
		if spec.Instructions != "" && spec.Instructions != inside {
			return none, invalid("spec.instructions", "differ from spec.signature.instructions")
		}
		spec.Instructions = inside
	}
	if spec.Pool, err = readBlockName("spec.pool", obj["pool"]); err != nil {
		return none, err
	}
	if spec.LM, err = readBlockName("spec.lm", obj["lm"]); err != nil {
		return none, err
	}
	if spec.Config, err = parseConfig(obj["config"]); err != nil {
		return none, err
	}
	if spec.Demos, err = parseDemos(spec.Module, spec.Signature, obj["demos"]); err != nil {
		return none, err
	}
	if spec.Description, err = readText("spec.description", obj["description"], maxDescription); err != nil {
		return none, err
	}
	// A canonical form can be longer than its source, and must parse as well.
	if n := len(canonicalSpec(spec)); n > maxSpec {
		return none, shared.Errorf(shared.PayloadTooLarge, "spec: %d bytes in canonical form, the limit is %d", n, maxSpec)
	}
	return spec, nil
}

// Normalize checks a specification that was made or changed in Go, and returns
// it in canonical form. Errors are those of ParseSpec.
func Normalize(spec shared.ProgramSpec) (shared.ProgramSpec, error) {
	raw, err := encode(spec)
	if err != nil {
		return shared.ProgramSpec{}, shared.Errorf(shared.InvalidArgument, "spec: %w", err)
	}
	return ParseSpec(raw)
}

func parseDemos(module string, sig shared.Signature, raw json.RawMessage) ([]json.RawMessage, error) {
	const where = "spec.demos"
	if raw == nil {
		return nil, nil
	}
	if kind := jsonx.KindOf(raw); kind != jsonx.Array {
		return nil, invalid(where, "want an array of objects, got %s", kind)
	}
	fields, err := typesOf(sig.Inputs, sig.Outputs)
	if err != nil {
		return nil, err
	}
	if module == chainOfThought {
		fields = append(fields, typedField{reasoning, &typ{kind: kindStr}})
	}
	var demos []json.RawMessage
	for demo := range jsonx.Elements(raw) {
		at := index(where, len(demos))
		if len(demos) == maxDemos {
			return nil, invalid(where, "more than %d demos", maxDemos)
		}
		if kind := jsonx.KindOf(demo); kind != jsonx.Object {
			return nil, invalid(at, "want an object, got %s", kind)
		}
		c := checker{}
		c.members(at+".", fields, demo, false)
		if len(c.problems) > 0 {
			return nil, shared.Errorf(shared.InvalidArgument, "spec: %s", c.summary()).
				WithHint("a demo has values for fields of the signature %s", clip(FormatSignature(sig), maxHint))
		}
		canonical, err := canonicalJSON(demo)
		if err != nil {
			return nil, invalid(at, "%w", err)
		}
		demos = append(demos, canonical)
	}
	return demos, nil
}
