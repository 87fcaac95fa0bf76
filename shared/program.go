package shared

import (
	"encoding/json"
	"time"
)

// Program is a stored DSPy program, in a session or global.
type Program struct {
	Name string `json:"name"`
	// Session that owns it; empty for a global program.
	Session string `json:"session,omitempty"`
	// Revision counts the writes, from 1.
	Revision uint64 `json:"revision"`
	// Hash is the SHA-256 of the specification in hex. Workers cache by it.
	Hash      string      `json:"hash"`
	Spec      ProgramSpec `json:"spec"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// ProgramSpec defines a program, normalised.
type ProgramSpec struct {
	// Pool to run in. Empty is the only pool that can.
	Pool string `json:"pool,omitempty"`
	// Module is the DSPy module, such as "Predict".
	Module       string    `json:"module"`
	Signature    Signature `json:"signature"`
	Instructions string    `json:"instructions,omitempty"`
	// LM names an `lm` block. Empty is the pool's.
	LM string `json:"lm,omitempty"`
	// Config is a JSON object of settings for each LM call, such as temperature.
	Config json.RawMessage `json:"config,omitempty"`
	// Demos are examples: JSON objects with values for the signature's fields.
	Demos       []json.RawMessage `json:"demos,omitempty"`
	Description string            `json:"description,omitempty"`
}

// Signature is a program's inputs and outputs.
type Signature struct {
	Inputs  []Field `json:"inputs"`
	Outputs []Field `json:"outputs"`
}

// Field is one input or output.
type Field struct {
	Name string `json:"name"`
	// Type in canonical form, such as "str" or "list[int]".
	Type string `json:"type"`
	Desc string `json:"desc,omitempty"`
}

// PutProgramRequest creates a program or replaces it.
type PutProgramRequest struct {
	// Session that shall own it; empty is global.
	Session string
	Name    string
	// Spec as the caller wrote it: a JSON object, with the signature as text
	// ("question -> answer") or as an object.
	Spec json.RawMessage
	// IfRevision, unless nil, allows the write only at that revision; 0 means
	// that the program must not exist.
	IfRevision *uint64
}
