package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dspex/dspex/shared"
)

// Pieces of a body of unknown length, in bytes.
const (
	firstPiece = 512
	maxPiece   = 1 << 20
)

// member is one member that a JSON body may have. Its set function gets the value;
// null counts as absent.
type member struct {
	name string
	set  func(json.RawMessage) error
}

// text is a member that is a string.
func text(name string, to *string) member {
	return member{name, func(raw json.RawMessage) error {
		if raw[0] != '"' {
			return shared.Errorf(shared.InvalidArgument, "%s is not a string", name)
		}
		return json.Unmarshal(raw, to)
	}}
}

// flag is a member that is true or false.
func flag(name string, to *bool) member {
	return member{name, func(raw json.RawMessage) error {
		if raw[0] != 't' && raw[0] != 'f' {
			return shared.Errorf(shared.InvalidArgument, "%s is not true or false", name)
		}
		*to = raw[0] == 't'
		return nil
	}}
}

// object is a member that is a JSON object. Its text is kept as it is, so that
// numbers keep all their digits.
func object(name string, to *json.RawMessage) member {
	return member{name, func(raw json.RawMessage) error {
		if raw[0] != '{' {
			return shared.Errorf(shared.InvalidArgument, "%s is not a JSON object", name).
				WithHint(`write it as {"name": value}`)
		}
		*to = raw
		return nil
	}}
}

// duration is a member that is a duration with its unit.
func duration(name string, to *time.Duration) member {
	return member{name, func(raw json.RawMessage) error {
		d, err := durationMember(name, raw)
		*to = d
		return err
	}}
}

// readBody returns the whole body, which is JSON whatever its content type says:
// curl calls it a form.
func readBody(r *http.Request) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, shared.Errorf(shared.InvalidArgument, "content encoding %q is not supported", clip(e)).
			WithHint("send the body uncompressed")
	}
	body, err := readAll(r.Body, r.ContentLength)
	if err != nil {
		if e := new(shared.Error); errors.As(err, &e) {
			return nil, e
		}
		return nil, shared.Errorf(shared.InvalidArgument, "read body: %w", err)
	}
	if !utf8.Valid(body) {
		at := 0
		for at < len(body) {
			c, size := utf8.DecodeRune(body[at:])
			if c == utf8.RuneError && size <= 1 {
				break
			}
			at += size
		}
		return nil, shared.Errorf(shared.InvalidArgument, "the body is not UTF-8 at byte %d", at)
	}
	return body, nil
}

// readAll reads to the end. A length that was announced is allocated at once: it
// counts among the bytes in flight already. A body of unknown length is collected
// in pieces, so that one which turns out to be too large costs no more than it has.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	piece := make([]byte, 0, max(announced+1, firstPiece)) // room to see the end
	var full [][]byte
	for {
		if len(piece) == cap(piece) {
			full = append(full, piece)
			piece = make([]byte, 0, min(2*cap(piece), maxPiece))
		}
		n, err := r.Read(piece[len(piece):cap(piece)])
		piece = piece[:len(piece)+n]
		switch {
		case err == io.EOF && full == nil:
			return piece, nil
		case err == io.EOF:
			return slices.Concat(append(full, piece)...), nil
		case err != nil:
			return nil, err
		}
	}
}

// decodeBody reads a body with the given members, and no others. An empty body
// has none.
func decodeBody(r *http.Request, members ...member) error {
	body, err := readBody(r)
	if err != nil || len(bytes.Trim(body, spaces)) == 0 {
		return err
	}
	if body, err = checkObject(body); err != nil {
		return err
	}
	seen := make([]string, 0, len(members))
	for name, raw := range membersOf(body) {
		i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		if i < 0 {
			return unknownName("member", name, memberNames(members))
		}
		if slices.Contains(seen, name) {
			return shared.Errorf(shared.InvalidArgument, "member %q is there twice", name)
		}
		seen = append(seen, name)
		if raw[0] == 'n' {
			continue
		}
		if err := members[i].set(raw); err != nil {
			return err
		}
	}
	return nil
}

// readObject reads a body that is itself a JSON object, as it is.
func readObject(r *http.Request) (json.RawMessage, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return checkObject(body)
}

// unknownName is the error for a name that is not one of those known.
func unknownName(what, name string, known []string) error {
	e := shared.Errorf(shared.InvalidArgument, "%s %q is not known", what, clip(name))
	if len(known) == 0 {
		return e.WithHint("there are none here")
	}
	if meant := nearest(name, known); meant != "" {
		return e.WithHint("did you mean %q?", meant)
	}
	return e.WithHint("known: %s", strings.Join(known, ", "))
}

func memberNames(members []member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.name
	}
	return names
}

// queryOf reads the query, which may have each of the known parameters once.
func queryOf(r *http.Request, known []string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, shared.Errorf(shared.InvalidArgument, "read query: %w", err)
	}
	for name, v := range values {
		if !slices.Contains(known, name) {
			return nil, unknownName("query parameter", name, known)
		}
		if len(v) > 1 {
			return nil, shared.Errorf(shared.InvalidArgument, "query parameter %q is there %d times", name, len(v))
		}
		if !utf8.ValidString(v[0]) {
			return nil, shared.Errorf(shared.InvalidArgument, "query parameter %q is not UTF-8", name)
		}
	}
	return values, nil
}

// streamWanted reads ?stream=.
func streamWanted(r *http.Request) (bool, error) {
	switch v := r.URL.Query().Get("stream"); v {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, shared.Errorf(shared.InvalidArgument, "stream %q is not known", clip(v)).WithHint("use stream=1")
	}
}

// limitOf reads ?limit=. 0 stands for none given.
func limitOf(r *http.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" && !r.URL.Query().Has("limit") {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1000 {
		return 0, shared.Errorf(shared.InvalidArgument, "limit %q is not a number from 1 to 1000", clip(v))
	}
	return n, nil
}
