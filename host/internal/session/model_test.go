package session

import (
	"time"
)

// model is what Sessions should do, in the plainest way. It never deletes what has
// expired: it only looks at the time.
type model struct {
	opts     Options
	sessions map[string]*modelSession
	globals  map[string]*modelProgram
}

type modelSession struct {
	data     map[string]int
	revision uint64
	ttl      time.Duration
	deadline time.Time
	programs map[string]*modelProgram
}

type modelProgram struct {
	revision uint64
	hash     string
}

func (m *model) session(id string) *modelSession {
	if s := m.sessions[id]; s != nil && s.deadline.After(time.Now()) {
		return s
	}
	return nil
}

func (m *model) count() (n int) {
	for id := range m.sessions {
		if m.session(id) != nil {
			n++
		}
	}
	return n
}

func (s *modelSession) use() { s.deadline = time.Now().Add(s.ttl) }

// create returns a new session, or nil at the limit.
func (m *model) create(id string, ttl time.Duration) *modelSession {
	if m.count() >= m.opts.MaxCount {
		return nil
	}
	s := &modelSession{data: map[string]int{}, ttl: ttl, programs: map[string]*modelProgram{}}
	m.sessions[id] = s
	return s
}

// programs returns the programs of an owner, or nil.
func (m *model) programs(owner string) map[string]*modelProgram {
	if owner == "" {
		return m.globals
	}
	if s := m.session(owner); s != nil {
		return s.programs
	}
	return nil
}
