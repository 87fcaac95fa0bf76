package session

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dspex/dspex/shared"
)

// writerEnv makes the test binary a process that writes to the store it names.
const writerEnv = "DSPEX_TEST_SESSION_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		fmt.Fprintln(os.Stderr, writeForever(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever writes sessions and programs and prints each write once it was
// acknowledged.
func writeForever(path string) error {
	store, err := OpenBolt(path, BoltOptions{})
	if err != nil {
		return err
	}
	s, err := New(store, Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	failed := make(chan error)
	var mu sync.Mutex
	for writer := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("s%d-%d", writer, i%3)
				session, err := s.Update(ctx, id, func(session *shared.Session) error {
					session.Data = fmt.Appendf(nil, `{"revision":%d}`, session.Revision+1)
					return nil
				})
				if errors.Is(err, shared.ErrSessionNotFound) {
					session, _, err = s.Put(ctx, shared.PutSessionRequest{ID: id, Data: json.RawMessage(`{"revision":1}`)})
				}
				var p shared.Program
				if err == nil && i%5 == 0 {
					spec := shared.ProgramSpec{Module: "Predict", Signature: shared.Signature{
						Inputs: []shared.Field{{Name: "q", Type: "str"}}, Outputs: []shared.Field{{Name: "a", Type: "str"}},
					}}
					p, _, err = s.PutProgram(ctx, id, "p", spec, nil)
				}
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(id, session.Revision, p.Revision)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// TestKilledWriter kills a process that is writing, again and again. What it had
// acknowledged is there.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	type revisions struct{ session, program uint64 }
	acknowledged := map[string]revisions{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		count := 0
		for lines.Scan() {
			var id string
			var now revisions
			if _, err := fmt.Sscan(lines.Text(), &id, &now.session, &now.program); err != nil {
				continue // The line at which it was killed.
			}
			old := acknowledged[id]
			acknowledged[id] = revisions{max(old.session, now.session), max(old.program, now.program)}
			if count++; count == 200+100*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || count < 200 {
			t.Fatalf("the writer ended with %v after %d writes", err, count)
		}

		s := newSessions(t, openTestBolt(t, path), Options{})
		for id, want := range acknowledged {
			got, err := s.Get(t.Context(), id)
			var data struct{ Revision uint64 }
			if err == nil {
				err = json.Unmarshal(got.Data, &data)
			}
			if err != nil || got.Revision < want.session || data.Revision != got.Revision {
				t.Errorf("round %d: %s is at %d with data of %d, %v, want %d at least", round, id, got.Revision, data.Revision, err, want.session)
			}
			p, err := s.GetProgram(t.Context(), id, "p")
			if want.program > 0 && (err != nil || p.Revision < want.program) {
				t.Errorf("round %d: program of %s is at %d, %v, want %d at least", round, id, p.Revision, err, want.program)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := CheckBolt(path); err != nil {
			t.Errorf("CheckBolt = %v", err)
		}
	}
}
