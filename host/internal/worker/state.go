package worker

import "fmt"

// State of a worker.
type State int

const (
	// Starting: a process is being started, or will be after a back-off.
	Starting State = iota
	// Ready: its process takes calls.
	Ready
	// Unhealthy: its process failed its health checks and is being ended.
	Unhealthy
	// Draining: it takes no new calls and ends when its calls have.
	Draining
	// Stopped: it has no process and starts none.
	Stopped
)

// edges are the legal transitions. The diagram is in ARCHITECTURE.md.
var edges = map[State][]State{
	Starting:  {Ready, Draining, Stopped},
	Ready:     {Starting, Unhealthy, Draining, Stopped},
	Unhealthy: {Starting, Draining, Stopped},
	Draining:  {Stopped},
	Stopped:   {},
}

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Ready:
		return "ready"
	case Unhealthy:
		return "unhealthy"
	case Draining:
		return "draining"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("state %d", int(s))
}

// mayBecome reports whether the transition is legal. Staying is.
func (s State) mayBecome(next State) bool {
	if s == next {
		return true
	}
	for _, e := range edges[s] {
		if e == next {
			return true
		}
	}
	return false
}
