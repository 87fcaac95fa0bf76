// Package worker is the lifecycle of one worker: a [Worker] is a member of a
// pool with a stable ID, that starts, watches, replaces and stops the processes
// which do its work, one [Process] a generation. A [Stream] is the one gRPC
// stream of a process, on which calls are multiplexed.
package worker
