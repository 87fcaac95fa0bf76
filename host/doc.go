// Package host runs pools of workers and keeps sessions and DSPy programs: the
// library behind `dspex serve`, for Go programs that want it in process.
//
//	cfg, diags, _ := config.Load(config.Options{Paths: []string{"pools.hcl"}})
//	if cfg == nil {
//		log.Fatal(diags)
//	}
//	h, err := host.New(cfg, host.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	if err := h.Start(ctx); err != nil {
//		log.Fatal(err)
//	}
//	defer h.Close(context.Background())
//	pool, _ := h.Pool("qa")
//	result, err := pool.Execute(ctx, "ping", map[string]any{"x": 1})
//
// # Concurrency
//
// All methods of Host and Pool may be called concurrently. A caller's context
// covers its own call only. Close waits for running calls for the configured
// drain_timeout.
//
// # Caveats
//
// A host owns its data folder: a second one on the same folder fails to start
// with HOST_LOCKED. A call runs at most once, unless its command or the call
// says that it is idempotent; each error says whether the call may have run.
package host
