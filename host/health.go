package host

import (
	"fmt"
	"time"

	"github.com/dspex/dspex/shared"
)

// Levels of a pool's health.
const (
	levelHealthy = "healthy"
	levelWarning = "warning"
	levelError   = "error"
)

// health applies the pool's rules: no available worker is a warning, as are
// queue timeouts; an error rate above max_error_rate is an error. Rates are those
// of the last minute.
func (p *Pool) health(stats shared.PoolStats) shared.PoolHealth {
	h := shared.PoolHealth{Level: levelHealthy}
	raise := func(level, format string, args ...any) {
		if h.Level != levelError {
			h.Level = level
		}
		h.Findings = append(h.Findings, fmt.Sprintf(format, args...))
	}
	if !p.cfg.Enabled {
		return h
	}
	if stats.Available == 0 {
		raise(levelWarning, "no available worker: %d of %d ready, all slots in use or none", stats.Ready, stats.Workers)
	}
	recent := p.recent.sum(time.Now(), window)
	if recent.done > 0 {
		if rate := float64(recent.errors) / float64(recent.done); rate > p.cfg.Health.MaxErrorRate {
			raise(levelError, "error rate %.1f%% in the last minute, above %.1f%%", 100*rate, 100*p.cfg.Health.MaxErrorRate)
		}
	}
	if n := p.cfg.Health.WarnQueueTimeouts; n > 0 && recent.queueTimeouts >= int64(n) {
		raise(levelWarning, "%d queue timeouts in the last minute", recent.queueTimeouts)
	}
	return h
}
