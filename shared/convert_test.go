package shared

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// fill sets every field of a struct to a distinct value that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(1_700_000_000+*n), 123_456_789).UTC()))
		return
	case time.Duration:
		v.SetInt(int64(time.Duration(*n) * time.Millisecond))
		return
	case json.RawMessage:
		v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, *n))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		panic("fill: " + v.Type().String())
	}
}

// unset lists the fields of m that have no value, in all messages below it.
func unset(m protoreflect.Message) []string {
	var missing []string
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.Message() != nil && f.Message().FullName().Parent() == "google.protobuf":
		case !m.Has(f):
			missing = append(missing, string(f.FullName()))
		case f.IsMap():
			m.Get(f).Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				if f.MapValue().Message() != nil {
					missing = append(missing, unset(v.Message())...)
				}
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range m.Get(f).List().Len() {
				missing = append(missing, unset(m.Get(f).List().Get(i).Message())...)
			}
		case f.Message() != nil:
			missing = append(missing, unset(m.Get(f).Message())...)
		}
	}
	return missing
}

// roundTrip fills a T, sends it through the wire format, and compares; ignore
// zeroes the fields that do not travel. It also fails when a field of the message
// has no source, so a field added to one side only is found.
func roundTrip[T any, M proto.Message](t *testing.T, to func(T) M, from func(M) T, ignore ...func(*T)) {
	t.Helper()
	var want T
	n := 0
	fill(reflect.ValueOf(&want).Elem(), &n)
	for _, f := range ignore {
		f(&want)
	}
	m := to(want)
	if missing := unset(m.ProtoReflect()); missing != nil {
		t.Errorf("%T: ToProto leaves out %v", want, missing)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("marshal %T: %v", m, err)
	}
	got := m.ProtoReflect().New().Interface().(M)
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatalf("unmarshal %T: %v", m, err)
	}
	if diff := cmp.Diff(want, from(got)); diff != "" {
		t.Errorf("%T changed on the way (-want +got):\n%s", want, diff)
	}
	var zero T
	var none M
	if diff := cmp.Diff(zero, from(to(zero))); diff != "" && reflect.TypeFor[T]().Kind() == reflect.Struct {
		t.Errorf("zero %T changed on the way (-want +got):\n%s", zero, diff)
	}
	_ = from(none)
}

func TestConversionsRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip(t, CallRequest.ToProto, CallRequestFromProto, func(r *CallRequest) { r.Traceparent = "" })
	roundTrip(t, func(r CallResult) *apiv1.CallResponse { return r.ToProto() },
		func(p *apiv1.CallResponse) CallResult { return *CallResultFromProto(p) })
	roundTrip(t, RunRequest.ToProto, RunRequestFromProto)
	roundTrip(t, func(r RunResult) *apiv1.RunProgramResponse { return r.ToProto() },
		func(p *apiv1.RunProgramResponse) RunResult { return *RunResultFromProto(p) })
	roundTrip(t, Command.ToProto, CommandFromProto)
	roundTrip(t, PoolStatus.ToProto, PoolStatusFromProto)
	roundTrip(t, WorkerStatus.ToProto, WorkerStatusFromProto)
	roundTrip(t, HostStats.ToProto, HostStatsFromProto)
	roundTrip(t, Session.ToProto, SessionFromProto)
	roundTrip(t, PutSessionRequest.ToProto, PutSessionRequestFromProto)
	roundTrip(t, PatchSessionRequest.ToProto, PatchSessionRequestFromProto)
	roundTrip(t, ListSessionsRequest.ToProto, ListSessionsRequestFromProto)
	roundTrip(t, SessionPage.ToProto, SessionPageFromProto)
	roundTrip(t, PutProgramRequest.ToProto, PutProgramRequestFromProto)
	roundTrip(t, func(p Program) *apiv1.Program {
		m, err := p.ToProto()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, func(m *apiv1.Program) Program {
		p, err := ProgramFromProto(m)
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}

func TestStreamEventConversion(t *testing.T) {
	t.Parallel()
	for _, want := range []StreamEvent{
		{Kind: StreamChunk, Data: json.RawMessage(`1`)},
		{Kind: StreamProgress, Data: json.RawMessage(`{"done":0.5}`)},
	} {
		got, ok := StreamEventFromProto(want.ToProto())
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("StreamEventFromProto = %v, ok %v (-want +got):\n%s", got, ok, diff)
		}
	}
	result := &apiv1.CallStreamResponse{Event: &apiv1.CallStreamResponse_Result{Result: &apiv1.CallResponse{}}}
	if got, ok := StreamEventFromProto(result); ok {
		t.Errorf("StreamEventFromProto(result) = %v, true, want false", got)
	}
}

func TestProgramSpecKeepsDigitsAndText(t *testing.T) {
	t.Parallel()
	want := Program{Name: "p", Spec: ProgramSpec{
		Module:       "Predict",
		Instructions: "answer <b> & be brief",
		Config:       json.RawMessage(`{"temperature":0.12345678901234567890,"seed":9007199254740993}`),
		Demos:        []json.RawMessage{json.RawMessage(`{"n":123456789012345678901234567890}`)},
	}}
	m, err := want.ToProto()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ProgramFromProto(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("program changed on the way (-want +got):\n%s", diff)
	}

	want.Spec.Config = json.RawMessage(`{`)
	if _, err := want.ToProto(); err == nil {
		t.Error("ToProto of a broken config succeeded")
	}
	if _, err := ProgramFromProto(&apiv1.Program{Spec: "{"}); err == nil {
		t.Error("ProgramFromProto of a broken spec succeeded")
	}
}

func TestErrorConversion(t *testing.T) {
	t.Parallel()
	for _, reason := range append(Reasons(), "OF_A_NEWER_HOST") {
		var want Error
		n := 0
		fill(reflect.ValueOf(&want).Elem().FieldByName("Remote"), &n)
		want.Reason, want.Message, want.Hint = reason, "call p.c: no", "do this"
		want.MayHaveRun, want.RetryAfter = RunMaybe, 1500*time.Millisecond
		want.Cause = errors.New("stays here")

		detail := want.ToProto()
		if got := detail.GetRetryable(); got != want.Retryable() {
			t.Errorf("%s: retryable = %v, want %v", reason, got, want.Retryable())
		}
		got := ErrorFromProto(detail)
		want.Cause = nil
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s changed on the way (-want +got):\n%s", reason, diff)
		}
		if !errors.Is(got, &Error{Reason: reason}) {
			t.Errorf("errors.Is(%v, %s) = false", got, reason)
		}
		if reason.CodeName() == "" {
			t.Errorf("%s has no code name", reason)
		}
	}
	if got, want := SessionNotFound.CodeName(), "NOT_FOUND"; got != want {
		t.Errorf("CodeName = %q, want %q", got, want)
	}
}

func TestErrorWithBrokenTextCanBeSent(t *testing.T) {
	t.Parallel()
	e := &Error{Reason: PythonException, Message: "a\xffb", Remote: &RemoteError{Type: "E", Message: "\xc3", Traceback: "\xed\xa0\x80"}}
	if _, err := proto.Marshal(e.ToProto()); err != nil {
		t.Fatalf("marshal: %v", err)
	}
	if got, want := ErrorFromProto(e.ToProto()).Message, "a\uFFFDb"; got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
}

func TestConversionClampsCounts(t *testing.T) {
	t.Parallel()
	got := PoolStatsFromProto(PoolStats{Workers: -1, Requests: -1, Slots: math.MaxInt64}.ToProto())
	if want := (PoolStats{Slots: math.MaxUint32}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := LatencyFromProto(&apiv1.Latency{Count: math.MaxUint64}).Count; got != math.MaxInt64 {
		t.Errorf("count = %d, want %d", got, int64(math.MaxInt64))
	}
}
