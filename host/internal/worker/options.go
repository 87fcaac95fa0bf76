package worker

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/dspex/dspex/host/internal/proc"
	"github.com/dspex/dspex/shared"
	workerv1 "github.com/dspex/dspex/shared/proto/dspex/worker/v1"
)

// Options of a worker. They are immutable.
type Options struct {
	// ID is stable over the worker's generations.
	ID   string
	Pool string
	// Spec is what to start; the worker fills in name and log.
	Spec proc.Spec
	// SocketDir is the folder, of mode 0700, below which sockets are made.
	SocketDir string
	// Launcher is the seam between what runs and how it is started.
	Launcher proc.Launcher
	// StartupTimeout bounds the time from the start of a process to its first
	// answer.
	StartupTimeout time.Duration
	// MaxMessage is the largest payload in bytes.
	MaxMessage int
	// Slots is the number of calls at once.
	Slots int
	// DrainTimeout bounds the wait for the calls of a process that was replaced.
	DrainTimeout time.Duration
	// LanguageModels and DefaultLanguageModel go to the process after its start.
	LanguageModels       []*workerv1.LanguageModel
	DefaultLanguageModel string

	Health  Health
	Restart Restart
	Recycle Recycle

	Owner Owner
	Log   hclog.Logger
}

// Health says when a process counts as unhealthy.
type Health struct {
	// Interval between two checks, and Timeout of each.
	Interval, Timeout time.Duration
	// FailAfter checks failed in a row, the process is ended and replaced.
	FailAfter int
}

// RestartMode says after which ends a worker gets a new process.
type RestartMode int

const (
	// Always (OTP: permanent).
	Always RestartMode = iota
	// OnFailure (OTP: transient): unless it ended by itself with status 0.
	OnFailure
	// Never (OTP: temporary).
	Never
)

// Restart says when the next process is started.
type Restart struct {
	Mode RestartMode
	// Backoff is the first wait after a failure; it doubles up to MaxBackoff.
	Backoff, MaxBackoff time.Duration
}

// Recycle says when a process is replaced though it is well. Zeros are off.
type Recycle struct {
	MaxRequests int64
	MaxAge      time.Duration
	MaxRSS      uint64
	// Jitter spreads the limits by this share, so that workers that started
	// together are not replaced together.
	Jitter float64
}

// Owner is what a worker tells, and asks, its pool. The methods are called from
// the worker's goroutines and must not block, except StartSlot.
type Owner interface {
	// StartSlot waits for the right to start a process and returns what ends it.
	StartSlot(ctx context.Context) (release func(), err error)
	// Ready makes a process take calls.
	Ready(w *Worker, p *Process)
	// Drain stops a process from being given calls. The channel is closed when
	// those that it has are over.
	Drain(p *Process) <-chan struct{}
	// Lost takes out a process that cannot be called any more.
	Lost(p *Process)
	// Failed tells that the worker has no process, and why: a start failed, or none
	// follows the last.
	Failed(w *Worker, err error)
	// CountRestart counts a restart after a failure, and reports whether there
	// were more than the pool allows: then the next waits for MaxBackoff.
	CountRestart() (overLimit bool)
	// BeginRecycle asks for the right to replace a process that is well, of which
	// there is one in a pool; EndRecycle gives it back.
	BeginRecycle() bool
	EndRecycle()
	// Changed tells of an event of the worker.
	Changed(shared.Event)
}

func (o *Options) configure(generation uint64) *workerv1.ConfigureRequest {
	return &workerv1.ConfigureRequest{
		WorkerId:             o.ID,
		Pool:                 o.Pool,
		Generation:           generation,
		MaxInFlight:          uint32(o.Slots),
		MaxPayloadBytes:      uint64(o.MaxMessage),
		HeartbeatMs:          uint32(heartbeat / time.Millisecond),
		LanguageModels:       o.LanguageModels,
		DefaultLanguageModel: o.DefaultLanguageModel,
	}
}
