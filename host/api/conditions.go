package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/dspex/dspex/shared"
)

// condition is what If-Match and If-None-Match ask of a write.
type condition struct {
	// revision, unless nil, is the only one that may be written over.
	revision *uint64
	// exists asks for any revision: If-Match: *.
	exists bool
	// absent asks for none: If-None-Match: *.
	absent bool
}

// conditionOf reads the headers of a write.
func conditionOf(r *http.Request) (condition, error) {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	switch {
	case len(match) == 0 && len(none) == 0:
		return condition{}, nil
	case len(match) > 1 || len(none) > 1:
		return condition{}, shared.Errorf(shared.InvalidArgument, "If-Match or If-None-Match is there more than once").
			WithHint("send one value")
	case len(none) == 1:
		if strings.TrimSpace(none[0]) != "*" {
			return condition{}, shared.Errorf(shared.InvalidArgument, "If-None-Match of a write is %q", clip(none[0])).
				WithHint("use If-None-Match: * to create only, or If-Match: \"<revision>\" to replace only that revision")
		}
		if len(match) == 1 {
			return condition{}, shared.Errorf(shared.RevisionConflict, "If-Match and If-None-Match: * never hold together").
				WithHint("send one of them")
		}
		return condition{revision: new(uint64), absent: true}, nil
	}
	value := strings.TrimSpace(match[0])
	if value == "*" {
		return condition{exists: true}, nil
	}
	revision, ok := parseETag(value)
	if !ok {
		return condition{}, shared.Errorf(shared.InvalidArgument, "If-Match is %q", clip(value)).
			WithHint(`use the ETag of the answer that you read, such as If-Match: "3"`)
	}
	return condition{revision: &revision}, nil
}

// err gives an error of a conditional write the status that such writes have.
func (c condition) err(err error) error {
	if err == nil {
		return nil
	}
	e := asError(err)
	missing := e.Reason == shared.SessionNotFound || e.Reason == shared.ProgramNotFound
	if c.absent && e.Reason == shared.AlreadyExists || c.exists && missing {
		conflict := *e
		conflict.Reason = shared.RevisionConflict
		return &conflict
	}
	return err
}

// etag is the revision as an entity tag.
func etag(revision uint64) string { return `"` + strconv.FormatUint(revision, 10) + `"` }

// parseETag reads a revision, which counts from 1. The quotes may be missing:
// shells eat them.
func parseETag(value string) (uint64, bool) {
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	revision, err := strconv.ParseUint(value, 10, 64)
	return revision, err == nil && value[0] >= '1' // no sign, and none of the zeros before that etag never writes
}

// unchanged reports whether the client has that revision already.
func unchanged(r *http.Request, revision uint64) bool {
	for _, header := range r.Header.Values("If-None-Match") {
		for value := range strings.SplitSeq(header, ",") {
			value = strings.TrimPrefix(strings.TrimSpace(value), "W/")
			if value == "*" {
				return true
			}
			if have, ok := parseETag(value); ok && have == revision {
				return true
			}
		}
	}
	return false
}
