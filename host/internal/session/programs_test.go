package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/host/internal/program"
	"github.com/dspex/dspex/shared"
)

func testSpec(t testing.TB, signature string) shared.ProgramSpec {
	t.Helper()
	spec, err := program.ParseSpec(fmt.Appendf(nil, `{"signature":%q}`, signature))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{OnEvent: events.add})
		spec := testSpec(t, "q -> a")
		spec.Config = json.RawMessage(`{ "stop": "<", "seed": 1 }`)
		put, created, err := s.PutProgram(t.Context(), "s", "qa", spec, nil)
		if err != nil || !created {
			t.Fatalf("PutProgram = created %v, %v", created, err)
		}
		if put.Name != "qa" || put.Session != "s" || put.Revision != 1 || put.Hash != program.Hash(spec) || put.CreatedAt.IsZero() {
			t.Errorf("PutProgram = %+v", put)
		}
		if want := `{"seed":1,"stop":"<"}`; string(put.Spec.Config) != want {
			t.Errorf("Config = %s, want the canonical %s", put.Spec.Config, want)
		}
		got, err := s.GetProgram(t.Context(), "s", "qa")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(put, got); diff != "" {
			t.Errorf("GetProgram (-put +got):\n%s", diff)
		}
		if session, err := s.Get(t.Context(), "s"); err != nil || session.Revision != 1 || !cmp.Equal(session.Programs, []string{"qa"}) {
			t.Errorf("Get = %+v, %v", session, err)
		}
		again, created, err := s.PutProgram(t.Context(), "s", "qa", testSpec(t, "q -> b"), nil)
		if err != nil || created || again.Revision != 2 || !again.CreatedAt.Equal(put.CreatedAt) || again.Hash == put.Hash {
			t.Errorf("second PutProgram = %+v, created %v, %v", again, created, err)
		}
		if err := s.DeleteProgram(t.Context(), "s", "qa", nil); err != nil {
			t.Error(err)
		}
		_, err = s.GetProgram(t.Context(), "s", "qa")
		wantError(t, "GetProgram after DeleteProgram", err, shared.ErrProgramNotFound)
		wantError(t, "second DeleteProgram", s.DeleteProgram(t.Context(), "s", "qa", nil), shared.ErrProgramNotFound)
		want := []string{"session.created s", "program.stored s/qa", "program.stored s/qa", "program.deleted s/qa"}
		if diff := cmp.Diff(want, events.take()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestProgramScopes(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		for _, session := range []string{"", "a", "b"} {
			if _, _, err := s.PutProgram(t.Context(), session, "only-"+session, testSpec(t, "q -> a"), nil); err != nil {
				t.Fatal(err)
			}
			if session != "b" {
				if _, _, err := s.PutProgram(t.Context(), session, "both", testSpec(t, "q -> a"), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, test := range []struct {
			session, name string
			// get and find are the owners of the programs that are got, or errors.
			get, find any
		}{
			{"", "both", "", ""},
			{"a", "both", "a", "a"},
			{"b", "both", shared.ErrProgramNotFound, ""},
			{"c", "both", shared.ErrSessionNotFound, ""},
			{"a", "only-b", shared.ErrProgramNotFound, shared.ErrProgramNotFound},
			{"c", "only-b", shared.ErrSessionNotFound, shared.ErrProgramNotFound},
			{"", "only-a", shared.ErrProgramNotFound, shared.ErrProgramNotFound},
			{"a", "a/b", shared.ErrInvalidArgument, shared.ErrInvalidArgument},
			{"a", "", shared.ErrInvalidArgument, shared.ErrInvalidArgument},
			{"a/b", "both", shared.ErrInvalidArgument, shared.ErrInvalidArgument},
		} {
			got, err := s.GetProgram(t.Context(), test.session, test.name)
			checkProgram(t, "GetProgram", test.session, test.name, got, err, test.get)
			got, err = s.FindProgram(t.Context(), test.session, test.name)
			checkProgram(t, "FindProgram", test.session, test.name, got, err, test.find)
		}
		for session, want := range map[string][]string{"": {"both", "only-"}, "a": {"both", "only-a"}, "b": {"only-b"}} {
			list, err := s.ListPrograms(t.Context(), session)
			var names []string
			for _, p := range list {
				names = append(names, p.Name)
			}
			if err != nil || !cmp.Equal(names, want) {
				t.Errorf("ListPrograms(%q) = %v, %v, want %v", session, names, err, want)
			}
		}
		_, err := s.ListPrograms(t.Context(), "c")
		wantError(t, "ListPrograms of nothing", err, shared.ErrSessionNotFound)
		// A session takes its programs with it, and nobody else's.
		if err := s.Delete(t.Context(), "a", nil); err != nil {
			t.Error(err)
		}
		mustPut(t, s, "a", "{}")
		_, err = s.GetProgram(t.Context(), "a", "both")
		wantError(t, "GetProgram of a session created anew", err, shared.ErrProgramNotFound)
		if _, err := s.GetProgram(t.Context(), "b", "only-b"); err != nil {
			t.Error(err)
		}
	})
}

func checkProgram(t *testing.T, what, session, name string, got shared.Program, err error, want any) {
	t.Helper()
	if target, ok := want.(error); ok {
		wantError(t, fmt.Sprintf("%s(%q, %q)", what, session, name), err, target)
		return
	}
	if err != nil || got.Session != want || got.Name != name {
		t.Errorf("%s(%q, %q) = %q of %q, %v, want the one of %q", what, session, name, got.Name, got.Session, err, want)
	}
}

func TestProgramLimits(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{MaxPrograms: 2, MaxBytes: 2000, MaxCount: 1})
		limit, tooLarge := &shared.Error{Reason: shared.ProgramLimit}, &shared.Error{Reason: shared.SessionTooLarge}
		put := func(session, name string, size int) error {
			spec := testSpec(t, "q -> a")
			spec.Instructions = strings.Repeat("x", size)
			_, _, err := s.PutProgram(t.Context(), session, name, spec, nil)
			return err
		}
		for _, name := range []string{"a", "b", "a"} {
			if err := put("s", name, 1); err != nil {
				t.Errorf("PutProgram %s = %v", name, err)
			}
		}
		wantError(t, "third program", put("s", "c", 1), limit)
		wantError(t, "large program", put("s", "a", 2000), tooLarge)
		_, _, err := s.Put(t.Context(), shared.PutSessionRequest{ID: "s", Data: fmt.Appendf(nil, `{"a":%q}`, strings.Repeat("x", 1500))})
		wantError(t, "data that is large with the programs", err, tooLarge)
		wantError(t, "program in a second session", put("t", "a", 1), &shared.Error{Reason: shared.SessionLimit})
		for _, name := range []string{"a", "b", "c"} {
			if err := put("", name, 5000); err != nil {
				t.Errorf("global PutProgram %s = %v", name, err)
			}
		}
		if got := s.Stats(); got.Programs != 2 || got.GlobalPrograms != 3 || got.Sessions != 1 {
			t.Errorf("Stats = %+v, want 2 programs, 3 global, 1 session", got)
		}
	})
}

func TestProgramRevisions(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		at := func(n uint64) *uint64 { return &n }
		spec := testSpec(t, "q -> a")
		for _, session := range []string{"", "s"} {
			put := func(revision *uint64) error {
				_, _, err := s.PutProgram(t.Context(), session, "p", spec, revision)
				return err
			}
			wantError(t, "PutProgram at 1 of nothing", put(at(1)), shared.ErrRevisionConflict)
			if err := put(at(0)); err != nil {
				t.Errorf("PutProgram at 0 of nothing = %v", err)
			}
			err := put(at(0))
			wantError(t, "PutProgram at 0", err, shared.ErrRevisionConflict)
			owner := map[string]string{"": `global program "p"`, "s": `program "p" of session "s"`}[session]
			if want := owner + " exists, at revision 1"; err.Error() != want {
				t.Errorf("error = %v, want %s", err, want)
			}
			if err := put(at(1)); err != nil {
				t.Errorf("PutProgram at 1 = %v", err)
			}
			err = s.DeleteProgram(t.Context(), session, "p", at(1))
			wantError(t, "DeleteProgram at 1", err, shared.ErrRevisionConflict)
			if want := owner + " is at revision 2, not 1"; err.Error() != want {
				t.Errorf("error = %v, want %s", err, want)
			}
			if err := s.DeleteProgram(t.Context(), session, "p", at(2)); err != nil {
				t.Errorf("DeleteProgram at 2 = %v", err)
			}
		}
		if _, err := s.Get(t.Context(), "s"); err != nil {
			t.Error(err)
		}
	})
}

// A refused program must not leave behind the session that it was to create.
func TestRefusedProgramCreatesNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		var events recorder
		s := newSessions(t, store, Options{MaxBytes: 100, MaxCount: 1, OnEvent: events.add})
		_, _, err := s.PutProgram(t.Context(), "s", "p", testSpec(t, "q -> a"), nil)
		wantError(t, "PutProgram", err, &shared.Error{Reason: shared.SessionTooLarge})
		_, err = s.Get(t.Context(), "s")
		wantError(t, "Get", err, shared.ErrSessionNotFound)
		if got := events.take(); got != nil {
			t.Errorf("events = %v, want none", got)
		}
		mustPut(t, s, "t", "{}") // The one place is still free.
	})
}

func TestUpdateProgram(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		if _, _, err := s.PutProgram(t.Context(), "s", "p", testSpec(t, "q -> a"), nil); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := s.UpdateProgram(t.Context(), "s", "p", func(spec *shared.ProgramSpec) error {
					spec.Instructions += "x"
					return nil
				})
				if err != nil {
					t.Errorf("UpdateProgram = %v", err)
				}
			})
		}
		wg.Wait()
		got, err := s.GetProgram(t.Context(), "s", "p")
		if err != nil || got.Spec.Instructions != "xxxxxxxx" || got.Revision != 9 || got.Hash != program.Hash(got.Spec) {
			t.Errorf("GetProgram = %+v, %v", got, err)
		}
		_, err = s.UpdateProgram(t.Context(), "s", "p", func(spec *shared.ProgramSpec) error {
			spec.Signature.Inputs[0].Type = "os.environ"
			return nil
		})
		wantError(t, "UpdateProgram with a bad type", err, shared.ErrSignatureInvalid)
		_, err = s.UpdateProgram(t.Context(), "", "p", func(*shared.ProgramSpec) error { return nil })
		wantError(t, "UpdateProgram of nothing", err, shared.ErrProgramNotFound)
		mine := errors.New("mine")
		_, err = s.UpdateProgram(t.Context(), "s", "p", func(*shared.ProgramSpec) error { return mine })
		if err != mine {
			t.Errorf("UpdateProgram = %v, want %v", err, mine)
		}
	})
}
