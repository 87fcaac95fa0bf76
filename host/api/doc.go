// Package api is the network face of a host. It serves three services over gRPC,
// gRPC-Web and Connect, the same operations as REST under /v1 with server-sent
// events for streams, and probes, all on each of its listeners. It decodes,
// checks what concerns the transport, calls a [Backend], and encodes.
//
//	server, err := api.New(host, api.Options{
//		Listeners: []api.Listener{
//			{Name: "local", Network: "unix", Address: "/run/dspex/api.sock"},
//			{Name: "http", Network: "tcp", Address: "127.0.0.1:4680"},
//		},
//	})
//	if err != nil {
//		return err
//	}
//	if err := server.Listen(); err != nil {
//		return err
//	}
//	go server.Serve(ctx)
//	...
//	server.Shutdown(drainCtx)
//
// # Errors
//
// Each failure becomes one [shared.Error]. REST answers carry it as
// {"error": {...}} with the HTTP status of its reason, RPC answers as an
// apiv1.ErrorDetail with the gRPC code of its reason.
//
// # Who may call
//
// There is no authentication. A unix socket is protected by its mode. On TCP
// listeners, browsers are kept out: a request from another site, or for a host
// name that is not this machine's, is FORBIDDEN.
//
// # Concurrency
//
// A Server is safe for concurrent use. The Backend is called from one goroutine
// per request.
//
// # Caveats
//
// There is no TLS: put a proxy in front of a listener that leaves the machine.
// Requests are not compressed, and compressed ones are refused.
package api
