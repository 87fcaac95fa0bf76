package plugin

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"github.com/dspex/dspex/shared"
)

// Command adds a command whose arguments are decoded into an A and whose result
// is an R. A is a struct, or a map with string keys, as encoding/json sees it.
//
// Arguments that A has no field for, that are missing, or that have another type
// end the call with INVALID_ARGUMENT before run. A field may be missing if it is
// a pointer or has omitempty or omitzero in its tag. The JSON Schemas of both
// types go into the description of the command.
func Command[A, R any](app *App, name string, run func(ctx *Context, args A) (R, error), opts ...Option) {
	b := newBinding[A](name)
	var raw CommandFunc
	if run != nil {
		raw = func(ctx *Context, data json.RawMessage) (any, error) {
			args, err := bind[A](b, data)
			if err != nil {
				return nil, err
			}
			return run(ctx, args)
		}
	}
	app.Command(name, raw, append([]Option{b.schemas(slotOf(reflect.TypeFor[R]()))}, opts...)...)
}

// Stream adds a command like [Command] that sends chunks of type C before its
// result, as [App.Stream] does.
func Stream[A, C, R any](app *App, name string, run func(ctx *Context, args A, send func(chunk C) error) (R, error), opts ...Option) {
	b := newBinding[A](name)
	var raw StreamFunc
	if run != nil {
		raw = func(ctx *Context, data json.RawMessage, send func(any) error) (any, error) {
			args, err := bind[A](b, data)
			if err != nil {
				return nil, err
			}
			return run(ctx, args, func(chunk C) error { return send(chunk) })
		}
	}
	app.Stream(name, raw, append([]Option{b.schemas(slotOf(reflect.TypeFor[R]()))}, opts...)...)
}

// binding is how the arguments of one command become a Go value.
type binding struct {
	command string
	args    slot
}

func newBinding[A any](command string) *binding {
	return &binding{command: command, args: slotOf(reflect.TypeFor[A]())}
}

// schemas sets the schemas of the command, and its error if the arguments cannot
// be an object.
func (b *binding) schemas(result slot) Option {
	return func(c *command) {
		switch b.args.shape.kind {
		case objectKind, mapKind, anyKind:
		default:
			c.err = errors.New("arguments must be a struct or a map with string keys")
			return
		}
		args := b.args
		args.nullable = false
		c.desc.ArgsSchema = args.schema()
		c.desc.ResultSchema = result.schema()
	}
}

// bind decodes and checks arguments.
func bind[A any](b *binding, data json.RawMessage) (A, error) {
	var args A
	if err := b.args.shape.check(data, ""); err != nil {
		return args, b.invalid(err)
	}
	if err := json.Unmarshal(data, &args); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			return args, b.invalid(&argumentError{
				path:  mismatch.Field,
				fault: "must be " + goTypeName(mismatch.Type) + ", not " + mismatch.Value,
			})
		}
		return args, b.invalid(err)
	}
	return args, nil
}

func (b *binding) invalid(err error) error {
	e := shared.Errorf(shared.InvalidArgument, "call command %q: %w", b.command, err)
	if usage := b.args.shape.usage(); usage != "" {
		e = e.WithHint("its arguments are %s", usage)
	}
	return e
}

// argumentError names the argument that is wrong.
type argumentError struct {
	path  string
	fault string
}

func (e *argumentError) Error() string {
	if e.path == "" {
		return "arguments " + e.fault
	}
	return "argument " + strconv.Quote(e.path) + " " + e.fault
}

// goTypeName says in words of JSON what a Go type takes.
func goTypeName(t reflect.Type) string {
	switch s := slotOf(t); s.shape.kind {
	case anyKind:
		return t.String()
	case integerKind:
		return "an integer that fits into " + t.String()
	case objectKind, mapKind:
		return "an object"
	case arrayKind:
		return "an array"
	default:
		return "a " + s.shape.kind.String()
	}
}
