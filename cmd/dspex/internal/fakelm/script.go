package fakelm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// maxScripted bounds the behaviors that wait for their request.
	maxScripted = 10_000
	// maxRules bounds the rules.
	maxRules = 1_000
)

var (
	errTooManyScripted = fmt.Errorf("next: more than %d behaviors wait", maxScripted)
	errTooManyRules    = fmt.Errorf("rules: more than %d", maxRules)
)

// script decides what happens to each request. It is safe for concurrent use.
type script struct {
	initial Options // immutable after newScript

	mu       sync.Mutex
	settings Options    // guarded by mu
	next     []Behavior // guarded by mu
	rules    []Rule     // guarded by mu
	served   uint64     // guarded by mu; requests that drew their fate
}

// Rule is a behavior for all requests whose prompt holds a text.
type Rule struct {
	// Match is what must occur in the text of the messages; "" always does.
	Match string `json:"match"`
	// Times is how many requests the rule is for. 0 is no limit.
	Times int `json:"times,omitempty"`
	Behavior
}

// Settings is the body of POST /control, where what is left out stays as it is,
// and the answer of GET /control.
type Settings struct {
	Latency       *Duration `json:"latency,omitempty"`
	Jitter        *Duration `json:"jitter,omitempty"`
	TokenDelay    *Duration `json:"token_delay,omitempty"`
	ErrorRate     *float64  `json:"error_rate,omitempty"`
	RateLimitRate *float64  `json:"rate_limit_rate,omitempty"`
	RetryAfter    *Duration `json:"retry_after,omitempty"`
	CutRate       *float64  `json:"cut_rate,omitempty"`
	Seed          *uint64   `json:"seed,omitempty"`
	ChunkTokens   *int      `json:"chunk_tokens,omitempty"`
	// RequireKey is write-only: GET leaves it out.
	RequireKey *string `json:"require_key,omitempty"`
	// Next is added to the behaviors that wait for the next requests.
	Next []Behavior `json:"next,omitempty"`
	// Rules replaces the rules, if it is not null.
	Rules []Rule `json:"rules,omitempty"`
}

// fate is what was decided about one request.
type fate struct {
	Behavior
	latency     time.Duration
	tokenDelay  time.Duration
	chunkTokens int
	// cutAt is where to cut the answer, as a share of it; 0 does not cut.
	cutAt float64
}

// endless reports whether the answer never ends by itself.
func (f *fate) endless() bool { return f.Hang || f.HangAfter != nil || f.Endless }

// newScript returns a script with the options' settings.
func newScript(options Options) *script {
	options = options.withDefaults()
	return &script{initial: options, settings: options}
}

// reset goes back to the initial settings and forgets what was scripted.
func (s *script) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings, s.next, s.rules, s.served = s.initial, nil, nil, 0
}

// apply changes the settings: all of them, or none and an error.
func (s *script) apply(change Settings) error {
	for i := range change.Next {
		if err := change.Next[i].Validate(); err != nil {
			return fmt.Errorf("next[%d]: %w", i, err)
		}
	}
	for i := range change.Rules {
		if err := change.Rules[i].Validate(); err != nil {
			return fmt.Errorf("rules[%d]: %w", i, err)
		}
		if change.Rules[i].Times < 0 {
			return fmt.Errorf("rules[%d]: times: %w", i, errNegative)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.settings
	setDuration(&changed.Latency, change.Latency)
	setDuration(&changed.Jitter, change.Jitter)
	setDuration(&changed.TokenDelay, change.TokenDelay)
	setDuration(&changed.RetryAfter, change.RetryAfter)
	set(&changed.ErrorRate, change.ErrorRate)
	set(&changed.RateLimitRate, change.RateLimitRate)
	set(&changed.CutRate, change.CutRate)
	set(&changed.Seed, change.Seed)
	set(&changed.RequireKey, change.RequireKey)
	set(&changed.ChunkTokens, change.ChunkTokens)
	err := changed.Validate()
	if len(s.next)+len(change.Next) > maxScripted {
		err = errors.Join(err, errTooManyScripted)
	}
	if len(change.Rules) > maxRules {
		err = errors.Join(err, errTooManyRules)
	}
	if err != nil {
		return err
	}
	s.settings = changed.withDefaults()
	s.next = append(s.next, change.Next...)
	if change.Rules != nil {
		s.rules = append([]Rule(nil), change.Rules...)
	}
	return nil
}

// current returns the settings as they are, without the key.
func (s *script) current() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.settings
	return Settings{
		Latency: (*Duration)(&o.Latency), Jitter: (*Duration)(&o.Jitter), TokenDelay: (*Duration)(&o.TokenDelay),
		ErrorRate: &o.ErrorRate, RateLimitRate: &o.RateLimitRate, RetryAfter: (*Duration)(&o.RetryAfter),
		CutRate: &o.CutRate, Seed: &o.Seed, ChunkTokens: &o.ChunkTokens,
		Next: append([]Behavior(nil), s.next...), Rules: append([]Rule(nil), s.rules...),
	}
}

// requiredKey returns the API key that requests must carry, or "".
func (s *script) requiredKey() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.RequireKey
}

// decide returns what happens to a request. own is what it asks for itself, or
// nil; then a rule, the script and the rates are asked, in that order.
func (s *script) decide(req *request, own *Behavior) fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.settings
	s.served++
	random := rand.New(rand.NewPCG(o.Seed, s.served))
	// All are drawn for each request, so one rate never shifts another's draws.
	limited, failed, cut := random.Float64(), random.Float64(), random.Float64()
	where, delay := random.Float64(), random.Float64()

	f := fate{latency: o.Latency, tokenDelay: o.TokenDelay, chunkTokens: o.ChunkTokens}
	f.latency += time.Duration(delay * float64(o.Jitter))
	decided := own
	if decided == nil {
		decided = s.ruledLocked(req)
	}
	switch {
	case decided != nil:
		f.Behavior = *decided
	case len(s.next) > 0:
		f.Behavior = s.next[0]
		s.next = s.next[1:]
	case limited < o.RateLimitRate:
		seconds := math.Ceil(o.RetryAfter.Seconds())
		f.Behavior = Behavior{Status: http.StatusTooManyRequests, RetryAfter: &seconds}
	case failed < o.ErrorRate:
		f.Behavior = Behavior{Status: http.StatusInternalServerError}
	case cut < o.CutRate:
		f.cutAt = 0.1 + 0.8*where
	}
	setDuration(&f.latency, f.Latency)
	setDuration(&f.tokenDelay, f.TokenDelay)
	return f
}

// ruledLocked returns the behavior of the first rule for a request, or nil.
func (s *script) ruledLocked(req *request) *Behavior {
	if len(s.rules) == 0 {
		return nil
	}
	prompt := req.prompt()
	for i := range s.rules {
		rule := &s.rules[i]
		if !strings.Contains(prompt, rule.Match) {
			continue
		}
		found := rule.Behavior
		if rule.Times == 1 {
			s.rules = append(s.rules[:i], s.rules[i+1:]...)
		} else if rule.Times > 1 {
			rule.Times--
		}
		return &found
	}
	return nil
}

// set stores a value that is given.
func set[T any](into, value *T) {
	if value != nil {
		*into = *value
	}
}

// setDuration is set for a duration.
func setDuration(into *time.Duration, value *Duration) {
	if value != nil {
		*into = time.Duration(*value)
	}
}
