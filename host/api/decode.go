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

// firstBuffer bounds what a body's announced length makes us allocate up front.
const firstBuffer = 1 << 20

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
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 {
		b.Grow(int(min(n, firstBuffer)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(r.Body); err != nil {
		if e := new(shared.Error); errors.As(err, &e) {
			return nil, e
		}
		return nil, shared.Errorf(shared.InvalidArgument, "read body: %w", err)
	}
	body := b.Bytes()
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

// decodeBody reads a body with the given members, and no others. An empty body
// has none.
func decodeBody(r *http.Request, members ...member) error {
	body, err := readBody(r)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return notObject(dec, err)
	}
	seen := make([]string, 0, len(members))
	for dec.More() {
		t, err := dec.Token()
		name, isName := t.(string)
		if err != nil || !isName {
			return notObject(dec, err)
		}
		i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		if i < 0 {
			return unknownName("member", name, memberNames(members))
		}
		if slices.Contains(seen, name) {
			return shared.Errorf(shared.InvalidArgument, "member %q is there twice", name)
		}
		seen = append(seen, name)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return notObject(dec, err)
		}
		if raw[0] == 'n' {
			continue
		}
		if err := members[i].set(raw); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notObject(dec, err)
	}
	return endOfBody(dec)
}

// readObject reads a body that is itself a JSON object, as it is.
func readObject(r *http.Request) (json.RawMessage, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil || raw[0] != '{' {
		return nil, notObject(dec, err)
	}
	return raw, endOfBody(dec)
}

func endOfBody(dec *json.Decoder) error {
	if _, err := dec.Token(); err != io.EOF {
		return shared.Errorf(shared.InvalidArgument, "the body goes on after its JSON object, at byte %d", dec.InputOffset())
	}
	return nil
}

func notObject(dec *json.Decoder, err error) error {
	const hint = `send an object such as {"name": "value"}`
	at := dec.InputOffset()
	syntax := new(json.SyntaxError)
	switch {
	case errors.As(err, &syntax):
		return shared.Errorf(shared.InvalidArgument, "the body is not JSON at byte %d: %w", max(at, syntax.Offset-1), err).WithHint(hint)
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return shared.Errorf(shared.InvalidArgument, "the body ends before its JSON object does, at byte %d", at).WithHint(hint)
	case err != nil:
		return shared.Errorf(shared.InvalidArgument, "the body is not JSON at byte %d: %w", at, err).WithHint(hint)
	}
	return shared.Errorf(shared.InvalidArgument, "the body is not a JSON object").WithHint(hint)
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
