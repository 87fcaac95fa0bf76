package shared

import (
	"bytes"
	"encoding/json"
	"fmt"

	apiv1 "github.com/dspex/dspex/shared/proto/dspex/api/v1"
)

// ToProto returns p as a message, its specification as JSON text. It fails if a
// raw member of the specification is no JSON.
func (p Program) ToProto() (*apiv1.Program, error) {
	spec, err := encodeSpec(p.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode program %q: %w", p.Name, err)
	}
	return &apiv1.Program{
		Name:      p.Name,
		Session:   p.Session,
		Revision:  p.Revision,
		Hash:      p.Hash,
		Spec:      spec,
		CreatedAt: timeToProto(p.CreatedAt),
		UpdatedAt: timeToProto(p.UpdatedAt),
	}, nil
}

// ProgramFromProto is the inverse of Program.ToProto.
func ProgramFromProto(p *apiv1.Program) (Program, error) {
	program := Program{
		Name:      p.GetName(),
		Session:   p.GetSession(),
		Revision:  p.GetRevision(),
		Hash:      p.GetHash(),
		CreatedAt: timeFromProto(p.GetCreatedAt()),
		UpdatedAt: timeFromProto(p.GetUpdatedAt()),
	}
	if spec := p.GetSpec(); spec != "" {
		if err := json.Unmarshal([]byte(spec), &program.Spec); err != nil {
			return Program{}, fmt.Errorf("decode program %q: %w", p.GetName(), err)
		}
	}
	return program, nil
}

// ToProto returns r as a message.
func (r PutProgramRequest) ToProto() *apiv1.PutProgramRequest {
	return &apiv1.PutProgramRequest{
		Session:    r.Session,
		Name:       r.Name,
		Spec:       string(r.Spec),
		IfRevision: copyRevision(r.IfRevision),
	}
}

// PutProgramRequestFromProto is the inverse of PutProgramRequest.ToProto.
func PutProgramRequestFromProto(p *apiv1.PutProgramRequest) PutProgramRequest {
	if p == nil {
		return PutProgramRequest{}
	}
	return PutProgramRequest{
		Session:    p.GetSession(),
		Name:       p.GetName(),
		Spec:       rawFromString(p.GetSpec()),
		IfRevision: copyRevision(p.IfRevision),
	}
}

// encodeSpec leaves <, > and & as they are: instructions are read by people.
func encodeSpec(spec ProgramSpec) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(spec); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
