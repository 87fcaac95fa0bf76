package shared

import (
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// ToProto returns s as a message.
func (s PoolStatus) ToProto() *apiv1.Pool {
	return &apiv1.Pool{
		Name:        s.Name,
		Description: s.Description,
		Status:      s.Status,
		Reason:      s.Reason,
		Stats:       s.Stats.ToProto(),
		Health:      &apiv1.PoolHealth{Level: s.Health.Level, Findings: s.Health.Findings},
		Commands:    mapSlice(s.Commands, Command.ToProto),
	}
}

// PoolStatusFromProto is the inverse of PoolStatus.ToProto.
func PoolStatusFromProto(p *apiv1.Pool) PoolStatus {
	return PoolStatus{
		Name:        p.GetName(),
		Description: p.GetDescription(),
		Status:      p.GetStatus(),
		Reason:      p.GetReason(),
		Stats:       PoolStatsFromProto(p.GetStats()),
		Health:      PoolHealth{Level: p.GetHealth().GetLevel(), Findings: p.GetHealth().GetFindings()},
		Commands:    mapSlice(p.GetCommands(), CommandFromProto),
	}
}

// ToProto returns s as a message.
func (s PoolStats) ToProto() *apiv1.PoolStats {
	return &apiv1.PoolStats{
		Workers:       uint32Of(s.Workers),
		Ready:         uint32Of(s.Ready),
		Available:     uint32Of(s.Available),
		Busy:          uint32Of(s.Busy),
		Slots:         uint32Of(s.Slots),
		InFlight:      uint32Of(s.InFlight),
		Queued:        uint32Of(s.Queued),
		Requests:      uint64Of(s.Requests),
		Errors:        uint64Of(s.Errors),
		QueueTimeouts: uint64Of(s.QueueTimeouts),
		Rejected:      uint64Of(s.Rejected),
		Restarts:      uint64Of(s.Restarts),
		Run:           s.Run.ToProto(),
		QueueWait:     s.QueueWait.ToProto(),
	}
}

// PoolStatsFromProto is the inverse of PoolStats.ToProto.
func PoolStatsFromProto(p *apiv1.PoolStats) PoolStats {
	return PoolStats{
		Workers:       int(p.GetWorkers()),
		Ready:         int(p.GetReady()),
		Available:     int(p.GetAvailable()),
		Busy:          int(p.GetBusy()),
		Slots:         int(p.GetSlots()),
		InFlight:      int(p.GetInFlight()),
		Queued:        int(p.GetQueued()),
		Requests:      int64Of(p.GetRequests()),
		Errors:        int64Of(p.GetErrors()),
		QueueTimeouts: int64Of(p.GetQueueTimeouts()),
		Rejected:      int64Of(p.GetRejected()),
		Restarts:      int64Of(p.GetRestarts()),
		Run:           LatencyFromProto(p.GetRun()),
		QueueWait:     LatencyFromProto(p.GetQueueWait()),
	}
}

// ToProto returns l as a message.
func (l Latency) ToProto() *apiv1.Latency {
	return &apiv1.Latency{
		Count: uint64Of(l.Count),
		P50:   durationToProto(l.P50),
		P95:   durationToProto(l.P95),
		P99:   durationToProto(l.P99),
		Max:   durationToProto(l.Max),
	}
}

// LatencyFromProto is the inverse of Latency.ToProto.
func LatencyFromProto(p *apiv1.Latency) Latency {
	return Latency{
		Count: int64Of(p.GetCount()),
		P50:   p.GetP50().AsDuration(),
		P95:   p.GetP95().AsDuration(),
		P99:   p.GetP99().AsDuration(),
		Max:   p.GetMax().AsDuration(),
	}
}

// ToProto returns s as a message.
func (s WorkerStatus) ToProto() *apiv1.Worker {
	return &apiv1.Worker{
		Id:         s.ID,
		Pool:       s.Pool,
		State:      s.State,
		Generation: s.Generation,
		Pid:        int64(s.PID),
		Slots:      uint32Of(s.Slots),
		InFlight:   uint32Of(s.InFlight),
		Calls:      uint64Of(s.Calls),
		Errors:     uint64Of(s.Errors),
		Restarts:   uint64Of(s.Restarts),
		StartedAt:  timeToProto(s.StartedAt),
		StartTime:  durationToProto(s.StartTime),
		RssBytes:   s.RSS,
		Lag:        durationToProto(s.Lag),
		LastExit:   s.LastExit,
		Versions:   s.Versions,
		Launch:     s.Launch,
	}
}

// WorkerStatusFromProto is the inverse of WorkerStatus.ToProto.
func WorkerStatusFromProto(p *apiv1.Worker) WorkerStatus {
	return WorkerStatus{
		ID:         p.GetId(),
		Pool:       p.GetPool(),
		State:      p.GetState(),
		Generation: p.GetGeneration(),
		PID:        int(p.GetPid()),
		Slots:      int(p.GetSlots()),
		InFlight:   int(p.GetInFlight()),
		Calls:      int64Of(p.GetCalls()),
		Errors:     int64Of(p.GetErrors()),
		Restarts:   int64Of(p.GetRestarts()),
		StartedAt:  timeFromProto(p.GetStartedAt()),
		StartTime:  p.GetStartTime().AsDuration(),
		RSS:        p.GetRssBytes(),
		Lag:        p.GetLag().AsDuration(),
		LastExit:   p.GetLastExit(),
		Versions:   p.GetVersions(),
		Launch:     p.GetLaunch(),
	}
}

// ToProto returns s as a message.
func (s HostStats) ToProto() *apiv1.GetStatsResponse {
	var pools map[string]*apiv1.PoolStats
	if len(s.Pools) > 0 {
		pools = make(map[string]*apiv1.PoolStats, len(s.Pools))
		for name, stats := range s.Pools {
			pools[name] = stats.ToProto()
		}
	}
	return &apiv1.GetStatsResponse{
		Version:  s.Version,
		Host:     s.Host,
		Uptime:   durationToProto(s.Uptime),
		Pools:    pools,
		Sessions: s.Sessions.ToProto(),
	}
}

// HostStatsFromProto is the inverse of HostStats.ToProto.
func HostStatsFromProto(p *apiv1.GetStatsResponse) HostStats {
	var pools map[string]PoolStats
	if len(p.GetPools()) > 0 {
		pools = make(map[string]PoolStats, len(p.GetPools()))
		for name, stats := range p.GetPools() {
			pools[name] = PoolStatsFromProto(stats)
		}
	}
	return HostStats{
		Version:  p.GetVersion(),
		Host:     p.GetHost(),
		Uptime:   p.GetUptime().AsDuration(),
		Pools:    pools,
		Sessions: SessionStatsFromProto(p.GetSessions()),
	}
}
