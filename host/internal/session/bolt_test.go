package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
		runtime.Gosched()
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
		runtime.Gosched()
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
		runtime.Gosched()
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
		runtime.Gosched()
	}
	wg.Go(func() { s.storeDeadlines(t.Context()) })
	for len(store.requests) < 2 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
	h, err := decodeHead("s", []byte(get(t, store, headTable, "s")))
	if left := time.Duration(h.deadline - s.clock.now()); err != nil || left > time.Minute {
		t.Errorf("the stored session lives for %v, %v, want a minute at most", left, err)
	}
}
