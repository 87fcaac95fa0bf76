package shared

import (
	"encoding/json"
	"time"
)

// Session is named state with a time to live. It is a copy: changing it changes
// nothing in the host.
type Session struct {
	ID string
	// Data is a JSON object.
	Data json.RawMessage
	// Revision counts the writes of the data, from 1.
	Revision uint64
	// TTL is how long the session lives after its last use.
	TTL       time.Duration
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time
	// Programs are the names of the programs in the session, sorted.
	Programs []string
}

// PutSessionRequest creates a session or replaces its data.
type PutSessionRequest struct {
	ID string
	// Data is a JSON object. Nil is {}.
	Data json.RawMessage
	// TTL of 0 is the configured default_ttl.
	TTL time.Duration
	// IfRevision, unless nil, allows the write only at that revision; 0 means
	// that the session must not exist.
	IfRevision *uint64
}

// PatchSessionRequest changes a session that exists.
type PatchSessionRequest struct {
	ID string
	// Patch is a JSON Merge Patch (RFC 7396) of the data. Nil changes nothing.
	Patch json.RawMessage
	// TTL of 0 leaves the TTL as it is.
	TTL time.Duration
	// IfRevision is as in PutSessionRequest.
	IfRevision *uint64
}

// ListSessionsRequest asks for one page of sessions in the order of their IDs.
type ListSessionsRequest struct {
	Prefix string
	// Limit of 0 is 100; the most is 1000.
	Limit int
	// After is the last ID of the page before.
	After string
}

// SessionPage is one page of sessions, without their data.
type SessionPage struct {
	Sessions []Session
	// More sessions follow.
	More bool
}

// SessionStats counts what the session store holds and has done.
type SessionStats struct {
	Sessions       int   `json:"sessions"`
	Programs       int   `json:"programs"`
	GlobalPrograms int   `json:"global_programs"`
	Expired        int64 `json:"expired"`
	// Bytes of session data and program specifications.
	Bytes int64 `json:"bytes"`
}
