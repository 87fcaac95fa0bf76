// Package fakelm is an offline language model behind a real HTTP server.
//
// It speaks the OpenAI chat-completions and responses APIs, streaming included,
// so that DSPy's own LM client talks to it over a real socket. It reads the
// requested output fields and their types out of the prompt that a DSPy adapter
// wrote (ChatAdapter, JSONAdapter, XMLAdapter, TwoStepAdapter, BAMLAdapter) and
// answers each with a well-typed value in the format that the adapter parses.
// Any other prompt gets an echo. The same prompt always gets the same answer,
// and different inputs get different answers, so a mix-up of two calls shows.
//
//	srv := fakelm.New(fakelm.Options{Latency: 300 * time.Millisecond})
//	ln, err := net.Listen("tcp", "127.0.0.1:0")
//	if err != nil {
//		return err
//	}
//	return srv.Serve(ctx, ln) // dspy.LM("openai/any", api_base="http://ADDR/v1", api_key="x")
//
// # Endpoints
//
//	POST /v1/chat/completions   also without /v1
//	POST /v1/responses          also without /v1
//	GET  /v1/models             also without /v1
//	GET  /healthz
//	GET  /control               current settings
//	POST /control               change settings, script the next requests, add rules
//	POST /control/reset         back to the settings of New, with empty statistics
//	GET  /control/stats         statistics; ?requests=1 adds the recent request bodies
//
// /control/stats also waits: min_requests, min_cancelled, min_in_flight,
// max_in_flight, max_connections and min_completed name conditions, timeout (default 5s) bounds
// the wait, and status 408 says that it ran out.
//
// # Faults
//
// What happens to a request is decided by the first of these that applies:
// its own X-Fakelm-* headers, the query part of its model name, a rule whose
// text occurs in its prompt, the next scripted behavior, the random rates.
// The keys are those of [Behavior]: the header "X-Fakelm-Retry-After: 1" and the
// model "gpt-4o-mini?status=429&retry_after=1" mean the same.
//
// # Concurrency
//
// A Server is safe for concurrent use. Memory is bounded: a request body may
// have 16 MiB, the recent bodies are clipped and counted, and answers of any size
// are produced while they are sent.
//
// # Caveats
//
// The answers have the right shape, not the right meaning. The control endpoints
// ask for no key: listen on loopback only.
package fakelm
