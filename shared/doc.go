// Package shared is the contract between a dspex host and everything across a
// process boundary: workers, which are HashiCorp go-plugin plugins, and clients.
//
// It holds the handshake and plugin map, both gRPC adapters of a worker, the
// table of errors, and the plain types that cross: [CallRequest], [CallResult],
// [Session], [Program], [PoolStatus], [WorkerStatus], [Event]. It converts and
// decides nothing.
//
// # Errors
//
// Each failure that crosses is an [*Error]: a [Reason] from one table, what
// happened, what to do, and whether the call may have run. Reasons compare with
// [errors.Is] against the sentinels of this package, in process and over the
// network alike:
//
//	_, err := pool.Execute(ctx, "ping", nil)
//	if errors.Is(err, shared.ErrQueueTimeout) {
//		// Did not run: safe to try again.
//	}
//	var remote *shared.RemoteError
//	if errors.As(err, &remote) {
//		log.Print(remote.Traceback) // raised by the worker's own code
//	}
//
// # Concurrency
//
// The types are plain values. An *Error is immutable after it was made.
package shared
