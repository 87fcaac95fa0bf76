package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dspex/dspex/shared"
)

// damage flips one bit in every occurrence of text in a file.
func damage(t *testing.T, path, text string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for at := 0; ; n++ {
		i := bytes.Index(data[at:], []byte(text))
		if i < 0 {
			break
		}
		at += i + len(text)
		data[at-1] ^= 1 // In every copy, for old pages have some too.
	}
	if n == 0 {
		t.Fatalf("%q is not in the file", text)
	}
	writeFile(t, path, data)
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	s := newSessions(t, openTestBolt(t, path), Options{})
	for _, id := range []string{"bad", "good"} {
		mustPut(t, s, id, fmt.Sprintf(`{"text":"data of %s"}`, id))
		for _, session := range []string{"", id} {
			spec := testSpec(t, "q -> a")
			spec.Instructions = fmt.Sprintf("program %q of %q", id, session)
			if _, _, err := s.PutProgram(t.Context(), session, id, spec, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	damage(t, path, "data of bad")
	damage(t, path, `program \"bad\" of \"bad`)
	damage(t, path, `program \"bad\" of \"\"`)

	s = newSessions(t, openTestBolt(t, path), Options{})
	ctx := t.Context()
	_, err := s.Get(ctx, "bad")
	wantError(t, "Get", err, errStoreFailed)
	if err != nil && !strings.Contains(err.Error(), `read "bad" of data`) {
		t.Errorf("error = %v, want one with the key", err)
	}
	_, err = s.Patch(ctx, shared.PatchSessionRequest{ID: "bad", Patch: json.RawMessage(`{}`)})
	wantError(t, "Patch", err, errStoreFailed)
	for _, session := range []string{"", "bad"} {
		_, err = s.GetProgram(ctx, session, "bad")
		wantError(t, "GetProgram", err, errStoreFailed)
		if _, err := s.GetProgram(ctx, strings.Replace(session, "bad", "good", 1), "good"); err != nil {
			t.Errorf("GetProgram of a good one = %v", err)
		}
		list, err := s.ListPrograms(ctx, session)
		if want := map[string]int{"": 1, "bad": 0}[session]; err != nil || len(list) != want {
			t.Errorf("ListPrograms(%q) = %d programs, %v, want %d", session, len(list), err, want)
		}
	}
	if got, err := s.Get(ctx, "good"); err != nil || string(got.Data) != `{"text":"data of good"}` {
		t.Errorf("Get of a good session = %s, %v", got.Data, err)
	}
	// What is damaged can be replaced or deleted.
	if err := s.DeleteProgram(ctx, "", "bad", nil); err != nil {
		t.Errorf("DeleteProgram = %v", err)
	}
	if err := s.Delete(ctx, "bad", nil); err != nil {
		t.Errorf("Delete = %v", err)
	}
	mustPut(t, s, "bad", "{}")
	if got := s.Stats(); got.Sessions != 2 || got.Programs != 1 || got.GlobalPrograms != 1 {
		t.Errorf("Stats = %+v", got)
	}
}

func TestDamagedHead(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(w Writer){
		"head lost":      func(w Writer) { w.Delete(headTable, "bad") },
		"head malformed": func(w Writer) { w.Put(headTable, "bad", []byte{1, 2, 3}) },
		"data lost":      func(w Writer) { w.Delete(dataTable, "bad") },
		"all but programs lost": func(w Writer) {
			w.Delete(headTable, "bad")
			w.Delete(dataTable, "bad")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &faultyStore{Store: NewMemory()}
			s := newSessions(t, store, Options{})
			for _, id := range []string{"bad", "good"} {
				mustPut(t, s, id, "{}")
				if _, _, err := s.PutProgram(t.Context(), id, "p", testSpec(t, "q -> a"), nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			update(t, store, func(w Writer) error { breakIt(w); return nil })

			s = newSessions(t, store, Options{})
			ctx := t.Context()
			_, err := s.Get(ctx, "bad")
			wantError(t, "Get", err, errStoreFailed)
			if name != "data lost" {
				_, _, err = s.Put(ctx, shared.PutSessionRequest{ID: "bad"})
				wantError(t, "Put", err, errStoreFailed)
			}
			if _, err := s.Get(ctx, "good"); err != nil {
				t.Errorf("Get of the good one = %v", err)
			}
			if page, err := s.List(ctx, shared.ListSessionsRequest{}); err != nil || len(page.Sessions) == 0 {
				t.Errorf("List = %+v, %v", page, err)
			}
			if err := s.Delete(ctx, "bad", nil); err != nil {
				t.Errorf("Delete = %v", err)
			}
			mustPut(t, s, "bad", "{}")
			if got, err := s.Get(ctx, "bad"); err != nil || len(got.Programs) != 0 {
				t.Errorf("Get of the new session = %+v, %v", got, err)
			}
			if got := s.Stats(); got.Sessions != 2 || got.Programs != 1 {
				t.Errorf("Stats = %+v", got)
			}
		})
	}
}

// TestDamagedFile damages a store everywhere. Whatever is read then is right or
// an error.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	s := newSessions(t, openTestBolt(t, path), Options{})
	want := map[string]string{}
	for i := range 40 {
		id := fmt.Sprintf("session-%02d", i)
		want[id] = fmt.Sprintf(`{"n":%d,"text":%q}`, i, strings.Repeat("x", i*20))
		mustPut(t, s, id, want[id])
		for _, owner := range []string{"", id} {
			spec := testSpec(t, "q -> a")
			spec.Description = owner
			if _, _, err := s.PutProgram(t.Context(), owner, "program-"+id, spec, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = bytes.TrimRight(whole, "\x00")
	whole = append(whole, make([]byte, -len(whole)&4095)...) // Only the pages in use.
	step := 499
	if testing.Short() {
		step = 4999
	}
	refused, failed := 0, 0
	for at := 0; at < len(whole); at += step {
		broken := bytes.Clone(whole)
		broken[at] ^= 1 << (at % 8)
		copied := filepath.Join(t.TempDir(), fmt.Sprintf("bit-%d.db", at*8+at%8))
		writeFile(t, copied, broken)
		n, err := readDamaged(t, copied, want)
		if err != nil {
			refused++
		}
		failed += n
		if err := os.Remove(copied); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	t.Logf("%d bits flipped: %d files refused, %d sessions refused", (len(whole)+step-1)/step, refused, failed)
}

// readDamaged reads all sessions of a damaged store and counts those that fail.
func readDamaged(t *testing.T, path string, want map[string]string) (failed int, err error) {
	store, err := OpenBolt(path, BoltOptions{NoSync: true})
	if err != nil {
		return 0, err
	}
	s, err := New(store, Options{})
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close(context.WithoutCancel(t.Context())) }()
	for id, data := range want {
		got, err := s.Get(t.Context(), id)
		switch {
		case errors.Is(err, errStoreFailed):
			failed++
		case err != nil || string(got.Data) != data || got.Revision != 1:
			t.Errorf("%s: Get %s = %.50s at %d, %v, want %.50s or StoreFailed", filepath.Base(path), id, got.Data, got.Revision, err, data)
		}
		for _, owner := range []string{"", id} {
			p, err := s.FindProgram(t.Context(), owner, "program-"+id)
			if !errors.Is(err, errStoreFailed) && (err != nil || p.Spec.Description != owner || p.Session != owner) {
				t.Errorf("%s: FindProgram of %q in %q = that of %q, %v, want the right one or StoreFailed", filepath.Base(path), id, owner, p.Session, err)
			}
		}
	}
	return failed, nil
}

func TestCheckBolt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	s := newSessions(t, openTestBolt(t, path), Options{})
	mustPut(t, s, "bad", `{"text":"data of bad"}`)
	wantError(t, "CheckBolt of a store in use", CheckBolt(path), errStoreFailed)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := CheckBolt(path); err != nil {
		t.Errorf("CheckBolt of a whole store = %v", err)
	}
	damage(t, path, "data of bad")
	err := CheckBolt(path)
	wantError(t, "CheckBolt of a damaged store", err, errStoreFailed)
	if err != nil && !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("error = %v, want one with the key", err)
	}
	wantError(t, "CheckBolt of nothing", CheckBolt(path+"x"), errStoreFailed)
}

// A program that is lost is not one that never was.
func TestLostProgram(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		ctx := t.Context()
		for _, owner := range []string{"", "s"} {
			for _, name := range []string{"kept", "lost"} {
				if _, _, err := s.PutProgram(ctx, owner, name, testSpec(t, "q -> a"), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		update(t, store, func(w Writer) error { w.Delete(programTable, programKey("s", "lost")); return nil })
		_, err := s.GetProgram(ctx, "s", "lost")
		wantError(t, "GetProgram", err, errStoreFailed)
		_, err = s.FindProgram(ctx, "s", "lost")
		wantError(t, "FindProgram, which must not take the global one", err, errStoreFailed)
		if p, err := s.FindProgram(ctx, "s", "kept"); err != nil || p.Session != "s" {
			t.Errorf("FindProgram of another = %+v, %v", p, err)
		}
		if p, err := s.FindProgram(ctx, "", "lost"); err != nil || p.Session != "" {
			t.Errorf("FindProgram of the global one = %+v, %v", p, err)
		}
		if err := s.DeleteProgram(ctx, "s", "lost", nil); err != nil {
			t.Errorf("DeleteProgram = %v", err)
		}
		if p, err := s.FindProgram(ctx, "s", "lost"); err != nil || p.Session != "" {
			t.Errorf("FindProgram after that = %+v, %v, want the global one", p, err)
		}
		wantError(t, "second DeleteProgram", s.DeleteProgram(ctx, "s", "lost", nil), shared.ErrProgramNotFound)
		if got := s.Stats(); got.Programs != 1 || got.GlobalPrograms != 2 {
			t.Errorf("Stats = %+v, want 1 program and 2 global ones", got)
		}
	})
}

func TestDataOfAnotherWrite(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store Store) {
		s := newSessions(t, store, Options{})
		mustPut(t, s, "s", `{"n":1}`)
		old := get(t, store, dataTable, "s")
		mustPut(t, s, "s", `{"n":2}`)
		put(t, store, dataTable, "s", old)
		_, err := s.Get(t.Context(), "s")
		wantError(t, "Get", err, errStoreFailed)
		if err := s.Delete(t.Context(), "s", nil); err != nil {
			t.Errorf("Delete = %v", err)
		}
	})
}
