package pyenv

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// plain are the variables that every program gets: where things are, and the
// language. Nothing that holds a key: what is imported to see whether it can be
// is other people's code.
var plain = []string{
	"HOME", "LANG", "LC_", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER",
	// What the programs that choose between Pythons go by.
	"ASDF_", "MISE_", "PYENV_",
}

// forInstall are the variables that uv and pip get beside: how to reach an index.
// Those that change what is installed, or turn hashes off, are not among them.
var forInstall = []string{
	"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "http_proxy", "https_proxy", "no_proxy",
	"CURL_CA_BUNDLE", "NETRC", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "SSL_CLIENT_CERT", "XDG_",
	"PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS",
	"PIP_INDEX_URL", "PIP_KEYRING_PROVIDER", "PIP_NO_CACHE_DIR", "PIP_NO_INDEX", "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT", "PIP_TRUSTED_HOST",
	"UV_CACHE_DIR", "UV_CONCURRENT_", "UV_CONFIG_FILE", "UV_CREDENTIALS_DIR", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
	"UV_HTTP_", "UV_INDEX", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_LINK_MODE", "UV_NATIVE_TLS", "UV_NO_CACHE", "UV_NO_CONFIG",
	"UV_NO_INDEX", "UV_OFFLINE", "UV_REQUEST_TIMEOUT", "UV_SYSTEM_CERTS",
}

// pipToUV names uv's variable for each setting of pip that says how to reach an
// index, so that who has set pip up need not do it again.
var pipToUV = []struct{ pip, uv, separator string }{
	{"index-url", "UV_DEFAULT_INDEX", " "},
	{"extra-index-url", "UV_INDEX", " "},
	{"find-links", "UV_FIND_LINKS", ","},
	{"no-index", "UV_NO_INDEX", " "},
	{"trusted-host", "UV_INSECURE_HOST", " "},
	{"cert", "SSL_CERT_FILE", " "},
	{"proxy", "ALL_PROXY", " "},
}

// sameAs are older names of uv's variables.
var sameAs = map[string]string{"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}

// getenv is os.Getenv in Env: the last of a name counts.
func (o *Options) getenv(name string) string {
	for _, kv := range slices.Backward(o.Env) {
		if n, value, ok := strings.Cut(kv, "="); ok && n == name {
			return value
		}
	}
	return ""
}

// probeEnv is what a Python gets that is only asked.
func (o *Options) probeEnv() []string { return pick(o.Env, plain) }

// installEnv is what uv and pip get.
func (o *Options) installEnv() []string {
	env := append(pick(o.Env, plain), pick(o.Env, forInstall)...)
	pip := o.pipSettings()
	for _, s := range pipToUV {
		value := strings.Join(pip[s.pip], s.separator)
		if value != "" && o.getenv(s.uv) == "" && o.getenv(sameAs[s.uv]) == "" {
			env = append(env, s.uv+"="+value)
		}
	}
	if o.getenv("UV_CACHE_DIR") == "" && !o.hasUVCache() {
		env = append(env, "UV_CACHE_DIR="+filepath.Join(o.Dir, "uv-cache"))
	}
	// An interpreter would come from a host outside the package index.
	return append(env, "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "NO_COLOR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_INPUT=1")
}

// hasUVCache reports whether uv can write to the folder that it would choose.
func (o *Options) hasUVCache() bool {
	dir := o.getenv("XDG_CACHE_HOME")
	if home := o.getenv("HOME"); dir == "" && filepath.IsAbs(home) {
		dir = filepath.Join(home, ".cache")
	}
	return filepath.IsAbs(dir) && writable(filepath.Join(dir, "uv"))
}

// lookPath finds a program on Env's PATH. Folders that are not absolute are left
// out: what is in them depends on where the host was started.
func (o *Options) lookPath(name string) (string, bool) {
	for _, dir := range filepath.SplitList(o.getenv("PATH")) {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(dir) && executable(path) == nil {
			return path, true
		}
	}
	return "", false
}

// executable returns why a file cannot be run, if so.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return &os.PathError{Op: "run", Path: path, Err: os.ErrInvalid}
	case info.Mode()&0o111 == 0:
		return &os.PathError{Op: "run", Path: path, Err: os.ErrPermission}
	}
	return nil
}

// pick returns the variables whose names are in the list, where one that ends in
// an underscore stands for all that begin so; UV_INDEX stands for UV_INDEX_* too,
// which hold the credentials of an index.
func pick(env, names []string) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if slices.ContainsFunc(names, func(n string) bool {
			return n == name || strings.HasSuffix(n, "_") && strings.HasPrefix(name, n) || n == "UV_INDEX" && strings.HasPrefix(name, "UV_INDEX_")
		}) {
			out = append(out, kv)
		}
	}
	return out
}

// writable reports whether a folder, which may have to be made, can be written.
func writable(dir string) bool {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false
	}
	probe, err := os.MkdirTemp(dir, ".dspex-probe")
	if err != nil {
		return false
	}
	return os.Remove(probe) == nil
}
