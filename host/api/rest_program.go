package api

import (
	"net/http"

	"github.com/dspex/dspex/shared"
)

type programsView struct {
	Programs []shared.Program `json:"programs"`
}

// The routes of global programs have no {id}, so their session is empty.

func (s *Server) listPrograms(w http.ResponseWriter, r *http.Request) error {
	programs, err := s.backend.ListPrograms(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, programsView{append([]shared.Program{}, programs...)})
	return nil
}

func (s *Server) getProgram(w http.ResponseWriter, r *http.Request) error {
	program, err := s.backend.GetProgram(r.Context(), r.PathValue("id"), r.PathValue("name"))
	if err != nil {
		return err
	}
	writeRevision(w, r, http.StatusOK, program.Revision, program)
	return nil
}

func (s *Server) putProgram(w http.ResponseWriter, r *http.Request) error {
	req := shared.PutProgramRequest{Session: r.PathValue("id"), Name: r.PathValue("name")}
	var err error
	if req.Spec, err = readObject(r); err != nil {
		return err
	}
	cond, err := conditionOf(r)
	if err != nil {
		return err
	}
	var program shared.Program
	created := false
	err = cond.write(func(revision *uint64) (err error) {
		req.IfRevision = revision
		program, created, err = s.backend.PutProgram(r.Context(), req)
		return err
	}, func() (uint64, error) {
		program, err := s.backend.GetProgram(r.Context(), req.Session, req.Name)
		return program.Revision, err
	})
	if err != nil {
		return err
	}
	writeRevision(w, nil, writtenStatus(created), program.Revision, program)
	return nil
}

func (s *Server) deleteProgram(w http.ResponseWriter, r *http.Request) error {
	cond, err := updateConditionOf(r)
	if err != nil {
		return err
	}
	if err := s.backend.DeleteProgram(r.Context(), r.PathValue("id"), r.PathValue("name"), cond.revision); err != nil {
		return cond.err(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
