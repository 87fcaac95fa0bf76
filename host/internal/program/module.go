package program

import (
	"encoding/json"
	"strings"

	"github.com/dspex/dspex/host/internal/jsonx"
	"github.com/dspex/dspex/shared"
)

const (
	predict        = "Predict"
	chainOfThought = "ChainOfThought"

	// reasoning is the output that ChainOfThought adds.
	reasoning = "reasoning"
)

// modules maps each spelling of a supported module to its name.
var modules = map[string]string{
	"predict": predict, "Predict": predict, "dspy.Predict": predict,
	"chain_of_thought": chainOfThought, "ChainOfThought": chainOfThought, "dspy.ChainOfThought": chainOfThought,
}

var moduleNames = []string{predict, chainOfThought}

func parseModule(raw json.RawMessage) (string, error) {
	const where = "spec.module"
	if raw == nil {
		return predict, nil
	}
	if kind := jsonx.KindOf(raw); kind != jsonx.String {
		return "", invalid(where, "want a string, got %s", kind)
	}
	text := jsonx.Text(raw)
	if name, ok := modules[text]; ok {
		return name, nil
	}
	return "", invalid(where, "%s is not supported%s", quote(text), didYouMean(strings.TrimPrefix(text, "dspy."), moduleNames)).
		WithHint("the supported modules are %s", strings.Join(moduleNames, ", "))
}

// checkModuleFields refuses fields that the module adds by itself.
func checkModuleFields(module string, sig shared.Signature) error {
	if module != chainOfThought {
		return nil
	}
	for _, fields := range [][]shared.Field{sig.Inputs, sig.Outputs} {
		for _, f := range fields {
			if f.Name == reasoning {
				return signatureError("spec.signature: field %q: ChainOfThought adds this output itself", reasoning).
					WithHint("leave the field out, or use module Predict")
			}
		}
	}
	return nil
}
