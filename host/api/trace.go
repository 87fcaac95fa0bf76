package api

import (
	"net/http"
	"strings"
)

const (
	// minTraceparent is the length of version 00; maxTraceparent leaves later
	// versions some room.
	minTraceparent = 55
	maxTraceparent = 128
)

// traceparentOf returns the caller's W3C trace context. One that is malformed is
// ignored, as the recommendation asks.
func traceparentOf(h http.Header) string {
	value := h.Get("Traceparent")
	if len(value) < minTraceparent || len(value) > maxTraceparent || strings.Trim(value, "0123456789abcdef-") != "" {
		return ""
	}
	if value[2] != '-' || value[35] != '-' || value[52] != '-' {
		return ""
	}
	return value
}
