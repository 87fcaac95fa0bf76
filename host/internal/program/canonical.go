package program

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/dspex/dspex/shared"
)

// Hash is the SHA-256 of a specification's canonical JSON, in hex.
func Hash(spec shared.ProgramSpec) string {
	sum := sha256.Sum256(canonicalSpec(spec))
	return hex.EncodeToString(sum[:])
}

// Data is a stored program as workers get it, in program_data:
// {"name", "session", "revision", "hash", "spec"}.
func Data(p shared.Program) json.RawMessage {
	return mustEncode(struct {
		Name     string          `json:"name"`
		Session  string          `json:"session"`
		Revision uint64          `json:"revision"`
		Hash     string          `json:"hash"`
		Spec     json.RawMessage `json:"spec"`
	}{p.Name, p.Session, p.Revision, p.Hash, canonicalSpec(p.Spec)})
}

// canonicalSpec is the JSON of a specification, the same for equal ones.
func canonicalSpec(spec shared.ProgramSpec) json.RawMessage {
	if config, err := canonicalJSON(spec.Config); err == nil {
		spec.Config = config
	}
	demos := spec.Demos
	spec.Demos = nil
	for _, demo := range demos {
		if canonical, err := canonicalJSON(demo); err == nil {
			demo = canonical
		}
		spec.Demos = append(spec.Demos, demo)
	}
	return mustEncode(spec)
}

// canonicalJSON is a value without spaces, with sorted keys and one spelling of
// each string. Numbers stay as they were written: 1 and 1.0 are different types.
func canonicalJSON(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return encode(value)
}

// encode is json.Marshal without escapes for HTML.
func encode(value any) (json.RawMessage, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// mustEncode encodes what has passed ParseSpec; anything else in it is a bug of
// the caller.
func mustEncode(value any) json.RawMessage {
	raw, err := encode(value)
	if err != nil {
		panic(fmt.Sprintf("program: encode a specification: %v", err))
	}
	return raw
}
