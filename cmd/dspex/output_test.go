package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTextFromElsewhereCannotSteerATerminal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"plain, µ and 漢", "plain, µ and 漢"},
		{"a\tb\nc", "a\tb\nc"},
		{"\x1b[2J", `\u001b[2J`},
		{"a\rb", `a\u000db`},
		{"\u009b31m", `\u009b31m`},
		{"\u202eevil", `\u202eevil`},
	} {
		if got := printable(tc.in); got != tc.want {
			t.Errorf("printable(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
	if got, want := oneLine("a\r\nb\n\nc"), "a; b; c"; got != want {
		t.Errorf("oneLine = %q, want %q", got, want)
	}
	var b bytes.Buffer
	if err := writeRaw(&b, true, []byte("{\"a\":\"\u009b\",\"n\":12345678901234567890}")); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "{\n  \"a\": \"\\u009b\",\n  \"n\": 12345678901234567890\n}\n"; got != want {
		t.Errorf("writeRaw = %q, want %q", got, want)
	}
}

func TestTableAlignsWithColours(t *testing.T) {
	t.Parallel()
	c := newCLI(nil, nil, nil, func(string) (string, bool) { return "", false })
	c.color = colorAlways
	table := c.newTable("POOL", "STATUS", "N")
	table.add("qa", "ready", "1")
	table.add("über-pool", "", "20")
	var b bytes.Buffer
	table.write(&b)
	plain := strings.NewReplacer("\x1b[1m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(b.String())
	want := "POOL       STATUS  N\nqa         ready   1\nüber-pool  -       20\n"
	if plain != want {
		t.Errorf("table:\n%s\nwant:\n%s", plain, want)
	}
	if !strings.Contains(b.String(), "\x1b[32mready\x1b[0m  ") {
		t.Errorf("ready is not coloured: %q", b.String())
	}
}

func TestStatusLineDoesNotMixWithOutput(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	line := newStatusLine(&b, true)
	if !line.begin("working") {
		t.Fatal("begin on a terminal = false")
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { _, _ = line.Write([]byte("log\n")) })
	}
	wg.Wait()
	line.end()
	line.end()
	_, _ = line.Write([]byte("after\n"))
	screen := ""
	for _, part := range strings.SplitAfter(b.String(), "\n") {
		screen += seen(part)
	}
	if want := strings.Repeat("log\n", 10) + "after\n"; screen != want {
		t.Errorf("the screen shows %q, want %q", screen, want)
	}
	if newStatusLine(&b, false).begin("working") {
		t.Error("begin without a terminal = true")
	}
}

// seen is what a terminal shows of a line: what was written after the last wipe.
func seen(line string) string {
	if i := strings.LastIndex(line, wipe); i >= 0 {
		return line[i+len(wipe):]
	}
	return line
}

func TestLoad(t *testing.T) {
	t.Parallel()
	l := atOnce(100, func(i int) error {
		if i%10 == 0 {
			return exit(i)
		}
		return nil
	})
	if len(l.times) != 90 || l.err == nil || l.took <= 0 {
		t.Errorf("%d succeeded, error %v, took %s; want 90, one, and more than nothing", len(l.times), l.err, l.took)
	}
	l = load{times: []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}
	if l.quantile(0.5) != 6 || l.quantile(0.99) != 10 || (load{}).quantile(0.5) != 0 {
		t.Errorf("quantiles = %d, %d, want 6, 10", l.quantile(0.5), l.quantile(0.99))
	}
}

func TestLinesAndLogEntries(t *testing.T) {
	t.Parallel()
	var got []string
	l := &lines{take: func(s string) { got = append(got, s) }}
	for _, part := range []string{"a", "b\r\nc\n", "\nd"} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if want := "ab|c|"; strings.Join(got, "|") != want {
		t.Errorf("lines = %q, want %q", got, want)
	}
	e, ok := parseLog(`{"@level":"info","@message":"worker ready","@module":"dspex","@timestamp":"x","pid":7,"worker":"qa-1"}`)
	if want := "[INFO] dspex: worker ready pid=7 worker=qa-1"; !ok || e.String() != want {
		t.Errorf("entry = %q, want %q", e, want)
	}
	if _, ok := parseLog("plain text"); ok {
		t.Error("plain text is taken for a log entry")
	}
}
