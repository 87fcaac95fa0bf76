package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// kind is a type of attribute: its name in messages, and how a value becomes V.
type kind[V any] struct {
	name string
	read func(v cty.Value) (V, error)
}

// problem is a conversion error with a summary of its own.
type problem struct{ summary, detail string }

func (p *problem) Error() string { return p.detail }

// convert reads a value, or adds a diagnostic.
func (k kind[V]) convert(d *decoder, name string, v cty.Value, expr hcl.Expression) (V, bool) {
	var zero V
	v, marks := v.UnmarkDeep()
	if v.IsNull() {
		return zero, false // as if it were left out
	}
	if !v.IsWhollyKnown() {
		return zero, false // what made it unknown has been reported
	}
	got, err := k.read(v)
	if err == nil {
		return got, true
	}
	text := err.Error()
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	summary, detail := "Wrong value", fmt.Sprintf("%s is %s: %s", name, k.name, text)
	if p, ok := err.(*problem); ok { //nolint:errorlint // made here, never wrapped
		summary, detail = p.summary, strings.ReplaceAll(p.detail, "%name%", name)
	}
	if len(marks) > 0 {
		summary, detail = "Wrong value", fmt.Sprintf("%s is %s; what it has is sensitive, and not shown.", name, k.name)
	}
	d.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: expr.Range().Ptr(), Expression: expr})
	return zero, false
}

func want(v cty.Value, t cty.Type) (cty.Value, error) {
	got, err := convert.Convert(v, t)
	if err != nil {
		return got, fmt.Errorf("got %s", v.Type().FriendlyName())
	}
	return got, nil
}

// exact refuses what cty would convert silently, such as a number for text.
func exact(v cty.Value, t cty.Type) error {
	if !v.Type().Equals(t) {
		return fmt.Errorf("got %s", v.Type().FriendlyName())
	}
	return nil
}

func text() kind[string] {
	return kind[string]{"text", func(v cty.Value) (string, error) {
		if err := exact(v, cty.String); err != nil {
			return "", err
		}
		return v.AsString(), nil
	}}
}

func secret() kind[Secret] {
	return kind[Secret]{"text", func(v cty.Value) (Secret, error) {
		s, err := text().read(v)
		return Secret(s), err
	}}
}

func boolean() kind[bool] {
	return kind[bool]{"true or false", func(v cty.Value) (bool, error) {
		if err := exact(v, cty.Bool); err != nil {
			return false, err
		}
		return v.True(), nil
	}}
}

func integer(low, high int) kind[int] {
	name := fmt.Sprintf("a whole number from %d to %d", low, high)
	return kind[int]{name, func(v cty.Value) (int, error) {
		if err := exact(v, cty.Number); err != nil {
			return 0, err
		}
		n, accuracy := v.AsBigFloat().Int64()
		if accuracy != big.Exact || n < int64(low) || n > int64(high) {
			return 0, fmt.Errorf("got %s", v.AsBigFloat().Text('g', 12))
		}
		return int(n), nil
	}}
}

func ratio(high float64) kind[float64] {
	return kind[float64]{fmt.Sprintf("a number from 0 to %g", high), func(v cty.Value) (float64, error) {
		if err := exact(v, cty.Number); err != nil {
			return 0, err
		}
		f, _ := v.AsBigFloat().Float64()
		if f < 0 || f > high || math.IsNaN(f) {
			return 0, fmt.Errorf("got %g", f)
		}
		return f, nil
	}}
}

func optional[V any](k kind[V]) kind[*V] {
	return kind[*V]{k.name, func(v cty.Value) (*V, error) {
		got, err := k.read(v)
		return &got, err
	}}
}

func oneOf(words ...string) kind[string] {
	name := strings.Join(words, ", ")
	if n := len(words); n > 1 {
		name = strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return kind[string]{name, func(v cty.Value) (string, error) {
		if err := exact(v, cty.String); err != nil {
			return "", err
		}
		got := v.AsString()
		for _, w := range words {
			if got == w {
				return got, nil
			}
		}
		return "", fmt.Errorf("got %q%s", clip(got), didYouMean(got, words))
	}}
}

// later adds words that other versions of dspex have.
func later(k kind[string], words ...string) kind[string] {
	return kind[string]{k.name, func(v cty.Value) (string, error) {
		if v.Type() == cty.String && slices.Contains(words, v.AsString()) {
			return "", &problem{"Not supported by this version", fmt.Sprintf("%%name%% = %q is not supported by this version of dspex; it is %s.", v.AsString(), k.name)}
		}
		return k.read(v)
	}}
}

// restartMode takes OTP's words too.
func restartMode() kind[string] {
	otp := map[string]string{"permanent": "always", "transient": "on_failure", "temporary": "never"}
	k := oneOf("always", "on_failure", "never")
	return kind[string]{k.name, func(v cty.Value) (string, error) {
		if v.Type() == cty.String && otp[v.AsString()] != "" {
			return otp[v.AsString()], nil
		}
		return k.read(v)
	}}
}

func duration(low time.Duration) kind[time.Duration] {
	return kind[time.Duration]{"a duration", func(v cty.Value) (time.Duration, error) {
		if v.Type() == cty.Number {
			n := v.AsBigFloat().Text('g', 12)
			return 0, &problem{
				"Duration needs a unit",
				fmt.Sprintf("%%name%% is a duration string such as \"30s\", \"1m30s\" or \"500ms\". Did you mean %q or %q?", n+"ms", n+"s"),
			}
		}
		if err := exact(v, cty.String); err != nil {
			return 0, err
		}
		d, err := ParseDuration(v.AsString())
		if err != nil {
			return 0, err
		}
		if d < low {
			return 0, fmt.Errorf("%q is too short, the least is %s", v.AsString(), low)
		}
		return d, nil
	}}
}

// maxDays is the longest duration, in days. Two of them still fit a Duration.
const maxDays = 36500

var digits = regexp.MustCompile(`^[0-9]+$`)

var dayCount = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// ParseDuration reads a duration as time.ParseDuration does, and days too:
// "7d", "1d12h". It may not be negative.
func ParseDuration(s string) (time.Duration, error) {
	rest, days := s, time.Duration(0)
	if before, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseFloat(before, 64)
		if err != nil || !dayCount.MatchString(before) || n > maxDays {
			return 0, fmt.Errorf("%q is no duration such as \"30s\", \"1m30s\", \"500ms\" or \"7d\", of at most %d days", clip(s), maxDays)
		}
		days, rest = time.Duration(n*24*float64(time.Hour)), after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > maxDays*24*time.Hour {
		hint := ""
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = fmt.Sprintf("; did you mean %q or %q?", s+"ms", s+"s")
		}
		return 0, fmt.Errorf("%q is no duration such as \"30s\", \"1m30s\", \"500ms\" or \"7d\"%s", clip(s), hint)
	}
	return days + d, nil
}

func size(low int64) kind[int64] {
	return kind[int64]{"a size", func(v cty.Value) (int64, error) {
		if v.Type() == cty.Number {
			n := v.AsBigFloat().Text('f', 0)
			if n == "0" && low <= 0 {
				return 0, nil
			}
			return 0, &problem{
				"Size needs a unit",
				fmt.Sprintf("%%name%% is a size such as \"512MiB\" or \"1GB\" (MB is 10^6 bytes, MiB is 2^20). Did you mean %q or %q?", n+"B", n+"MiB"),
			}
		}
		if err := exact(v, cty.String); err != nil {
			return 0, err
		}
		if text := v.AsString(); digits.MatchString(text) && strings.Trim(text, "0") != "" {
			return 0, &problem{"Size needs a unit", fmt.Sprintf("%%name%% is a size such as \"512MiB\" or \"1GB\" (MB is 10^6 bytes, MiB is 2^20). Did you mean %q or %q?", clip(text)+"B", clip(text)+"MiB")}
		}
		n, err := humanize.ParseBytes(v.AsString())
		if strings.ContainsAny(v.AsString(), ",_") {
			err = errors.New("separators in a number")
		}
		if err != nil {
			return 0, fmt.Errorf("%q is no size such as \"512MiB\" or \"1GB\"", clip(v.AsString()))
		}
		if n > math.MaxInt32*1024 || int64(n) < low {
			return 0, fmt.Errorf("%q is out of range", clip(v.AsString()))
		}
		return int64(n), nil
	}}
}

func fileMode() kind[uint32] {
	return kind[uint32]{`permissions such as "0660"`, func(v cty.Value) (uint32, error) {
		if err := exact(v, cty.String); err != nil {
			return 0, err
		}
		n, err := strconv.ParseUint(v.AsString(), 8, 32)
		if err != nil || n == 0 || n > 0o777 {
			return 0, fmt.Errorf("got %q", clip(v.AsString()))
		}
		return uint32(n), nil
	}}
}

func texts() kind[[]string] {
	return kind[[]string]{"a list of text", func(v cty.Value) ([]string, error) {
		v, err := want(v, cty.List(cty.String))
		if err != nil {
			return nil, err
		}
		out := []string{}
		for _, e := range v.AsValueSlice() {
			if e.IsNull() {
				return nil, fmt.Errorf("got null in it")
			}
			out = append(out, e.AsString())
		}
		return out, nil
	}}
}

func textMap() kind[map[string]string] {
	return kind[map[string]string]{"an object of text", func(v cty.Value) (map[string]string, error) {
		v, err := want(v, cty.Map(cty.String))
		if err != nil {
			return nil, err
		}
		out := make(map[string]string)
		for k, e := range v.AsValueMap() {
			if e.IsNull() {
				return nil, fmt.Errorf("%q is null", clip(k))
			}
			out[k] = e.AsString()
		}
		return out, nil
	}}
}

func object() kind[map[string]any] {
	return kind[map[string]any]{"an object", func(v cty.Value) (map[string]any, error) {
		if !v.Type().IsObjectType() && !v.Type().IsMapType() {
			return nil, fmt.Errorf("got %s", v.Type().FriendlyName())
		}
		out := make(map[string]any)
		err := plain(v, &out)
		return out, err
	}}
}

func signature() kind[any] {
	return kind[any]{`text such as "question -> answer", or an object with inputs and outputs`, func(v cty.Value) (any, error) {
		if v.Type() == cty.String {
			return v.AsString(), nil
		}
		if !v.Type().IsObjectType() {
			return nil, fmt.Errorf("got %s", v.Type().FriendlyName())
		}
		var out any
		err := plain(v, &out)
		return out, err
	}}
}

// plain decodes a value as the JSON that it is written as.
func plain(v cty.Value, out any) error {
	raw, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return fmt.Errorf("encode value: %w", err)
	}
	return json.Unmarshal(raw, out)
}
