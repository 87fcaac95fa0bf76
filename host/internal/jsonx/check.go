// Package jsonx checks, reads and extends JSON text without decoding it.
//
// [CheckObject] and [CheckValue] are the one gate for JSON that callers send:
// what passes means the same to Go, to Python's json and to orjson, and a worker
// can send it back. Beyond the grammar they refuse invalid UTF-8, unpaired
// surrogates, duplicate keys, deep nesting, integers beyond 64 bits, and
// numbers that no float64 holds. [Members], [Elements] and [InsertMembers] work on
// text that has passed.
//
// # Concurrency
//
// All functions may be called at once.
package jsonx

import (
	"sync"

	"github.com/dspex/dspex/shared"
)

// MaxDepth is how deep arrays and objects may nest anywhere in dspex. Python's
// fastest encoder ends at 254 levels, so deeper values could not come back.
const MaxDepth = 64

// maxPooledKeys bounds what a scan of a huge object leaves behind in the pool.
const maxPooledKeys = 1 << 14

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// CheckObject checks that raw is one JSON object. The name says in errors what
// raw is, such as "args". A maxBytes of 0 is no limit; maxDepth counts raw itself
// as level 1. The error is a *shared.Error: PayloadTooLarge if raw is longer
// than maxBytes, else InvalidArgument with the offset of the first bad byte.
func CheckObject(name string, raw []byte, maxBytes, maxDepth int) error {
	return check(name, raw, maxBytes, maxDepth, true)
}

// CheckValue is CheckObject for any JSON value.
func CheckValue(name string, raw []byte, maxBytes, maxDepth int) error {
	return check(name, raw, maxBytes, maxDepth, false)
}

func check(name string, raw []byte, maxBytes, maxDepth int, object bool) error {
	if maxBytes > 0 && len(raw) > maxBytes {
		return shared.Errorf(shared.PayloadTooLarge, "%s: %d bytes, the limit is %d", name, len(raw), maxBytes)
	}
	s := scanner{data: raw, maxDepth: maxDepth, scratch: scratches.Get().(*scratch)}
	ok := s.document(object)
	if cap(s.scratch.keys) > maxPooledKeys {
		s.scratch.keys = nil
	}
	s.scratch.keys = s.scratch.keys[:0]
	scratches.Put(s.scratch)
	if ok {
		return nil
	}
	return shared.Errorf(shared.InvalidArgument, "%s: byte %d: %s", name, s.at, s.problem)
}
