package shared

import (
	"encoding/json"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The convert files map the plain types of this package to the messages of
// dspex.api.v1 and back. Host and client both use them, so neither end can know
// a field that the other forgets. FromProto functions accept nil messages, which
// give zero values, and never fail on values that ToProto made.

// durationToProto leaves a zero duration out: in requests it means "the default".
func durationToProto(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// timeToProto leaves a zero time out, since a Timestamp of zero is 1970.
func timeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeFromProto(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// rawFromString keeps "absent" apart from any JSON value.
func rawFromString(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func copyRevision(r *uint64) *uint64 {
	if r == nil {
		return nil
	}
	c := *r
	return &c
}

func uint32Of(n int) uint32 {
	return uint32(min(max(n, 0), math.MaxUint32))
}

func uint64Of[T int | int64](n T) uint64 {
	return uint64(max(n, 0))
}

func int64Of(n uint64) int64 {
	return int64(min(n, math.MaxInt64))
}

// mapSlice keeps nil apart from empty no more than the wire does: both are nil.
func mapSlice[T, U any](in []T, f func(T) U) []U {
	if len(in) == 0 {
		return nil
	}
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}
