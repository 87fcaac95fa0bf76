package fakelm

import (
	"errors"
	"fmt"
	"time"
)

const (
	// defaultRetryAfter is the Retry-After of a random 429.
	defaultRetryAfter = time.Second
	// defaultChunkTokens is the number of tokens in a chunk of a stream.
	defaultChunkTokens = 3
	// defaultKeepRequests is how many requests are remembered.
	defaultKeepRequests = 100
	// maxKeepRequests bounds the memory that remembered requests take.
	maxKeepRequests = 10_000
	// defaultStopGrace is how long running requests may take to end.
	defaultStopGrace = 5 * time.Second
)

// Options configures a Server. The zero value answers at once and never fails.
type Options struct {
	// Latency passes before the first byte of each answer. Defaults to 0.
	Latency time.Duration
	// Jitter adds a random time below it to Latency. Defaults to 0.
	Jitter time.Duration
	// TokenDelay passes before each chunk of a stream. Defaults to 0.
	TokenDelay time.Duration
	// ErrorRate is the share of requests, from 0 to 1, that fail with status 500.
	// Defaults to 0.
	ErrorRate float64
	// RateLimitRate is the share of requests, from 0 to 1, that are refused with
	// status 429 and Retry-After. Defaults to 0.
	RateLimitRate float64
	// RetryAfter is what those 429 answers ask for, rounded up to seconds.
	// Defaults to 1 s.
	RetryAfter time.Duration
	// CutRate is the share of answers, from 0 to 1, whose connection is cut in
	// the middle. Defaults to 0.
	CutRate float64
	// Seed decides which requests the rates hit: with the same seed the n-th
	// request always meets the same fate. Defaults to 0.
	Seed uint64
	// RequireKey is the API key that requests must carry; others get status 401.
	// Defaults to "": any key or none.
	RequireKey string
	// ChunkTokens is the number of tokens in each chunk of a stream. DSPy's stream
	// listeners report nothing of a field that is in one chunk with its markers, so
	// a small number shows more. Defaults to 3.
	ChunkTokens int
	// KeepRequests is how many of the last requests /control/stats can show, at
	// most 10000; -1 keeps none. Defaults to 100.
	KeepRequests int
	// StopGrace is how long Serve waits for running requests when it stops.
	// Defaults to 5 s.
	StopGrace time.Duration
}

// Validate returns an error that names each option out of its range.
func (o Options) Validate() error {
	var errs []error
	for name, rate := range map[string]float64{
		"error rate": o.ErrorRate, "rate limit rate": o.RateLimitRate, "cut rate": o.CutRate,
	} {
		if !(rate >= 0 && rate <= 1) {
			errs = append(errs, fmt.Errorf("%s: %v is not within 0 and 1", name, rate))
		}
	}
	for name, d := range map[string]time.Duration{
		"latency": o.Latency, "jitter": o.Jitter, "token delay": o.TokenDelay,
		"retry after": o.RetryAfter, "stop grace": o.StopGrace,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s: %w", name, errNegative))
		}
	}
	if o.ChunkTokens < 0 {
		errs = append(errs, fmt.Errorf("chunk tokens: %w", errNegative))
	}
	if o.KeepRequests < -1 || o.KeepRequests > maxKeepRequests {
		errs = append(errs, fmt.Errorf("keep requests: %d is not within -1 and %d", o.KeepRequests, maxKeepRequests))
	}
	return errors.Join(errs...)
}

// withDefaults fills what is left zero.
func (o Options) withDefaults() Options {
	if o.RetryAfter == 0 {
		o.RetryAfter = defaultRetryAfter
	}
	if o.ChunkTokens <= 0 {
		o.ChunkTokens = defaultChunkTokens
	}
	if o.KeepRequests == 0 {
		o.KeepRequests = defaultKeepRequests
	}
	o.KeepRequests = min(max(o.KeepRequests, 0), maxKeepRequests)
	if o.StopGrace == 0 {
		o.StopGrace = defaultStopGrace
	}
	return o
}
