package shared

import (
	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// ToProto returns s as a message.
func (s Session) ToProto() *apiv1.Session {
	return &apiv1.Session{
		Id:        s.ID,
		Data:      string(s.Data),
		Revision:  s.Revision,
		Ttl:       durationToProto(s.TTL),
		CreatedAt: timeToProto(s.CreatedAt),
		UpdatedAt: timeToProto(s.UpdatedAt),
		ExpiresAt: timeToProto(s.ExpiresAt),
		Programs:  s.Programs,
	}
}

// SessionFromProto is the inverse of Session.ToProto.
func SessionFromProto(p *apiv1.Session) Session {
	return Session{
		ID:        p.GetId(),
		Data:      rawFromString(p.GetData()),
		Revision:  p.GetRevision(),
		TTL:       p.GetTtl().AsDuration(),
		CreatedAt: timeFromProto(p.GetCreatedAt()),
		UpdatedAt: timeFromProto(p.GetUpdatedAt()),
		ExpiresAt: timeFromProto(p.GetExpiresAt()),
		Programs:  p.GetPrograms(),
	}
}

// ToProto returns r as a message.
func (r PutSessionRequest) ToProto() *apiv1.PutSessionRequest {
	return &apiv1.PutSessionRequest{
		Id:         r.ID,
		Data:       string(r.Data),
		Ttl:        durationToProto(r.TTL),
		IfRevision: copyRevision(r.IfRevision),
	}
}

// PutSessionRequestFromProto is the inverse of PutSessionRequest.ToProto.
func PutSessionRequestFromProto(p *apiv1.PutSessionRequest) PutSessionRequest {
	if p == nil {
		return PutSessionRequest{}
	}
	return PutSessionRequest{
		ID:         p.GetId(),
		Data:       rawFromString(p.GetData()),
		TTL:        p.GetTtl().AsDuration(),
		IfRevision: copyRevision(p.IfRevision),
	}
}

// ToProto returns r as a message.
func (r PatchSessionRequest) ToProto() *apiv1.PatchSessionRequest {
	return &apiv1.PatchSessionRequest{
		Id:         r.ID,
		Patch:      string(r.Patch),
		Ttl:        durationToProto(r.TTL),
		IfRevision: copyRevision(r.IfRevision),
	}
}

// PatchSessionRequestFromProto is the inverse of PatchSessionRequest.ToProto.
func PatchSessionRequestFromProto(p *apiv1.PatchSessionRequest) PatchSessionRequest {
	if p == nil {
		return PatchSessionRequest{}
	}
	return PatchSessionRequest{
		ID:         p.GetId(),
		Patch:      rawFromString(p.GetPatch()),
		TTL:        p.GetTtl().AsDuration(),
		IfRevision: copyRevision(p.IfRevision),
	}
}

// ToProto returns r as a message.
func (r ListSessionsRequest) ToProto() *apiv1.ListSessionsRequest {
	return &apiv1.ListSessionsRequest{
		Prefix: r.Prefix,
		Limit:  uint32Of(r.Limit),
		After:  r.After,
	}
}

// ListSessionsRequestFromProto is the inverse of ListSessionsRequest.ToProto.
func ListSessionsRequestFromProto(p *apiv1.ListSessionsRequest) ListSessionsRequest {
	return ListSessionsRequest{
		Prefix: p.GetPrefix(),
		Limit:  int(p.GetLimit()),
		After:  p.GetAfter(),
	}
}

// ToProto returns p as a message.
func (p SessionPage) ToProto() *apiv1.ListSessionsResponse {
	return &apiv1.ListSessionsResponse{
		Sessions: mapSlice(p.Sessions, Session.ToProto),
		More:     p.More,
	}
}

// SessionPageFromProto is the inverse of SessionPage.ToProto.
func SessionPageFromProto(p *apiv1.ListSessionsResponse) SessionPage {
	return SessionPage{
		Sessions: mapSlice(p.GetSessions(), SessionFromProto),
		More:     p.GetMore(),
	}
}

// ToProto returns s as a message.
func (s SessionStats) ToProto() *apiv1.SessionStats {
	return &apiv1.SessionStats{
		Sessions:       uint64Of(s.Sessions),
		Programs:       uint64Of(s.Programs),
		GlobalPrograms: uint64Of(s.GlobalPrograms),
		Expired:        uint64Of(s.Expired),
		Bytes:          uint64Of(s.Bytes),
	}
}

// SessionStatsFromProto is the inverse of SessionStats.ToProto.
func SessionStatsFromProto(p *apiv1.SessionStats) SessionStats {
	return SessionStats{
		Sessions:       int(int64Of(p.GetSessions())),
		Programs:       int(int64Of(p.GetPrograms())),
		GlobalPrograms: int(int64Of(p.GetGlobalPrograms())),
		Expired:        int64Of(p.GetExpired()),
		Bytes:          int64Of(p.GetBytes()),
	}
}
