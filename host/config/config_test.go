package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

var update = flag.Bool("update", false, "write the golden files")

// noEnv is an empty environment, so that tests do not depend on the machine's.
func noEnv(string) (string, bool) { return "", false }

func load(t *testing.T, src string, opts Options) (*Config, string) {
	t.Helper()
	if opts.Env == nil {
		opts.Env = noEnv
	}
	c, diags, files := Parse([]byte(src), "test.hcl", opts)
	var out bytes.Buffer
	if err := WriteDiagnostics(&out, diags, files, 0, false); err != nil {
		t.Fatal(err)
	}
	return c, out.String()
}

func mustLoad(t *testing.T, src string, opts Options) *Config {
	t.Helper()
	c, diags := load(t, src, opts)
	if c == nil {
		t.Fatalf("the configuration was refused:\n%s", diags)
	}
	return c
}

// TestGolden holds every testdata/*.hcl against the diagnostics in its .golden.
func TestGolden(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(cases) < 20 {
		t.Fatalf("%d golden cases, %v", len(cases), err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hcl"), func(t *testing.T) {
			t.Parallel()
			c, diags, files := Load(Options{Paths: []string{path}, Env: noEnv})
			if (c == nil) != diags.HasErrors() {
				t.Errorf("Config is nil: %t, errors: %t", c == nil, diags.HasErrors())
			}
			var out bytes.Buffer
			if err := WriteDiagnostics(&out, diags, files, 0, false); err != nil {
				t.Fatal(err)
			}
			// Paths of this machine are not part of the contract.
			cwd, _ := os.Getwd()
			got := strings.ReplaceAll(out.String(), cwd, "DIR")
			golden := strings.TrimSuffix(path, ".hcl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("diagnostics differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSmallestConfiguration(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `pool "echo" {}`, Options{})
	want := DefaultPool("echo")
	if diff := cmp.Diff(want, c.Pools[0]); diff != "" {
		t.Errorf("pool differs from the default (-want +got):\n%s", diff)
	}
	if len(c.Listeners) != 2 || c.Listeners[0].Kind != "unix" || c.Listeners[0].Mode != 0o660 || c.Listeners[1].Address != "127.0.0.1:4680" {
		t.Errorf("listeners = %+v, want the unix socket and 127.0.0.1:4680", c.Listeners)
	}
}

// TestReferenceFile: pools.hcl loads with nothing in the environment, is
// canonical, and shows everything that the language has.
func TestReferenceFile(t *testing.T) {
	t.Parallel()
	const path = "../../pools.hcl"
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, diags, _ := Load(Options{Paths: []string{path}, Env: noEnv})
	if c == nil {
		t.Fatalf("pools.hcl was refused: %v", diags)
	}
	if len(c.Pools) != 1 || c.Pools[0].Size != 8 || c.Pools[0].ExecutionTimeout != time.Minute {
		t.Errorf("pools = %+v, want one of 8 workers", c.Pools)
	}
	formatted, _ := Format(src, path)
	if diff := cmp.Diff(string(formatted), string(src)); diff != "" {
		t.Errorf("pools.hcl is not formatted (-want +got):\n%s", diff)
	}
	// What is commented out is the default, and valid: each line alone, in its block.
	seen := map[string]bool{}
	var walk func(prefix string, blocks []*Block)
	walk = func(prefix string, blocks []*Block) {
		for _, b := range blocks {
			if b.Type == "defaults" {
				continue
			}
			for _, a := range b.Attributes {
				seen[prefix+b.Type+"."+a.Name] = false
			}
			walk(prefix+b.Type+".", b.Blocks)
		}
	}
	walk("", Reference())
	var stack []string
	for _, line := range strings.Split(string(src), "\n") {
		trimmed := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "# "))
		switch {
		case strings.HasSuffix(line, "{") && !strings.HasPrefix(strings.TrimSpace(line), "#"):
			stack = append(stack, strings.Fields(trimmed)[0])
		case strings.TrimSpace(line) == "}":
			stack = stack[:len(stack)-1]
		default:
			if name, _, ok := strings.Cut(trimmed, "="); ok && len(stack) > 0 {
				key := strings.Join(stack, ".") + "." + strings.TrimSpace(name)
				if _, known := seen[key]; known {
					seen[key] = true
				}
			}
		}
	}
	for key, ok := range seen {
		if !ok {
			t.Errorf("pools.hcl does not show %s", key)
		}
	}
}

// TestDefaultsInTheTable: a default that the table shows is what an empty block
// has.
func TestDefaultsInTheTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("lm \"m\" {\n model = \"x\"\n}\npool \"p\" {\n")
	for _, block := range Reference() {
		if block.Type != "pool" {
			continue
		}
		for _, a := range block.Attributes {
			if a.Default != "" && a.Name != "command" && a.Name != "module" && a.Name != "env" && a.Name != "labels" && a.Name != "cwd" {
				b.WriteString(a.Name + " = " + a.Default + "\n")
			}
		}
		for _, sub := range block.Blocks {
			b.WriteString(sub.Type + " {\n")
			for _, a := range sub.Attributes {
				if a.Default != "" && a.Default != "[]" && a.Default != `""` {
					b.WriteString(a.Name + " = " + a.Default + "\n")
				}
			}
			b.WriteString("}\n")
		}
	}
	b.WriteString("}\n")
	c := mustLoad(t, b.String(), Options{})
	if diff := cmp.Diff(DefaultPool("p"), c.Pools[0]); diff != "" {
		t.Errorf("the table's defaults differ from DefaultPool (-want +got):\n%s", diff)
	}
}

func TestVariablePrecedence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	main := write("pools.hcl", "variable \"n\" {\n  type    = number\n  default = 1\n}\npool \"p\" {\n  size = var.n\n}\n")
	size := func(opts Options) int {
		t.Helper()
		opts.Paths = []string{main}
		if opts.Env == nil {
			opts.Env = noEnv
		}
		c, diags, _ := Load(opts)
		if c == nil {
			t.Fatal(diags)
		}
		return c.Pools[0].Size
	}
	env := func(name string) (string, bool) { return "3", name == "DSPEX_VAR_n" }
	file := write("my.dspexvars", "n = 4\n")
	if got := size(Options{}); got != 1 {
		t.Errorf("default: size = %d, want 1", got)
	}
	write("a.auto.dspexvars", "n = 2\n")
	for _, tc := range []struct {
		name string
		opts Options
		want int
	}{
		{"auto file", Options{}, 2},
		{"environment", Options{Env: env}, 3},
		{"file", Options{Env: env, VarFiles: []string{file}}, 4},
		{"flag", Options{Env: env, VarFiles: []string{file}, Vars: []string{"n=5"}}, 5},
	} {
		if got := size(tc.opts); got != tc.want {
			t.Errorf("%s: size = %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestDefaultsMergeByAttribute(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
defaults {
  size = 3
  worker {
    concurrency = 5
    max_message = "1MiB"
  }
}
pool "a" {
  worker {
    concurrency = 7
  }
}
pool "b" {
  size = 4
}`, Options{})
	a, b := c.Pools[0], c.Pools[1]
	if a.Size != 3 || a.Worker.Concurrency != 7 || a.Worker.MaxMessage != 1<<20 || b.Size != 4 || b.Worker.Concurrency != 5 {
		t.Errorf("a = %d %+v, b = %d %+v", a.Size, a.Worker, b.Size, b.Worker)
	}
}

func TestEnvironmentOverridesFolders(t *testing.T) {
	t.Parallel()
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"DSPEX_DATA_DIR": "/d", "DSPEX_RUN_DIR": "/r"}[name]
		return v, ok
	}
	c := mustLoad(t, `host { data_dir = "/elsewhere" }
pool "p" {}`, Options{Env: env})
	if c.Host.DataDir != "/d" || c.Store.Path != "/d/dspex.db" || c.Host.RunDir != "/r" || c.Listeners[0].Path != "/r/api.sock" {
		t.Errorf("data %s, store %s, run %s, socket %s", c.Host.DataDir, c.Store.Path, c.Host.RunDir, c.Listeners[0].Path)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	src := `
variable "key" {
  type      = string
  default   = "sk-canary"
  sensitive = true
}
lm "m" {
  model   = "x"
  api_key = var.key
  timeout = var.key
}
pool "p" {
  size = var.key
}`
	_, diags := load(t, src, Options{})
	shown := strings.ReplaceAll(diags, `default   = "sk-canary"`, "")
	if strings.Contains(shown, "sk-canary") || diags == "" {
		t.Errorf("the diagnostics show the key:\n%s", diags)
	}
	c := mustLoad(t, strings.NewReplacer("timeout = var.key", "", "size = var.key", "").Replace(src), Options{})
	lm := c.LMs["m"]
	if lm.APIKey.Reveal() != "sk-canary" || lm.APIKey.String() != "(sensitive)" {
		t.Errorf("api_key = %q, printed as %q", lm.APIKey.Reveal(), lm.APIKey)
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "1h30m": 90 * time.Minute,
		"7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "1.5d": 36 * time.Hour,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "-1s", "1x", "d", "1d-1s", "99999999d", strings.Repeat("9", 1000)} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %s, want an error", text, got)
		}
	}
}

func TestDirectoriesAreReadInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"b.hcl": "pool \"b\" {}\n", "a.hcl": "pool \"a\" {}\n", "c.txt": "nonsense"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, diags, _ := Load(Options{Paths: []string{dir}, Env: noEnv})
	if c == nil || len(c.Pools) != 2 || c.Pools[0].Name != "a" {
		t.Errorf("pools = %+v, %v; want a and b", c, diags)
	}
}

// TestHostileExpressions: no small file makes loading slow or large.
func TestHostileExpressions(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"nested loops":   `locals { x = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : 1]]] }`,
		"doubling":       "locals {\n a = range(1000)\n b = [for x in local.a : local.a]\n c = [for x in local.b : local.b]\n}",
		"too long":       "# " + strings.Repeat("x", maxFile),
		"circle":         "locals {\n a = local.b\n b = local.a\n}",
		"deep brackets":  "locals { x = " + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + " }",
		"missing in env": `locals { x = env("NOT_THERE") }`,
	} {
		c, diags := load(t, src+"\npool \"p\" {}", Options{})
		if c != nil || diags == "" {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestCheckProgramBecomesADiagnostic(t *testing.T) {
	t.Parallel()
	_, diags := load(t, "pool \"p\" {}\nprogram \"x\" {\n  pool      = \"p\"\n  signature = \"q: os.environ -> a\"\n}", Options{
		CheckProgram: func(p Program) error { return os.ErrInvalid },
	})
	if !strings.Contains(diags, "line 4") || !strings.Contains(diags, "Bad program") {
		t.Errorf("diagnostics = %s, want one at the signature", diags)
	}
}

func TestDiagnosticsJSON(t *testing.T) {
	t.Parallel()
	_, diags, files := Parse([]byte("pool \"qa\" {\n  queue_timeout = 5000\n}\n"), "bad.hcl", Options{Env: noEnv})
	got, err := DiagnosticsJSON(diags, files)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"valid": false`, `"error_count": 1`, `"summary": "Duration needs a unit"`, `"line": 2`,
		`"code": "  queue_timeout = 5000"`, `"context": "pool \"qa\""`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("JSON lacks %s:\n%s", want, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile("../../pools.hcl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add([]byte(`pool "p" { size = [for x in range(3) : x] }`))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, diags, files := Parse(src, "fuzz.hcl", Options{Env: noEnv, NoFS: true})
		if (c == nil) != diags.HasErrors() {
			t.Errorf("Config is nil: %t, errors: %t", c == nil, diags.HasErrors())
		}
		if err := WriteDiagnostics(&bytes.Buffer{}, diags, files, 80, false); err != nil {
			t.Error(err)
		}
		var _ hcl.Diagnostics = diags
	})
}
