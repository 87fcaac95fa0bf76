package api

import (
	"os"
	"os/exec"
	"testing"
)

// TestSchemathesis holds the server against openapi.yaml with generated requests,
// good and bad. It needs the program st of schemathesis 4.32.5 in DSPEX_ST or on the
// PATH.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	program := os.Getenv("DSPEX_ST")
	if program == "" {
		var err error
		if program, err = exec.LookPath("st"); err != nil {
			t.Skip("schemathesis is not installed")
		}
	}
	x := start(t, newFake(), Options{})
	cmd := exec.CommandContext(t.Context(), program, "--config-file", "testdata/schemathesis.toml", "run", x.url+"/openapi.yaml")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("schemathesis: %v\n%s", err, out)
	}
}
