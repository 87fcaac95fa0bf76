package proc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
)

const (
	// maxLine is the longest line of output that is kept whole, in bytes.
	maxLine = 64 << 10
	// maxTail is how much of stderr is kept for diagnosis, in bytes.
	maxTail = 16 << 10
)

// lineReader splits output into lines of at most maxLine bytes; longer ones
// come in pieces, so that output without a newline is drained too.
type lineReader struct{ r *bufio.Reader }

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, maxLine)}
}

// next returns the next line without its end. The bytes are valid until the
// next call. With an error it may return a last line too.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// logLine logs one line of stderr: as what it says if it is a JSON line of
// hclog's shape, else as text. It returns the line in readable form. Nothing in
// the line can forge another line, a level or a source.
func logLine(log hclog.Logger, line []byte) string {
	if len(line) == 0 || line[0] != '{' {
		logPlain(log, line)
		return printable(line)
	}
	var entry map[string]any
	if json.Unmarshal(line, &entry) != nil {
		logPlain(log, line)
		return printable(line)
	}
	message, ok := entry["@message"].(string)
	if !ok {
		logPlain(log, line)
		return printable(line)
	}
	level, _ := entry["@level"].(string)
	keys := make([]string, 0, len(entry))
	for k := range entry {
		if k != "@message" && k != "@level" && k != "@timestamp" {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	args := make([]any, 0, 2*len(keys))
	text := printable([]byte(message))
	for _, k := range keys {
		value := printValue(entry[k])
		args = append(args, printable([]byte(strings.TrimLeft(k, "@"))), value)
		if k == "traceback" || k == "exception" {
			text += "\n" + unescapeLines(value)
		}
	}
	log.Log(levelOf(level), printable([]byte(message)), args...)
	return text
}

// logPlain logs output that has no level of its own.
func logPlain(log hclog.Logger, line []byte) {
	if log.IsDebug() && len(line) > 0 {
		log.Debug(printable(line))
	}
}

func levelOf(name string) hclog.Level {
	switch strings.ToLower(name) {
	case "critical", "fatal":
		return hclog.Error
	case "warning":
		return hclog.Warn
	}
	if level := hclog.LevelFromString(name); level != hclog.NoLevel && level != hclog.Off {
		return level
	}
	return hclog.Info
}

func printValue(v any) string {
	switch v := v.(type) {
	case string:
		return printable([]byte(v))
	case nil:
		return "null"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return printable(b)
}

// printable returns text with control characters and invalid bytes escaped.
func printable(b []byte) string {
	clean := true
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			clean = false
			break
		}
		i += size
	}
	if clean {
		return string(b)
	}
	q := strconv.Quote(string(b))
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// unescapeLines gives a traceback its line ends back, after printable took all
// control characters away.
func unescapeLines(s string) string { return strings.ReplaceAll(s, `\n`, "\n") }

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// tail keeps the last lines of output.
type tail struct {
	mu    sync.Mutex
	lines []string // guarded by mu
	size  int      // guarded by mu
}

func newTail() *tail { return &tail{} }

func (t *tail) add(line string) {
	line = clip(line, maxTail/2)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	t.size += len(line)
	for t.size > maxTail && len(t.lines) > 1 {
		t.size -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

func (t *tail) lastLines(n int) string {
	lines := strings.Split(t.String(), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
