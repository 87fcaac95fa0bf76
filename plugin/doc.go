// Package plugin makes dspex workers in Go: programs with commands that a dspex
// host runs, as many at once as its pool says, and calls over one gRPC stream
// each.
//
//	func main() {
//		app := plugin.New("acme")
//		plugin.Command(app, "greet", func(ctx *plugin.Context, args Person) (Greeting, error) {
//			return Greeting{Text: "Hello, " + args.Name}, nil
//		}, plugin.Doc("Greet a person."), plugin.Idempotent())
//		plugin.Serve(app)
//	}
//
// A pool runs the program with
//
//	pool "acme" {
//	  command = ["./acme"]
//	}
//
// and each worker answers "ping" besides, so that a pool can be tried at once.
//
// # Commands
//
// [Command] and [Stream] add commands with typed arguments: they are checked
// against the Go type before the function runs, and the type is described to
// callers as JSON Schema. [App.Command] and [App.Stream] take the JSON as it is.
//
// What a command returns reaches its caller. A *shared.Error keeps its reason,
// message and hint; any other error is an exception of the worker's code, named
// by its Go type, with the reason PYTHON_EXCEPTION, which is the one for the code
// of workers in every language. A panic is the same with its stack, and the
// worker lives on.
//
// # Testing
//
// [ServeTest] runs an app without a host: a unit test calls its commands and sees
// results, chunks, progress and errors as a caller would.
//
// # Concurrency
//
// Each call runs on its own goroutine; the host has at most as many under way in
// one worker as the pool's concurrency. A [Context] and the send function of a
// stream may be used from several goroutines until the command returns.
//
// # Caveats
//
// A call holds its slot until its function returns: commands have to heed their
// context, or say that they do not with [Uncancellable]. A panic on a goroutine
// that a command started itself ends the process, as in any Go program. What the
// program prints to os.Stdout before Serve goes to stderr, because the host reads
// the handshake from stdout; afterwards os.Stdout and os.Stderr lead to the host.
package plugin
