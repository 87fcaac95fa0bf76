package pyenv

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// known is what was learned of an interpreter, with the state of the files that
// it depends on.
type known struct {
	Stamps      []string    `json:"stamps"`
	Interpreter interpreter `json:"interpreter"`
}

// checked is what was seen to be importable with a user's own interpreter, with
// the state of the folders that it was imported from.
type checked struct {
	State   string   `json:"state"`
	Modules []string `json:"modules"`
}

// knownKey names a question about interpreters: what was asked, and the files
// that may answer.
func (o *Options) knownKey(question string, paths []string) string {
	parts := []string{question, o.Version}
	for _, path := range paths {
		parts = append(parts, path, stamp(path))
	}
	// A program that chooses between Pythons goes by these.
	for _, kv := range o.Env {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "PYENV_") || strings.HasPrefix(name, "ASDF_") || strings.HasPrefix(name, "MISE_") {
			parts = append(parts, kv)
		}
	}
	return keyOf(parts...)
}

// recall returns an interpreter that is known, unless it has changed.
func (o *Options) recall(key string) *interpreter {
	k := &known{}
	if !o.readKnown(key, k) || k.Interpreter.Path == "" || strings.Join(k.Stamps, "\n") != strings.Join(stamps(&k.Interpreter), "\n") {
		return nil
	}
	return &k.Interpreter
}

// remember keeps an interpreter for the next start.
func (o *Options) remember(key string, i *interpreter) {
	o.writeKnown(key, known{Stamps: stamps(i), Interpreter: *i})
}

func (o *Options) knownPath(key string) string { return filepath.Join(o.Dir, "known", key+".json") }

func (o *Options) readKnown(key string, into any) bool {
	raw, err := os.ReadFile(o.knownPath(key))
	return err == nil && json.Unmarshal(raw, into) == nil
}

// writeKnown is only to save time: a folder that cannot be written is no failure.
func (o *Options) writeKnown(key string, value any) {
	raw, err := json.Marshal(value)
	if err == nil {
		err = os.MkdirAll(filepath.Join(o.Dir, "known"), 0o755)
	}
	if err == nil {
		err = renameio.WriteFile(o.knownPath(key), raw, 0o644)
	}
	if err != nil {
		o.Log.Debug("what was learned of Python is not kept", "error", err)
	}
}

func stamps(i *interpreter) []string {
	out := []string{i.Path + " " + stamp(i.Path), i.Real + " " + stamp(i.Real)}
	if i.Venv != "" {
		out = append(out, stamp(filepath.Join(i.Venv, "pyvenv.cfg")))
	}
	return out
}

// stamp changes when a file is replaced or written. It is empty for none.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	var inode uint64
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = uint64(stat.Ino)
	}
	return fmt.Sprintf("%d-%d-%d", inode, info.Size(), info.ModTime().UnixNano())
}
