package program

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dspex/dspex/host/internal/jsonx"
)

const (
	maxStops = 16
	maxStop  = 256
)

// setting checks the value of one LM setting. It returns what is wanted, or ""
// if the value is right.
type setting func(json.RawMessage) string

// settings are the LM settings that a program may have. None of them can say
// where a call goes, with which key, or how often it is tried.
var settings = map[string]setting{
	"temperature":       number(0, 2),
	"top_p":             number(0, 1),
	"presence_penalty":  number(-2, 2),
	"frequency_penalty": number(-2, 2),
	"max_tokens":        integer(1, 10_000_000),
	"top_k":             integer(1, 1_000_000),
	"seed":              integer(-1<<63, 1<<63-1),
	"rollout_id":        integer(0, 1<<63-1),
	"cache":             boolean,
	"stop":              stops,
	"reasoning_effort":  oneOf("none", "minimal", "low", "medium", "high", "xhigh"),
}

func parseConfig(raw json.RawMessage) (json.RawMessage, error) {
	const where = "spec.config"
	if raw == nil {
		return nil, nil
	}
	names := slices.Sorted(maps.Keys(settings))
	for key := range jsonx.Members(raw) {
		if key == "n" {
			return nil, invalid(where, `unknown key "n": a program answers with one completion`)
		}
	}
	obj, err := readObject(where, raw, names)
	if err != nil || len(obj) == 0 {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		if want := settings[name](obj[name]); want != "" {
			return nil, invalid(where+"."+name, "want %s", want)
		}
	}
	text, err := encode(obj)
	if err != nil {
		return nil, invalid(where, "%w", err)
	}
	return canonicalJSON(text)
}

func number(low, high float64) setting {
	want := "a number from " + strconv.FormatFloat(low, 'f', -1, 64) + " to " + strconv.FormatFloat(high, 'f', -1, 64)
	return func(raw json.RawMessage) string {
		n, err := strconv.ParseFloat(string(raw), 64)
		if jsonx.KindOf(raw) != jsonx.Number || err != nil || n < low || n > high {
			return want
		}
		return ""
	}
}

func integer(low, high int64) setting {
	want := "an integer from " + strconv.FormatInt(low, 10) + " to " + strconv.FormatInt(high, 10)
	return func(raw json.RawMessage) string {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < low || n > high {
			return want
		}
		return ""
	}
}

func boolean(raw json.RawMessage) string {
	if jsonx.KindOf(raw) != jsonx.Boolean {
		return "true or false"
	}
	return ""
}

func oneOf(values ...string) setting {
	want := "one of " + strings.Join(values, ", ")
	return func(raw json.RawMessage) string {
		if jsonx.KindOf(raw) != jsonx.String || !slices.Contains(values, jsonx.Text(raw)) {
			return want
		}
		return ""
	}
}

// stops checks a string or an array of strings.
func stops(raw json.RawMessage) string {
	const want = "a string of 1 to 256 bytes, or an array of 1 to 16 of them"
	texts := []json.RawMessage{raw}
	if jsonx.KindOf(raw) == jsonx.Array {
		texts = slices.Collect(jsonx.Elements(raw))
	}
	if len(texts) == 0 || len(texts) > maxStops {
		return want
	}
	for _, text := range texts {
		if n := len(jsonx.Text(text)); jsonx.KindOf(text) != jsonx.String || n == 0 || n > maxStop {
			return want
		}
	}
	return ""
}
