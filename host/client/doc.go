// Package client calls a running dspex host.
//
//	c, err := client.New(client.DefaultAddr(os.Getenv, ""))
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	result, err := c.Pool("qa").Call(ctx, "ping", map[string]any{"x": 1})
//	if errors.Is(err, shared.ErrQueueTimeout) {
//		// Did not run: safe to try again.
//	}
//
// [CallAs] decodes the result into a type; [Pool.Stream] ranges over the chunks
// of a streaming command.
//
// # Errors
//
// All methods fail with an *[shared.Error], which is the one that the host gave:
// reason, hint, and whether the call may have run. A host that cannot be reached
// is UNAVAILABLE.
//
// # Concurrency
//
// A Client is safe for concurrent use and keeps its connections, so make one and
// share it. The context of a method bounds it and travels to the host: when it
// ends, the call is cancelled there.
//
// # Caveats
//
// There is no TLS and no authentication. Nothing is retried: the errors say when
// that is safe.
package client
