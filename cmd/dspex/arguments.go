package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxInput is the largest file that is read for an argument: what a host accepts
// in one message.
const maxInput = 64 << 20

// argumentsHelp is the part of the help texts about arguments.
const argumentsHelp = `Arguments:
  name=text       a string
  name:=json      any JSON: n:=3, ok:=true, list:='[1,2]', none:=null
  name=@file      the text of a file
  name:=@file     the JSON of a file
  @file           a file with a JSON object; further arguments are added to it
  -               the same, from standard input
`

// member is one name and value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// parseObject makes a JSON object of arguments. No arguments make nil. Numbers
// keep all their digits.
func (c *cli) parseObject(args []string) (json.RawMessage, error) {
	var (
		whole   json.RawMessage
		members []member
	)
	for _, arg := range args {
		switch {
		case arg == "-" || strings.HasPrefix(arg, "@"):
			if whole != nil {
				return nil, usagef("%q is a second object; there can be one", arg)
			}
			raw, err := c.readArgument(arg)
			if err != nil {
				return nil, err
			}
			if whole, err = compactObject(arg, raw); err != nil {
				return nil, err
			}
		default:
			m, err := c.parseMember(arg)
			if err != nil {
				return nil, err
			}
			for _, before := range members {
				if before.name == m.name {
					return nil, usagef("argument %q is there twice", m.name)
				}
			}
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return whole, nil
	}
	return mergeMembers(whole, members)
}

// parseMember reads name=text, name:=json and their forms with @file.
func (c *cli) parseMember(arg string) (member, error) {
	none := member{}
	at := strings.IndexByte(arg, '=')
	if at <= 0 || arg[:at] == ":" {
		return none, &usageError{
			message: fmt.Sprintf("argument %q has no name and value", arg),
			hint:    "write name=text, name:=json, @file.json or -",
		}
	}
	name, value, isJSON := arg[:at], arg[at+1:], false
	if strings.HasSuffix(name, ":") {
		name, isJSON = name[:len(name)-1], true
	}
	if !utf8.ValidString(name) {
		return none, usagef("the name in argument %q is not UTF-8", arg)
	}
	text := []byte(value)
	if strings.HasPrefix(value, "@") {
		var err error
		if text, err = c.readArgument(value); err != nil {
			return none, err
		}
	}
	if !utf8.Valid(text) {
		return none, usagef("the value of argument %q is not UTF-8", name)
	}
	if !isJSON {
		raw, err := encodeText(string(text))
		return member{name, raw}, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		e := &usageError{message: fmt.Sprintf("the value of %q is not JSON: %v", name, err)}
		if !strings.HasPrefix(value, "@") {
			e.hint = fmt.Sprintf("write a string as %s=%s", name, value)
		}
		return none, e
	}
	return member{name, b.Bytes()}, nil
}

// readArgument returns what "@file" or "-" stands for.
func (c *cli) readArgument(arg string) ([]byte, error) {
	name, from := strings.TrimPrefix(arg, "@"), c.stdin
	if arg != "-" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("%v", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		from = f
	}
	raw, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, usagef("read %s: %v", arg, err)
	}
	if len(raw) > maxInput {
		return nil, usagef("%s has more than %s", arg, size(int64(maxInput)))
	}
	return raw, nil
}

// compactObject checks that text is a JSON object.
func compactObject(source string, text []byte) (json.RawMessage, error) {
	var b bytes.Buffer
	if !utf8.Valid(text) {
		return nil, usagef("%s is not UTF-8", source)
	}
	if err := json.Compact(&b, text); err != nil {
		return nil, usagef("%s is not JSON: %v", source, err)
	}
	if b.Len() == 0 || b.Bytes()[0] != '{' {
		return nil, usagef("%s is not a JSON object", source)
	}
	return b.Bytes(), nil
}

// mergeMembers adds members to an object, in place of those of the same name.
func mergeMembers(object json.RawMessage, members []member) (json.RawMessage, error) {
	all, err := readMembers(object)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		replaced := false
		for i := range all {
			if all[i].name == m.name {
				all[i].value, replaced = m.value, true
			}
		}
		if !replaced {
			all = append(all, m)
		}
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encodeText(m.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// readMembers returns the members of an object in their order.
func readMembers(object json.RawMessage) ([]member, error) {
	if object == nil {
		return nil, nil
	}
	var all []member
	dec := json.NewDecoder(bytes.NewReader(object))
	_, err := dec.Token()
	for err == nil && dec.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = dec.Token(); err == nil {
			err = dec.Decode(&value)
		}
		text, _ := name.(string)
		all = append(all, member{text, value})
	}
	if err != nil {
		return nil, fmt.Errorf("read JSON object: %w", err)
	}
	return all, nil
}

// encodeText encodes a string without escaping what JSON need not.
func encodeText(s string) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode text: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
