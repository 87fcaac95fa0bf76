package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Values of --output.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatJSONL = "jsonl"
)

// addOutput gives a command the flags that choose what its output looks like.
func (c *cli) addOutput(cmd *cobra.Command) {
	cmd.Flags().VarP(&choice{&c.output, []string{formatTable, formatJSON, formatJSONL}}, "output", "o", "table, json, or jsonl: one object a line")
	c.addJSON(cmd, "the same as --output json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formatTable, formatJSON, formatJSONL}, cobra.ShellCompDirectiveNoFileComp))
}

// addJSON gives a command the short flag for JSON. Of it and --output the later one
// counts.
func (c *cli) addJSON(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolFunc("json", usage, func(string) error {
		c.output = formatJSON
		return nil
	})
}

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	words []string
}

// String returns the word.
func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Set takes a word.
func (c *choice) Set(s string) error {
	for _, w := range c.words {
		if s == w {
			*c.value = s
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(c.words, ", "))
}

// Type is shown in help.
func (c *choice) Type() string { return "word" }

// show prints an answer: as JSON if that was asked for, else as text does.
func (c *cli) show(view any, text func(w io.Writer)) error {
	switch c.output {
	case formatJSON:
		return writeJSON(c.stdout, isTerminal(c.stdout), view)
	case formatJSONL:
		return c.showLines(view)
	}
	text(c.stdout)
	return nil
}

// showLines prints a view on one line or, if it is a list, one line for each
// element. A list is a struct whose first field is a slice.
func (c *cli) showLines(view any) error {
	v := reflect.ValueOf(view)
	if v.Kind() != reflect.Struct || v.NumField() == 0 || v.Field(0).Kind() != reflect.Slice {
		return writeJSON(c.stdout, false, view)
	}
	for i := range v.Field(0).Len() {
		if err := writeJSON(c.stdout, false, v.Field(0).Index(i).Interface()); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON prints a value as JSON, on one line unless pretty. It escapes nothing
// that JSON need not.
func writeJSON(w io.Writer, pretty bool, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if pretty {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	return writeText(w, pretty, b.Bytes())
}

// writeRaw prints JSON that came from a worker: indented for people, on one line
// for programs. Its numbers keep all their digits.
func writeRaw(w io.Writer, pretty bool, raw json.RawMessage) error {
	var b bytes.Buffer
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	var err error
	if pretty {
		err = json.Indent(&b, raw, "", "  ")
	} else {
		err = json.Compact(&b, raw)
	}
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	b.WriteByte('\n')
	return writeText(w, pretty, b.Bytes())
}

// writeText keeps what is meant for people from steering their terminal: JSON
// escapes only the first of the control characters by itself.
func writeText(w io.Writer, forPeople bool, text []byte) error {
	if forPeople {
		text = []byte(printable(string(text)))
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// printable escapes control characters other than line ends and tabs, so that
// text from elsewhere cannot steer a terminal.
func printable(s string) string {
	if !strings.ContainsFunc(s, steers) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if steers(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}

// oneLine is printable for text that must stay on its line.
func oneLine(s string) string {
	return printable(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; "))
}

// clip shortens a text to about n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }
