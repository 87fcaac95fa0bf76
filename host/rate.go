package host

import (
	"sync"
	"time"
)

// window is how far back a rate looks, in seconds.
const window = 60

// rates counts what happened in each of the last seconds. It is safe for
// concurrent use.
type rates struct {
	mu      sync.Mutex
	seconds [window]second // guarded by mu
}

type second struct {
	at                          int64
	done, errors, queueTimeouts int64
}

// count adds one finished call.
func (r *rates) count(now time.Time, failed, queueTimeout bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now.Unix()
	s := &r.seconds[at%window]
	if s.at != at {
		*s = second{at: at}
	}
	s.done++
	if failed {
		s.errors++
	}
	if queueTimeout {
		s.queueTimeouts++
	}
}

// sum adds up the last n seconds, the current one included.
func (r *rates) sum(now time.Time, n int64) second {
	r.mu.Lock()
	defer r.mu.Unlock()
	var total second
	for _, s := range r.seconds {
		if age := now.Unix() - s.at; age >= 0 && age < n {
			total.done += s.done
			total.errors += s.errors
			total.queueTimeouts += s.queueTimeouts
		}
	}
	return total
}
