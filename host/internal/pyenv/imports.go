package pyenv

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// importTimeout bounds the import of all modules, which takes seconds.
const importTimeout = 3 * time.Minute

//go:embed imports.py
var importScript string

// imported is what importScript prints.
type imported struct {
	Milliseconds map[string]int `json:"ms"`
	Failed       string         `json:"failed"`
	Error        string         `json:"error"`
}

// importAll imports modules in the way that workers will.
func (o *Options) importAll(ctx context.Context, python string, folders, modules []string) error {
	if len(modules) == 0 {
		return nil
	}
	return o.step("check imports", strings.Join(modules, ", "), func() error {
		return o.importModules(ctx, python, folders, modules)
	})
}

func (o *Options) importModules(ctx context.Context, python string, folders, modules []string) error {
	scratch, err := os.MkdirTemp("", "dspex-imports-")
	if err != nil {
		return fileFailed("check imports", err)
	}
	defer func() { _ = removeAll(scratch) }()
	what, err := json.Marshal([2][]string{folders, modules})
	if err != nil {
		return failed("check imports: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, importTimeout, fmt.Errorf("not over within %v", importTimeout))
	defer cancel()
	// DSPy makes a cache when it is imported, and LiteLLM fetches a price list.
	env := append(o.probeEnv(), "DSPY_CACHEDIR="+scratch, "LITELLM_LOCAL_MODEL_COST_MAP=true")
	out, err := o.command(env, python, append(o.flags(), "-c", importScript, string(what))...).run(ctx)
	var answer imported
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		return failed("import %s with %s: %w", strings.Join(modules, ", "), python, err).
			WithHint("try it by hand: %s -c 'import %s'", python, strings.Join(modules, ", "))
	}
	if answer.Failed != "" {
		hint := fmt.Sprintf("try it by hand: %s -c 'import %s'", python, answer.Failed)
		if n, ok := needs[answer.Failed]; ok && strings.HasPrefix(answer.Error, "ModuleNotFoundError") {
			hint = fmt.Sprintf("the requirements must have the package %s", n.requirement())
		}
		return failed("import %s with %s: %s", answer.Failed, python, clip(answer.Error)).WithHint("%s", hint)
	}
	o.Log.Debug("modules can be imported", "milliseconds", answer.Milliseconds)
	return nil
}

// lacking returns the modules that are not among those that were checked.
func lacking(modules, checked []string) []string {
	var out []string
	for _, module := range modules {
		if !slices.Contains(checked, module) {
			out = append(out, module)
		}
	}
	return out
}
