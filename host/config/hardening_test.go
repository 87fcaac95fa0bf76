package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

// TestHostileFilesAreRefused: a file of at most 1 MiB neither ends the process nor
// makes loading slow.
func TestHostileFilesAreRefused(t *testing.T) {
	t.Parallel()
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i, i+1)
		}
		return b.String()
	}
	text := strings.Repeat("x", 4000)
	for name, tc := range map[string]struct{ src, want string }{
		"operators":       {"locals { x = " + strings.Repeat("!", 900_000) + "true }", "Nested too deep"},
		"additions":       {"locals { x = " + strings.Repeat("1+", 400_000) + "1 }", "Nested too deep"},
		"lines in for":    {"locals {\nx = {for k in [1] : k => " + strings.Repeat("1+\n", 300_000) + "1 }\n}", "Nested too deep"},
		"decoded JSON":    {`locals { x = jsondecode("` + strings.Repeat("[", 400_000) + `") }`, "nests too deep"},
		"loops":           {`locals { x = [for a in range(1000) : [for b in range(1000) : "${a}-${b}"]] }`, "takes too long"},
		"text":            {"locals {\na = \"" + text + "\"\nb = \"" + strings.Repeat("${local.a}", 200) + "\"\nc = \"" + strings.Repeat("${local.b}", 1000) + "\"\n}", "takes too long"},
		"long number":     {`locals { x = "${1e99999999}" }`, "takes too long"},
		"number in text":  {`locals { x = "1e999999999" % 7 }`, "takes too long"},
		"width":           {`locals { x = format("%500000000d", 1) }`, "at most 3 digits"},
		"join":            {"locals {\na = \"" + text + "\"\nb = join(\"" + strings.Repeat("${local.a}", 200) + "\", range(1000))\n}", "too large"},
		"chain of locals": {"locals {\n" + lines(5000, "a%d = local.a%d\n") + "a5000 = 1\n}", "Chain too long"},
		"many unknown":    {lines(20_000, "a%d = %d\n"), "Too many mistakes"},
		"many pools":      {lines(2000, "pool \"p%d\" {} # %d\n"), "Too many pools"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, diags, _ := Parse([]byte(tc.src+"\npool \"p\" {}\n"), "test.hcl", Options{Env: noEnv})
			if c != nil || !strings.Contains(diagText(diags), tc.want) {
				t.Errorf("diagnostics = %.300s, want one with %q", diagText(diags), tc.want)
			}
		})
	}
}

// TestManyLocals: what is large and harmless loads.
func TestManyLocals(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("locals {\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "a%d = %d\n", i, i)
	}
	mustLoad(t, b.String()+"}\npool \"p\" {}\n", Options{})
}

// TestExpressions: accounting for values does not change them.
func TestExpressions(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
locals {
  word = "x"
  list = [{ n = "A" }, { n = "B" }]
}
pool "p" {
  description = "%{for x in ["a", "b"]}${x}%{endfor}-%{if 1 < 2}y%{endif}"
  labels      = { "${local.word}1" = "b", (local.word) = "c", word = "d" }
  env         = { for k, v in { a = 1, b = 2 } : upper(k) => v if v > 1 }
  inherit_env = [for o in local.list : o.n]
  size        = -(-3) + [1, 2][1]
  min_ready   = try(local.list[9].n, can(local.word.x) ? 1 : 2)
  worker {
    preload = local.list[*].n
  }
  cancel_grace = local["word"] == "x" ? "1s" : "2s"
}`, Options{})
	want := DefaultPool("p")
	want.Description = "ab-y"
	want.Labels = map[string]string{"x1": "b", "x": "c", "word": "d"}
	want.Env = map[string]string{"B": "2"}
	want.InheritEnv = []string{"A", "B"}
	want.Size, want.MinReady, want.CancelGrace = 5, 2, time.Second
	want.Worker.Preload = []string{"A", "B"}
	if diff := cmp.Diff(want, c.Pools[0]); diff != "" {
		t.Errorf("pool (-want +got):\n%s", diff)
	}
}

func TestJSONSyntax(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.hcl", "pool \"a\" {}\n")
	write(t, dir, "b.hcl.json", `{
  "variable": {"n": {"type": "number", "default": 3}},
  "locals":   {"text": "x${var.n}"},
  "pool":     {"b": {"//": "a comment", "size": "${var.n}", "description": "${local.text}", "labels": {"k": "v"}, "worker": {"concurrency": 4}}}
}`)
	c, diags, _ := Load(Options{Paths: []string{dir}, Env: noEnv})
	if c == nil || len(c.Pools) != 2 {
		t.Fatalf("configuration = %+v, %v; want two pools", c, diags)
	}
	want := DefaultPool("b")
	want.Size, want.Description, want.Labels, want.Worker.Concurrency = 3, "x3", map[string]string{"k": "v"}, 4
	if diff := cmp.Diff(want, c.Pools[1]); diff != "" {
		t.Errorf("pool from JSON (-want +got):\n%s", diff)
	}
	_, diags, _ = Parse([]byte(`{"pool":{"qa":{"sizee":1,"queue_timeout":5}},"polo":1}`), "x.hcl.json", Options{Env: noEnv})
	for _, want := range []string{`Did you mean "size"?`, "needs a unit", `no argument "polo"`} {
		if !strings.Contains(diagText(diags), want) {
			t.Errorf("diagnostics = %s, want %q in them", diagText(diags), want)
		}
	}
}

// TestErrorsHideSensitiveValues: not even a function may quote one.
func TestErrorsHideSensitiveValues(t *testing.T) {
	t.Parallel()
	const secret = "topsecret7"
	_, out := load(t, `
variable "k" {
  sensitive = true
  validation {
    condition     = length(var.k) > 100
    error_message = "bad: ${var.k}"
  }
}
locals {
  a = parseint(var.k, 10)
  b = { for x in [1, 2] : var.k => x }
  c = jsondecode(upper(var.k))
}
pool "p" {
  lm            = var.k
  queue_timeout = var.k
  restart {
    mode = var.k
  }
  worker {
    max_message = var.k
  }
}
`, Options{Vars: []string{"k=" + secret}})
	if strings.Contains(strings.ToLower(out), secret) {
		t.Errorf("the secret is shown:\n%s", out)
	}
	for _, line := range []string{"line 5", "line 10", "line 11", "line 12", "line 15", "line 16", "line 18", "line 21"} {
		if !strings.Contains(out, line) {
			t.Errorf("there is no mistake at %s:\n%s", line, out)
		}
	}
}

// TestMalformedVarIsNotPrinted: what stands there may be the secret itself.
func TestMalformedVarIsNotPrinted(t *testing.T) {
	t.Parallel()
	if _, out := load(t, `pool "p" {}`, Options{Vars: []string{"sk-123"}}); strings.Contains(out, "sk-123") || out == "" {
		t.Errorf("diagnostics = %q, want one without the text", out)
	}
}

func TestDefaultsYieldToCommand(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
lm "m" {
  model = "x/y"
}
defaults {
  lm     = "m"
  module = "acme.qa"
  worker {
    preload = ["json"]
  }
}
pool "go" {
  command = ["cat"]
}
pool "py" {}
`, Options{})
	goPool, py := c.Pools[0], c.Pools[1]
	if goPool.LM != "" || goPool.Module != "" || goPool.Worker.Preload != nil {
		t.Errorf("pool with a command = %+v, want nothing of Python", goPool)
	}
	if py.LM != "m" || py.Module != "acme.qa" {
		t.Errorf("Python pool = %+v, want what defaults says", py)
	}
	_, out := load(t, "pool \"p\" {\n  command = [\"cat\"]\n  worker {\n    preload = [\"json\"]\n  }\n}\n", Options{})
	if !strings.Contains(out, "preload is for Python workers") {
		t.Errorf("diagnostics = %s, want one about preload", out)
	}
}

// TestPathsStartAtTheirFile: functions, path.config and folders of the host.
func TestPathsStartAtTheirFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "text", "outer")
	write(t, sub, "text", "inner")
	write(t, dir, "a.hcl", "host {\n  data_dir = \"state\"\n}\npool \"a\" {\n  description = file(\"text\")\n}\n")
	write(t, sub, "b.hcl", "pool \"b\" {\n  description = file(\"text\")\n  cwd         = path.config\n}\n")
	c, diags, _ := Load(Options{Paths: []string{filepath.Join(dir, "a.hcl"), sub}, Env: noEnv})
	if c == nil {
		t.Fatal(diags)
	}
	got := []string{c.Pools[0].Description, c.Pools[1].Description, c.Pools[1].Cwd, c.Host.DataDir, c.Store.Path}
	want := []string{"outer", "inner", sub, filepath.Join(dir, "state"), filepath.Join(dir, "state", "dspex.db")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

// TestMistakesComeTogether: an unknown name at the top hides no other mistake.
func TestMistakesComeTogether(t *testing.T) {
	t.Parallel()
	_, out := load(t, `
size = 3
variable "a" {
  default     = var.b
  descripton  = "x"
}
variable "b" {
  default = 1
}
lm "m" {
  model = null
}
pool "p" {
  queue_timeout     = "NaNd"
  execution_timeout = "36500d2000000h"
  python            = {}
  env {}
  autoscal {}
  max_rs            = "1GiB"
  queue {
    order = "fair"
  }
  worker {
    max_message = "1024"
  }
  recycle {
    max_rss = "1,5GB"
  }
}
`, Options{})
	at := -1
	for _, want := range []string{
		`"size" belongs in a pool block`, "Reference not allowed", `Did you mean "description"?`, `"model", and it is null`, `"NaNd" is no duration`, "36500d2000000h",
		"without an equals sign", "with an equals sign", `Did you mean "autoscale"? This version of dspex does not support it.`,
		`Did you mean "max_rss", which belongs in a pool recycle block?`, "not supported by this version of dspex; it is fifo", `"1024B" or "1024MiB"`, `"1,5GB" is no size`,
	} {
		next := strings.Index(out, want)
		if next < 0 {
			t.Errorf("no mistake with %q", want)
		} else if next < at {
			t.Errorf("%q is out of the source's order", want)
		}
		at = max(at, next)
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestListenersAtOnePlace(t *testing.T) {
	t.Parallel()
	const two = "listener \"tcp\" \"a\" {\n  address = \"127.0.0.1:%[1]d\"\n}\nlistener \"tcp\" \"b\" {\n  address = \"127.0.0.1:%[1]d\"\n}\npool \"p\" {}\n"
	if _, out := load(t, fmt.Sprintf(two, 4680), Options{}); !strings.Contains(out, "Address taken") {
		t.Errorf("diagnostics = %s, want Address taken", out)
	}
	mustLoad(t, fmt.Sprintf(two, 0), Options{})
	long := filepath.Join("/", strings.Repeat("x", 108))
	if _, out := load(t, "listener \"unix\" \"a\" {\n  path = \""+long+"\"\n}\npool \"p\" {}\n", Options{}); !strings.Contains(out, "line 2") || !strings.Contains(out, "at most 107 bytes") {
		t.Errorf("diagnostics = %s, want one at line 2", out)
	}
}

func TestDefaultFoldersFollowEnv(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root has fixed folders")
	}
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": "/x"}[name]
		return v, ok
	}
	c := mustLoad(t, `pool "p" {}`, Options{Env: env})
	if c.Host.DataDir != "/h/.local/state/dspex" || c.Host.RunDir != "/x/dspex" {
		t.Errorf("folders = %s, %s", c.Host.DataDir, c.Host.RunDir)
	}
}

func TestDurationsDoNotOverflow(t *testing.T) {
	t.Parallel()
	d, err := ParseDuration("36500d876000h")
	if err != nil || d < 0 || d != 73000*24*time.Hour {
		t.Errorf("ParseDuration = %s, %v; want 73000 days", d, err)
	}
}

func diagText(diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		b.WriteString(d.Summary + ": " + d.Detail + "\n")
	}
	return b.String()
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
