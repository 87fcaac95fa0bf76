package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

const (
	// maxWeight bounds the arguments of a function, and what it makes of them, in
	// bytes and as much for each value.
	maxWeight = 4 << 20
	// valueWeight is what a value counts beside its text.
	valueWeight = 16
	// maxPattern is the longest regular expression in bytes, and maxSearched the
	// longest text for one.
	maxPattern  = 256
	maxSearched = 64 << 10
)

var (
	errTooLarge = errors.New("the result would be too large")

	formatWidth = regexp.MustCompile(`%[^%a-zA-Z]*[0-9]{4,}`)
	jsonNumber  = regexp.MustCompile(`[0-9][eE][+-]?[0-9]{4,}`)
)

// limited makes a function refuse arguments with which it would take too long or
// make too much.
func limited(name string, f function.Function, b *budget) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(),
		// The type is asked for first, and for some functions is most of the work.
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := checkArguments(name, args, b); err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

func checkArguments(name string, marked []cty.Value, b *budget) error {
	args := make([]cty.Value, len(marked))
	total := 0
	for i, arg := range marked {
		args[i], _ = arg.UnmarkDeep()
		if total += weight(args[i]); total > maxWeight {
			return function.NewArgErrorf(i, "the arguments are too large")
		}
		switch name {
		case "abs", "ceil", "element", "floor", "format", "formatlist", "indent", "max", "min", "range", "slice", "substr":
			if isLongNumber(args[i]) {
				return function.NewArgErrorf(i, "the number is too large")
			}
		}
	}
	b.steps += 1 + total/64
	switch name {
	case "format", "formatlist":
		return checkFormat(args)
	case "indent":
		spaces, ok := whole(args, 0)
		if s := textOf(args, 1); ok && (spaces < 0 || spaces > maxWeight || strings.Count(s, "\n")*spaces > maxWeight) {
			return errTooLarge
		}
	case "join":
		if total/valueWeight*len(textOf(args, 0)) > maxWeight {
			return errTooLarge
		}
	case "replace":
		if strings.Count(textOf(args, 0), textOf(args, 1))*len(textOf(args, 2)) > maxWeight {
			return errTooLarge
		}
	case "parseint":
		if len(textOf(args, 0)) > 1000 {
			return function.NewArgErrorf(0, "the number is too long")
		}
	case "regex":
		pattern, s := textOf(args, 0), textOf(args, 1)
		if len(pattern) > maxPattern || len(s) > maxSearched {
			return fmt.Errorf("a pattern has at most %d bytes, and the text for it %d", maxPattern, maxSearched)
		}
		b.steps += len(pattern) * len(s) / 16
	case "jsondecode":
		if s := textOf(args, 0); tooDeepJSON([]byte(s)) || jsonNumber.MatchString(s) {
			return function.NewArgErrorf(0, "the text nests too deep or holds a number that is too large")
		}
	case "distinct":
		n := total / valueWeight
		b.steps += n * n / 256
	}
	if b.over() {
		return errTooLarge
	}
	return nil
}

// checkFormat estimates what a format makes.
func checkFormat(args []cty.Value) error {
	f := strings.ReplaceAll(textOf(args, 0), "%%", "")
	if formatWidth.MatchString(f) {
		return function.NewArgErrorf(0, "a width has at most 3 digits")
	}
	length, once, repeated := 1, 0, 0
	for _, arg := range args[min(1, len(args)):] {
		if t := arg.Type(); arg.IsKnown() && !arg.IsNull() && (t.IsTupleType() || t.IsListType() || t.IsSetType()) {
			length = max(length, arg.LengthInt())
			once += weight(arg)
		} else {
			repeated += weight(arg)
		}
	}
	if len(f)*length > maxWeight || strings.Count(f, "%")*(once+length*(repeated+1000)) > 16*maxWeight {
		return errTooLarge
	}
	return nil
}

// weight estimates the size of a value. It stops counting when that is too much.
func weight(v cty.Value) int {
	total := 0
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		total += valueWeight
		e, _ = e.Unmark()
		if e.IsKnown() && !e.IsNull() && e.Type() == cty.String {
			total += len(e.AsString())
		}
		if total > maxWeight {
			return false, errTooLarge
		}
		return true, nil
	})
	return total
}

func textOf(args []cty.Value, i int) string {
	if i >= len(args) || !args[i].IsKnown() || args[i].IsNull() || args[i].Type() != cty.String {
		return ""
	}
	return args[i].AsString()
}

func whole(args []cty.Value, i int) (int, bool) {
	if i >= len(args) || !args[i].IsKnown() || args[i].IsNull() || args[i].Type() != cty.Number {
		return 0, false
	}
	n, err := strconv.Atoi(args[i].AsBigFloat().Text('f', 0))
	return n, err == nil
}
