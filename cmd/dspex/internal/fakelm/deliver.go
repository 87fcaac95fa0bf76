package fakelm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// padMark stands in a body for the padding that is made while it is sent.
	padMark = "@@fakelm-padding@@"
	// padBlock is the size of one write of padding.
	padBlock = 32 << 10
	// streamPad is the size of the padding in one chunk of a stream: its line stays
	// below the 64 KiB that clients accept.
	streamPad = 4 << 10
	// brokenText is what a body or chunk that is no JSON looks like.
	brokenText = `{"id": "chatcmpl-fake", "choices": [{"message": {"content": "this never en`
	// htmlPage is what a proxy in between answers.
	htmlPage = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>\n"
)

// errCut says that the answer is broken off on purpose.
var errCut = errors.New("cut the answer")

// delivery sends one answer. It belongs to its request's goroutine.
type delivery struct {
	w     http.ResponseWriter
	ctx   context.Context // done once the client is gone or the server stops
	fate  fate
	api   dialect
	visit *visit
	// breakAt is how many more bytes are sent before onBreak ends the answer;
	// onBreak is nil if nothing does.
	breakAt int64
	onBreak func() error
}

// send sends the answer as its fate says. An error means that it did not end.
func (d *delivery) send(s *speech) error {
	b := &d.fate.Behavior
	d.overrideSpeech(s)
	switch {
	case b.Hang:
		return d.hang()
	case b.Body != nil:
		return d.plain(*b.Body)
	case strings.HasPrefix(b.ContentType, "text/html"):
		return d.plain(htmlPage)
	case b.Status >= http.StatusBadRequest:
		return d.plain(jsonLine(errorBody(b.Status, "")))
	}
	d.visit.usage = *s.counted()
	if s.req.stream {
		return d.stream(s)
	}
	return d.whole(s)
}

// overrideSpeech puts what the fate says into the answer.
func (d *delivery) overrideSpeech(s *speech) {
	b := &d.fate.Behavior
	if b.Content != nil {
		changed := *s.answer
		changed.content, changed.calls, changed.reasoning = *b.Content, nil, ""
		if changed.finish == "tool_calls" {
			changed.finish = "stop"
		}
		s.answer = &changed
		s.count()
	}
	if b.FinishReason != "" {
		s.finish = b.FinishReason
	}
	if b.Usage != nil {
		s.usage = b.Usage
	}
	if b.NoUsage {
		s.usage = nil
	}
}

// whole sends the answer in one piece.
func (d *delivery) whole(s *speech) error {
	b := &d.fate.Behavior
	if b.BrokenJSON {
		return d.plain(brokenText)
	}
	missing := b.Size - int64(len(s.content))
	if !b.Endless && missing <= 0 {
		return d.plain(jsonLine(d.api.whole(s)))
	}
	padded := *s.answer
	padded.content += padMark
	s.answer = &padded
	head, tail, _ := strings.Cut(jsonLine(d.api.whole(s)), padMark)
	total := int64(len(head)+len(tail)) + missing
	if b.Endless {
		total = math.MaxInt64
	}
	d.begin("application/json", total)
	if err := d.write(head); err != nil {
		return err
	}
	block := strings.Repeat("x", padBlock)
	for b.Endless || missing > 0 {
		if !b.Endless {
			block = block[:min(int64(len(block)), missing)]
			missing -= int64(len(block))
		}
		if err := d.pause(d.fate.tokenDelay); err != nil {
			return err
		}
		if err := d.write(block); err != nil {
			return err
		}
	}
	return d.write(tail)
}

// plain sends a body.
func (d *delivery) plain(body string) error {
	d.begin("application/json", int64(len(body)))
	return d.write(body)
}

// breakWithin works out where a plain answer of total bytes breaks off.
func (d *delivery) breakWithin(total int64) {
	b := &d.fate.Behavior
	d.breakAt = total
	at := func(bytes int64, end func() error) {
		if bytes < d.breakAt {
			d.breakAt, d.onBreak = bytes, end
		}
	}
	cut := func() error { return errCut }
	if b.HangAfter != nil {
		at(int64(*b.HangAfter), d.hang)
	}
	if b.CutAfter != nil {
		at(int64(*b.CutAfter), cut)
	}
	if d.fate.cutAt > 0 && total < math.MaxInt64 {
		at(int64(float64(total)*d.fate.cutAt), cut)
	}
}

// stream sends the answer as server-sent events.
func (d *delivery) stream(s *speech) error {
	d.begin("text/event-stream", -1)
	for _, e := range d.api.opening(s) {
		if err := d.event(e); err != nil {
			return err
		}
	}
	sent, cutAt := int64(0), -1
	if d.fate.cutAt > 0 {
		cutAt = int(float64(s.chunkCount(d.fate.chunkTokens)) * d.fate.cutAt)
	}
	chunk := func(text string) error {
		if err := d.interrupt(cutAt); err != nil {
			return err
		}
		sent += int64(len(text))
		d.visit.chunks++
		return d.event(d.api.delta(s, text))
	}
	for text := range s.pieces(d.fate.chunkTokens) {
		if err := chunk(text); err != nil {
			return err
		}
	}
	b := &d.fate.Behavior
	for b.Endless || sent < b.Size {
		size := streamPad
		if !b.Endless {
			size = int(min(streamPad, b.Size-sent))
		}
		if err := chunk(strings.Repeat("x", size)); err != nil {
			return err
		}
	}
	if err := d.interrupt(cutAt); err != nil {
		return err
	}
	for _, e := range d.api.closing(s) {
		if err := d.event(e); err != nil {
			return err
		}
	}
	return nil
}

// interrupt comes before each chunk of a stream and before its end: it waits,
// and breaks the stream off where its fate says so.
func (d *delivery) interrupt(cutAt int) error {
	b, sent := &d.fate.Behavior, int(d.visit.chunks)
	switch {
	case b.CutAfter != nil && sent >= *b.CutAfter, cutAt >= 0 && sent >= cutAt:
		return errCut
	case b.HangAfter != nil && sent >= *b.HangAfter:
		return d.hang()
	case b.BrokenJSON && sent == 1:
		if err := d.write("data: " + brokenText + "\n\n"); err != nil {
			return err
		}
	}
	return d.pause(d.fate.tokenDelay)
}

// begin sends the status and the headers, together with the first write. length
// is that of the body: -1 for a stream, MaxInt64 for one that never ends.
func (d *delivery) begin(contentType string, length int64) {
	if length >= 0 {
		d.breakWithin(length)
	}
	if length >= 0 && length < math.MaxInt64 {
		d.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	}
	b, header := &d.fate.Behavior, d.w.Header()
	if b.ContentType != "" {
		contentType = b.ContentType
	}
	header.Set("Content-Type", contentType)
	if contentType == "text/event-stream" {
		header.Set("Cache-Control", "no-cache")
	}
	if b.RetryAfter != nil {
		header.Set("Retry-After", strconv.FormatFloat(*b.RetryAfter, 'f', -1, 64))
	}
	d.visit.status = max(b.Status, http.StatusOK)
	d.w.WriteHeader(d.visit.status)
}

// event sends one server-sent event.
func (d *delivery) event(e event) error {
	var b strings.Builder
	if e.name != "" {
		b.WriteString("event: " + e.name + "\n")
	}
	text, isText := e.data.(string)
	if !isText {
		text = strings.TrimSuffix(jsonLine(e.data), "\n")
	}
	b.WriteString("data: " + text + "\n\n")
	return d.write(b.String())
}

// write sends text at once, unless the client is gone, and no more than up to
// where the answer breaks off.
func (d *delivery) write(text string) error {
	if err := context.Cause(d.ctx); err != nil {
		return err
	}
	if d.onBreak != nil && int64(len(text)) >= d.breakAt {
		text, d.breakAt = text[:d.breakAt], 0
		end := d.onBreak
		d.onBreak = nil
		return errors.Join(d.write(text), end())
	}
	d.breakAt -= int64(len(text))
	if _, err := d.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if err := http.NewResponseController(d.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("flush answer: %w", err)
	}
	return nil
}

// pause waits, unless the client goes away.
func (d *delivery) pause(wait time.Duration) error {
	if wait <= 0 {
		return context.Cause(d.ctx)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	}
}

// hang waits until the client goes away or the server stops.
func (d *delivery) hang() error {
	<-d.ctx.Done()
	return context.Cause(d.ctx)
}

// jsonLine writes a value as JSON, without HTML escapes, and a line feed.
func jsonLine(value any) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		// All that is sent are our own types, which always encode.
		panic("fakelm: " + err.Error())
	}
	return buf.String()
}
