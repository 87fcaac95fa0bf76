package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Colours of terminals.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
	bold   = "1"
)

// painter returns a function that colours text, or leaves it as it is.
func painter(colored bool) func(color, text string) string {
	if !colored {
		return func(_, text string) string { return text }
	}
	return func(color, text string) string {
		if color == "" {
			return text
		}
		return "\x1b[" + color + "m" + text + "\x1b[0m"
	}
}

// statusColors is how words for a state are coloured.
var statusColors = map[string]string{
	"ready": green, "healthy": green, "starting": yellow, "warning": yellow, "draining": yellow,
	"degraded": red, "unhealthy": red, "error": red, "stopped": faint, "disabled": faint,
}

// table prints rows under headings, aligned, without borders.
type table struct {
	paint func(color, text string) string
	rows  [][]string
}

// newTable makes a table for standard output.
func (c *cli) newTable(headings ...string) *table {
	return &table{paint: painter(c.colored(c.stdout)), rows: [][]string{headings}}
}

// add adds a row. An empty cell is shown as "-".
func (t *table) add(cells ...string) {
	for i, cell := range cells {
		if cells[i] = oneLine(cell); cell == "" {
			cells[i] = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

// write prints the table.
func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			color := statusColors[cell]
			if n == 0 {
				color = bold
			}
			line.WriteString(t.paint(color, cell))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, line.String())
	}
}

// facts prints names and values in two columns; those without a value are left
// out.
type facts struct{ *table }

// newFacts makes a list of facts for standard output.
func (c *cli) newFacts() facts {
	return facts{&table{paint: painter(c.colored(c.stdout))}}
}

// add adds a fact. A value of several lines is indented.
func (f facts) add(name, value string) {
	if value != "" {
		f.rows = append(f.rows, []string{name, value})
	}
}

// write prints the facts.
func (f facts) write(w io.Writer) {
	width := 0
	for _, row := range f.rows {
		width = max(width, len(row[0]))
	}
	for _, row := range f.rows {
		value := printable(row[1])
		margin := strings.Repeat(" ", width+2)
		value = strings.ReplaceAll(value, "\n", "\n"+margin)
		fmt.Fprintf(w, "%s%s%s\n", f.paint(bold, row[0]), margin[len(row[0]):], f.paint(statusColors[row[1]], value))
	}
}
