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
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/dspex/dspex/shared"
)

var errStoreFailed = &shared.Error{Reason: shared.StoreFailed}

func TestBoltSecondOpener(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	first := openTestBolt(t, path)
	start := time.Now()
	_, err := OpenBolt(path, BoltOptions{Timeout: 100 * time.Millisecond})
	wantError(t, "second OpenBolt", err, shared.ErrHostLocked)
	if err != nil && !strings.Contains(err.Error(), path) {
		t.Errorf("error = %v, want one with the path", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
	put(t, first, dataTable, "a", "1")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, openTestBolt(t, path), dataTable, "a"); got != "1" {
		t.Errorf("get after Close and open = %q, want 1", got)
	}
}

func TestBoltFileMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	for range 2 { // The file is new, then it is one that others can read.
		store := openTestBolt(t, path)
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode = %v, %v, want -rw-------", info.Mode(), err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	_, err := OpenBolt(link, BoltOptions{})
	wantError(t, "OpenBolt of a symbolic link", err, errStoreFailed)
	_, err = OpenBolt(filepath.Join(path, "none", "dspex.db"), BoltOptions{})
	wantError(t, "OpenBolt without a folder", err, errStoreFailed)
}

func TestBoltRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	writeBolt := func(path, bucket, value string) {
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte(bucket))
			if err != nil {
				return err
			}
			return b.Put(schemaKey, []byte(value))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		write func(path string)
		want  string
	}{
		"garbage":       {func(path string) { writeFile(t, path, bytes.Repeat([]byte("no store "), 5000)) }, "invalid database"},
		"short":         {func(path string) { writeFile(t, path, []byte("x")) }, "open store"},
		"foreign":       {func(path string) { writeBolt(path, "theirs", "x") }, "it is not a store of dspex"},
		"newer dspex":   {func(path string) { writeBolt(path, string(metaBucket), "2") }, `it has schema "2", this dspex knows 1`},
		"hostile names": {func(path string) { writeBolt(path, string(metaBucket), strings.Repeat("\n", 1000)) }, "it has schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "dspex.db")
			test.write(path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = OpenBolt(path, BoltOptions{})
			wantError(t, "OpenBolt", err, errStoreFailed)
			if err != nil && (!strings.Contains(err.Error(), test.want) || len(err.Error()) > 500) {
				t.Errorf("error = %v, want one with %q", err, test.want)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file changed, %v", err)
			}
		})
	}
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBoltSharesCommits(t *testing.T) {
	t.Parallel()
	store := openTestBolt(t, filepath.Join(t.TempDir(), "dspex.db"))
	commits := func() (id int) {
		if err := store.db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
			t.Fatal(err)
		}
		return id
	}
	before := commits()
	// While the first update runs, the others gather.
	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		update(t, store, func(w Writer) error {
			close(entered)
			<-release
			w.Put(dataTable, "first", nil)
			return nil
		})
	})
	<-entered
	const others = 100
	for i := range others {
		wg.Go(func() { put(t, store, dataTable, fmt.Sprint(i), "x") })
	}
	for len(store.requests) < others {
		time.Sleep(0)
	}
	close(release)
	wg.Wait()
	if got := commits() - before; got != 2 {
		t.Errorf("%d updates made %d commits, want 2", others+1, got)
	}
}

func TestBoltWithdrawnUpdateNeverRuns(t *testing.T) {
	t.Parallel()
	store := openTestBolt(t, filepath.Join(t.TempDir(), "dspex.db"))
	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		update(t, store, func(Writer) error {
			close(entered)
			<-release
			return nil
		})
	})
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		result <- store.Update(ctx, func(Writer) error {
			t.Error("the withdrawn update runs")
			return nil
		})
	}()
	for len(store.requests) == 0 {
		time.Sleep(0)
	}
	cancel()
	wantError(t, "Update", <-result, shared.ErrCanceled)
	close(release)
	wg.Wait()
	put(t, store, dataTable, "later", "x")
}

// One update in a batch that fails must not take the others with it.
func TestBoltFailuresInOneBatch(t *testing.T) {
	t.Parallel()
	store := openTestBolt(t, filepath.Join(t.TempDir(), "dspex.db"))
	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		update(t, store, func(Writer) error { close(entered); <-release; return nil })
	})
	<-entered
	mine := errors.New("mine")
	for i := range 20 {
		wg.Go(func() {
			calls, done, committed := 0, 0, false
			err := store.Update(t.Context(), func(w Writer) error {
				calls++
				w.OnDone(func(ok bool) { done, committed = done+1, ok })
				key := fmt.Sprint(i)
				if i%3 == 1 {
					key = strings.Repeat("k", 40_000) // More than bbolt takes.
				}
				w.Put(dataTable, key, []byte("x"))
				if i%3 == 2 {
					return mine
				}
				return nil
			})
			switch i % 3 {
			case 0:
				if err != nil {
					t.Errorf("update %d = %v", i, err)
				}
			case 1:
				wantError(t, "update with a long key", err, errStoreFailed)
			case 2:
				wantError(t, "failed update", err, mine)
			}
			if done != calls || committed != (err == nil) {
				t.Errorf("update %d: %d calls, %d of OnDone, the last with %v, %v", i, calls, done, committed, err)
			}
		})
	}
	for len(store.requests) < 20 {
		time.Sleep(0)
	}
	close(release)
	wg.Wait()
}

func TestBoltFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	store, err := OpenBolt(path, BoltOptions{MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	put(t, store, dataTable, "small", "1")
	err = store.Update(t.Context(), func(w Writer) error {
		w.Put(dataTable, "large", make([]byte, 2<<20))
		return nil
	})
	wantError(t, "Update beyond the size", err, errStoreFailed)
	if err != nil && shared.AsError(err).Hint == "" {
		t.Error("no hint")
	}
	put(t, store, dataTable, "small", "2")
	if got := get(t, store, dataTable, "small") + get(t, store, dataTable, "large"); got != "2none" {
		t.Errorf("get = %s, want 2none", got)
	}
}

// After a write that failed for an unknown reason nothing is written any more, but
// what was acknowledged can be read.
func TestBoltWriteFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dspex.db")
	store := openTestBolt(t, path)
	put(t, store, dataTable, "a", "1")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := OpenBolt(path, BoltOptions{openFile: func(path string, _ int, mode os.FileMode) (*os.File, error) {
		return os.OpenFile(path, os.O_RDONLY, mode)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for range 2 {
		calls := 0
		err = store.Update(t.Context(), func(w Writer) error {
			calls++
			w.Put(dataTable, "a", []byte("2"))
			return nil
		})
		wantError(t, "Update", err, errStoreFailed)
		if err != nil && !strings.Contains(shared.AsError(err).Hint, "read-only") {
			t.Errorf("hint = %s", shared.AsError(err).Hint)
		}
	}
	if got := get(t, store, dataTable, "a"); got != "1" {
		t.Errorf("get = %s, want 1", got)
	}
}

// damage flips one bit in the first occurrence of text in a file.
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
	step := 31
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

// A deadline on its way to the store must not overtake the shorter TTL that a write
// in the same commit sets.
func TestDeadlineDoesNotOvertakeShorterTTL(t *testing.T) {
	t.Parallel()
	store := openTestBolt(t, filepath.Join(t.TempDir(), "dspex.db"))
	s := newSessions(t, store, Options{DefaultTTL: time.Hour, CleanupInterval: time.Hour})
	mustPut(t, s, "s", "{}")
	s.mu.Lock()
	e := s.index.entries["s"]
	e.deadline += int64(time.Hour) // As after many uses.
	s.index.slide(e, s.clock.now())
	s.mu.Unlock()

	entered, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		update(t, store, func(Writer) error { close(entered); <-release; return nil })
	})
	<-entered
	wg.Go(func() { putTTL(t, s, "s", time.Minute) })
	for len(store.requests) < 1 {
		time.Sleep(0)
	}
	wg.Go(func() { s.storeDeadlines(t.Context()) })
	for len(store.requests) < 2 {
		time.Sleep(0)
	}
	close(release)
	wg.Wait()
	h, err := decodeHead("s", []byte(get(t, store, headTable, "s")))
	if left := time.Duration(h.deadline - s.clock.now()); err != nil || left > time.Minute {
		t.Errorf("the stored session lives for %v, %v, want a minute at most", left, err)
	}
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
