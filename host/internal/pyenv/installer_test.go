package pyenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without HOME, or with one that cannot be written, uv has a cache in Dir.
func TestWithoutHome(t *testing.T) {
	t.Parallel()
	for name, home := range map[string]string{"unset": "", "not writable": "HOME=/dev/null"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			o := b.options(b.wheel("tiny", "1.2", "value = 42"))
			o.Modules = []string{"tiny"}
			o.Env = append(b.without("HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR"), home)
			env := b.ensure(o)
			if got := b.python(env, "import tiny; print(tiny.value)"); got != "42" {
				t.Errorf("tiny.value = %s, want 42", got)
			}
			if _, err := os.Stat(filepath.Join(o.Dir, "uv-cache")); err != nil {
				t.Errorf("no cache: %v", err)
			}
		})
	}
}

// pip does it where there is no uv and none can be had.
func TestPip(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bin := filepath.Join(b.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	probe := b.options("")
	if err := probe.complete(); err != nil {
		t.Fatal(err)
	}
	base, err := find(t.Context(), &probe)
	if err != nil {
		t.Fatal(err)
	}
	if !base.HasVenv {
		t.Skip("this Python cannot make virtual environments")
	}
	if err := os.Symlink(base.Path, filepath.Join(bin, "python3")); err != nil {
		t.Fatal(err)
	}
	good := b.wheel("tiny", "1.2", "value = 42")
	o := b.options(good)
	o.Modules, o.Offline = []string{"tiny"}, true
	o.Env = append(b.without("DSPEX_UV", "PATH", "UV_NO_INDEX", "UV_FIND_LINKS", "PIP_FIND_LINKS"), "PATH="+bin, "PIP_FIND_LINKS="+b.wheels)
	env := b.ensure(o)
	if got := b.python(env, "import tiny; print(tiny.value)"); got != "42" {
		t.Errorf("tiny.value = %s, want 42", got)
	}
	if log := b.logged(); !strings.Contains(log, "using pip") {
		t.Errorf("the log does not tell of pip:\n%s", log)
	}

	t.Run("wrong hash", func(t *testing.T) {
		bad := o
		bad.Requirements = []byte("tiny==1.2 --hash=sha256:" + strings.Repeat("0", 64))
		_, err := Ensure(t.Context(), bad)
		wantError(t, err, "tiny==1.2 does not match its hash", "was not installed")
	})
	t.Run("wrong hash of uv", func(t *testing.T) {
		b.wheel("uv", uvVersion, "")
		bad := o
		bad.Requirements = []byte(b.wheel("other", "1.0", ""))
		bad.uvLock = []byte("uv==" + uvVersion + " --hash=sha256:" + strings.Repeat("0", 64))
		_, err := Ensure(t.Context(), bad)
		wantError(t, err, "uv=="+uvVersion+" does not match its hash", "was not installed")
	})
	t.Run("no venv", func(t *testing.T) {
		none := *base
		none.HasVenv = false
		p := o
		p.Env = append(o.Env, "PATH="+bin)
		if err := p.complete(); err != nil {
			t.Fatal(err)
		}
		_, err := p.findInstaller(t.Context(), &none)
		wantError(t, err, "has no venv module", "apt install python"+minor(base.Version)+"-venv")
	})
}

// Who has set pip up need not set uv up.
func TestPipSettings(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	config := filepath.Join(home, ".config", "pip")
	if err := os.MkdirAll(config, 0o755); err != nil {
		t.Fatal(err)
	}
	text := `
# comment
[global]
index-url = https://index.example/simple
extra_index_url =
    https://one.example/simple
    https://two.example/simple
no-index = false
[install]
find-links: /wheels /more
[list]
cert = /of/no/use
`
	if err := os.WriteFile(filepath.Join(config, "pip.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	o := &Options{Dir: t.TempDir(), Env: []string{
		"HOME=" + home, "PIP_TRUSTED_HOST=a.example b.example", "PIP_CERT=/certs.pem", "UV_EXTRA_INDEX_URL=https://wins.example", "OPENAI_API_KEY=secret",
		"UV_NO_VERIFY_HASHES=1", "PIP_TARGET=/elsewhere", "UV_INDEX_MINE_PASSWORD=p", "PYTHONPATH=/x", "VIRTUAL_ENV=/y", "PIP_CONFIG_FILE=",
	}}
	got := map[string]string{}
	for _, kv := range o.installEnv() {
		name, value, _ := strings.Cut(kv, "=")
		got[name] = value
	}
	want := map[string]string{
		"UV_DEFAULT_INDEX": "https://index.example/simple", "UV_INDEX": "", "UV_EXTRA_INDEX_URL": "https://wins.example",
		"UV_FIND_LINKS": "/wheels,/more", "UV_NO_INDEX": "", "UV_INSECURE_HOST": "a.example b.example", "SSL_CERT_FILE": "/certs.pem",
		"UV_INDEX_MINE_PASSWORD": "p", "UV_PYTHON_DOWNLOADS": "never",
		"OPENAI_API_KEY": "", "UV_NO_VERIFY_HASHES": "", "PIP_TARGET": "", "PYTHONPATH": "", "VIRTUAL_ENV": "",
	}
	if global, _ := os.ReadFile("/etc/pip.conf"); len(global) > 0 {
		delete(want, "SSL_CERT_FILE") // PIP_CERT wins, but other settings may be there
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %q, want %q", name, got[name], value)
		}
	}
}
