package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions of the language. None gives another answer the second time.
func functions(s *scope, folder string) map[string]function.Function {
	fs := map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "chomp": stdlib.ChompFunc, "coalesce": stdlib.CoalesceFunc,
		"concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc,
		"flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc, "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc,
		"indent": stdlib.IndentFunc, "join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"keys": stdlib.KeysFunc, "length": stdlib.LengthFunc, "lookup": stdlib.LookupFunc, "lower": stdlib.LowerFunc,
		"max": stdlib.MaxFunc, "merge": stdlib.MergeFunc, "min": stdlib.MinFunc, "parseint": stdlib.ParseIntFunc,
		"range": stdlib.RangeFunc, "regex": stdlib.RegexFunc, "replace": stdlib.ReplaceFunc, "reverse": stdlib.ReverseListFunc,
		"setunion": stdlib.SetUnionFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc,
		"substr": stdlib.SubstrFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		"env": s.env(),
	}
	fs["sha256"] = textFunction(func(t string) (cty.Value, error) {
		sum := sha256.Sum256([]byte(t))
		return cty.StringVal(hex.EncodeToString(sum[:])), nil
	}, cty.String)
	fs["base64decode"] = textFunction(func(t string) (cty.Value, error) {
		raw, err := base64.StdEncoding.DecodeString(t)
		if err != nil || !utf8.Valid(raw) {
			return cty.NilVal, errors.New("not base64 of text")
		}
		return cty.StringVal(string(raw)), nil
	}, cty.String)
	fs["pathexpand"] = textFunction(func(t string) (cty.Value, error) {
		if s.opts.NoFS {
			return cty.NilVal, errors.New("functions that read files are switched off")
		}
		if home, ok := s.opts.Env("HOME"); ok && strings.HasPrefix(t, "~/") {
			t = filepath.Join(home, t[2:])
		}
		return cty.StringVal(t), nil
	}, cty.String)
	fs["file"] = s.reading(folder, func(raw []byte, err error) (cty.Value, error) {
		if err != nil {
			return cty.NilVal, err
		}
		if !utf8.Valid(raw) {
			return cty.NilVal, errors.New("the file is not text")
		}
		return cty.StringVal(string(raw)), nil
	}, cty.String)
	fs["fileexists"] = s.reading(folder, func(_ []byte, err error) (cty.Value, error) { return cty.BoolVal(err == nil), nil }, cty.Bool)
	fs["filesha256"] = s.reading(folder, func(raw []byte, err error) (cty.Value, error) {
		if err != nil {
			return cty.NilVal, err
		}
		sum := sha256.Sum256(raw)
		return cty.StringVal(hex.EncodeToString(sum[:])), nil
	}, cty.String)
	for name, f := range fs {
		fs[name] = limited(name, f, &s.budget)
	}
	fs["can"], fs["try"] = tryfunc.CanFunc, tryfunc.TryFunc
	return fs
}

// env reads an environment variable. One that is not set and has no default is
// an error: silence would hide a missing key until the first call.
func (s *scope) env() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if v, ok := s.opts.Env(name); ok {
				return cty.StringVal(v), nil
			}
			switch len(args) {
			case 1:
				return cty.NilVal, function.NewArgErrorf(0, "the environment has no %s; set it, or give a default: env(%q, \"\")", clip(name), clip(name))
			case 2:
				return args[1], nil
			}
			return cty.NilVal, function.NewArgErrorf(2, "env takes a name and one default")
		},
	})
}

// reading is a function of a file's content. Paths are relative to a folder, that
// of the file in which the call stands.
func (s *scope) reading(folder string, f func(raw []byte, err error) (cty.Value, error), result cty.Type) function.Function {
	return textFunction(func(path string) (cty.Value, error) {
		if s.opts.NoFS {
			return cty.NilVal, errors.New("functions that read files are switched off")
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		var raw []byte
		var err error
		if info, statErr := os.Stat(path); statErr != nil {
			err = statErr
		} else if !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file", clip(path))
		} else if raw, err = readLimited(path); err == nil && len(raw) > maxFile {
			err = fmt.Errorf("%s has more than %d bytes", clip(path), maxFile)
		}
		return f(raw, err)
	}, result)
}

func textFunction(f func(string) (cty.Value, error), result cty.Type) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}},
		Type:   function.StaticReturnType(result),
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args[0].AsString()) },
	})
}
