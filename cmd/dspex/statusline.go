package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// redraw is the time between two drawings of a status line.
	redraw = 100 * time.Millisecond
	// wipe goes to the beginning of a terminal's line and clears it.
	wipe = "\r\x1b[K"
)

// statusLine is the last line of a terminal, which says what is going on. Other
// output goes through it, so that the two do not mix. Its methods may be called
// concurrently.
type statusLine struct {
	terminal bool // immutable

	mu    sync.Mutex
	w     io.Writer // guarded by mu
	text  string    // guarded by mu; empty if there is nothing to say
	since time.Time // guarded by mu
	stop  chan struct{}
	ended sync.WaitGroup
}

var _ io.Writer = (*statusLine)(nil)

// newStatusLine makes a line; without a terminal it only passes output on.
func newStatusLine(w io.Writer, terminal bool) *statusLine {
	return &statusLine{w: w, terminal: terminal}
}

// Write writes above the line.
func (l *statusLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" {
		return l.w.Write(b)
	}
	_, _ = io.WriteString(l.w, wipe)
	n, err := l.w.Write(b)
	l.drawLocked()
	return n, err
}

// begin shows a text with the time since now, until end. It reports whether it
// does.
func (l *statusLine) begin(text string) bool {
	if !l.terminal {
		return false
	}
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.since, l.stop = oneLine(text), time.Now(), make(chan struct{})
	l.drawLocked()
	l.ended.Add(1)
	go l.tick(l.stop)
	return true
}

// end clears the line. It may be called at any time.
func (l *statusLine) end() {
	l.mu.Lock()
	if l.text != "" {
		l.text = ""
		close(l.stop)
		_, _ = io.WriteString(l.w, wipe)
	}
	l.mu.Unlock()
	l.ended.Wait()
}

func (l *statusLine) close() { l.end() }

// tick draws the line again and again.
func (l *statusLine) tick(stop chan struct{}) {
	defer l.ended.Done()
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			l.mu.Lock()
			if l.text != "" {
				l.drawLocked()
			}
			l.mu.Unlock()
		}
	}
}

func (l *statusLine) drawLocked() {
	fmt.Fprintf(l.w, "%s%s ... %.1fs", wipe, l.text, time.Since(l.since).Seconds())
}
