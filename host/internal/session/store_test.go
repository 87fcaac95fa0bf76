package session

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

// stores are the engines that every test of behaviour runs over.
var stores = map[string]func(t testing.TB) Store{
	"memory": func(testing.TB) Store { return NewMemory() },
	"bolt":   func(t testing.TB) Store { return openTestBolt(t, filepath.Join(t.TempDir(), "dspex.db")) },
}

func openTestBolt(t testing.TB, path string) *Bolt {
	t.Helper()
	store, err := OpenBolt(path, BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// eachStore runs a test over every engine.
func eachStore(t *testing.T, test func(t *testing.T, store Store)) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func TestStoreConformance(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, store Store){
		"put, get, delete":   testStoreChanges,
		"scan":               testStoreScan,
		"failed update":      testStoreFailedUpdate,
		"own changes":        testStoreOwnChanges,
		"on done":            testStoreOnDone,
		"concurrent updates": testStoreConcurrentUpdates,
		"snapshot":           testStoreSnapshot,
		"ended context":      testStoreEndedContext,
		"closed":             testStoreClosed,
		"large values":       testStoreLargeValues,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, test)
		})
	}
}

func testStoreChanges(t *testing.T, store Store) {
	put(t, store, dataTable, "a", "1")
	put(t, store, dataTable, "b", "")
	put(t, store, programTable, "a", "other table")
	put(t, store, dataTable, "a", "2")
	for key, want := range map[string]string{"a": "2", "b": "", "c": "none"} {
		if got := get(t, store, dataTable, key); got != want {
			t.Errorf("get %s = %q, want %q", key, got, want)
		}
	}
	update(t, store, func(w Writer) error { w.Delete(dataTable, "a"); w.Delete(dataTable, "missing"); return nil })
	if got := get(t, store, dataTable, "a"); got != "none" {
		t.Errorf("get after delete = %q, want none", got)
	}
	if got := get(t, store, programTable, "a"); got != "other table" {
		t.Errorf("get from the other table = %q", got)
	}
}

func testStoreScan(t *testing.T, store Store) {
	update(t, store, func(w Writer) error {
		for _, key := range []string{"b", "a\x00x", "a", "ab", "a\x00y", "", "c", "\xff"} {
			if key != "" {
				w.Put(dataTable, key, []byte("value of "+key))
			}
		}
		return nil
	})
	for _, test := range []struct {
		prefix, after string
		limit         int
		want          []string
	}{
		{"", "", 99, []string{"a", "a\x00x", "a\x00y", "ab", "b", "c", "\xff"}},
		{"a", "", 99, []string{"a", "a\x00x", "a\x00y", "ab"}},
		{"a\x00", "", 99, []string{"a\x00x", "a\x00y"}},
		{"a", "a", 99, []string{"a\x00x", "a\x00y", "ab"}},
		{"a", "a\x00xx", 99, []string{"a\x00y", "ab"}},
		{"a", "b", 99, nil},
		{"b", "a", 99, []string{"b"}},
		{"x", "", 99, nil},
		{"", "c", 99, []string{"\xff"}},
		{"", "", 2, []string{"a", "a\x00x"}},
	} {
		var got []string
		err := store.View(func(r Reader) error {
			return r.Scan(dataTable, test.prefix, test.after, func(e Entry) bool {
				value, err := e.Value()
				if want := "value of " + e.Key; err != nil || string(value) != want || e.Size != len(want) {
					t.Errorf("entry %q = %q of size %d, %v, want %q", e.Key, value, e.Size, err, want)
				}
				got = append(got, e.Key)
				return len(got) < test.limit
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("scan %q after %q (-want +got):\n%s", test.prefix, test.after, diff)
		}
	}
}

func testStoreFailedUpdate(t *testing.T, store Store) {
	put(t, store, dataTable, "a", "1")
	want := errors.New("no")
	err := store.Update(t.Context(), func(w Writer) error {
		w.Put(dataTable, "a", []byte("2"))
		w.Put(dataTable, "b", []byte("2"))
		w.Delete(dataTable, "a")
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("Update = %v, want %v", err, want)
	}
	if got := get(t, store, dataTable, "a") + get(t, store, dataTable, "b"); got != "1none" {
		t.Errorf("after a failed update = %s, want 1none", got)
	}
}

func testStoreOwnChanges(t *testing.T, store Store) {
	put(t, store, dataTable, "a", "1")
	update(t, store, func(w Writer) error {
		w.Put(dataTable, "a", []byte("2"))
		w.Put(dataTable, "b", []byte("2"))
		for key, want := range map[string]string{"a": "2", "b": "2"} {
			if got, err := w.Get(dataTable, key); err != nil || string(got) != want {
				t.Errorf("own get %s = %q, %v, want %s", key, got, err, want)
			}
		}
		w.Delete(dataTable, "b")
		if got, err := w.Get(dataTable, "b"); err != nil || got != nil {
			t.Errorf("own get after delete = %q, %v, want nil", got, err)
		}
		return nil
	})
	if got := get(t, store, dataTable, "a") + get(t, store, dataTable, "b"); got != "2none" {
		t.Errorf("after the update = %s, want 2none", got)
	}
}

func testStoreOnDone(t *testing.T, store Store) {
	var log []string
	note := func(name string) func(bool) {
		return func(committed bool) { log = append(log, fmt.Sprint(name, committed)) }
	}
	update(t, store, func(w Writer) error {
		w.OnDone(note("a"))
		w.OnDone(note("b"))
		w.Put(dataTable, "a", nil)
		return nil
	})
	if len(log) != 2 {
		t.Errorf("when Update returned, OnDone had been called %d times, want 2", len(log))
	}
	if err := store.Update(t.Context(), func(w Writer) error { w.OnDone(note("c")); return errClosed }); err == nil {
		t.Error("Update = nil, want the error")
	}
	update(t, store, func(w Writer) error { w.OnDone(note("d")); return nil })
	if diff := cmp.Diff([]string{"atrue", "btrue", "cfalse", "dtrue"}, log); diff != "" {
		t.Errorf("OnDone (-want +got):\n%s", diff)
	}
}

func testStoreConcurrentUpdates(t *testing.T, store Store) {
	const writers, each = 16, 25
	var order, done []int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				err := store.Update(t.Context(), func(w Writer) error {
					raw, err := w.Get(dataTable, "count")
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(string(raw))
					w.Put(dataTable, "count", []byte(strconv.Itoa(n+1)))
					w.OnDone(func(bool) {
						mu.Lock()
						defer mu.Unlock()
						done = append(done, n)
					})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, want := get(t, store, dataTable, "count"), strconv.Itoa(writers*each); got != want {
		t.Errorf("count = %s, want %s", got, want)
	}
	for i := range writers * each {
		order = append(order, i)
	}
	if diff := cmp.Diff(order, done); diff != "" {
		t.Errorf("OnDone came in another order than the updates (-want +got):\n%s", diff)
	}
}

func testStoreSnapshot(t *testing.T, store Store) {
	put(t, store, dataTable, "a", "0")
	put(t, store, programTable, "a", "0")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			value := strconv.Itoa(i)
			err := store.Update(t.Context(), func(w Writer) error {
				w.Put(dataTable, "a", []byte(value))
				w.Put(programTable, "a", []byte(value))
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 200 {
		err := store.View(func(r Reader) error {
			a, err := r.Get(dataTable, "a")
			if err != nil {
				return err
			}
			b, err := r.Get(programTable, "a")
			if err == nil && string(a) != string(b) {
				t.Errorf("one view has %s and %s", a, b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func testStoreEndedContext(t *testing.T, store Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := store.Update(ctx, func(w Writer) error { w.Put(dataTable, "a", []byte("1")); return nil })
	if !errors.Is(err, shared.ErrCanceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want Canceled", err)
	}
	if got := get(t, store, dataTable, "a"); got != "none" {
		t.Errorf("get = %s, want none", got)
	}
}

func testStoreClosed(t *testing.T, store Store) {
	for range 2 {
		if err := store.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	}
	if err := store.Update(t.Context(), func(Writer) error { return nil }); !errors.Is(err, shared.ErrUnavailable) {
		t.Errorf("Update after Close = %v, want Unavailable", err)
	}
	if err := store.View(func(Reader) error { return nil }); !errors.Is(err, shared.ErrUnavailable) {
		t.Errorf("View after Close = %v, want Unavailable", err)
	}
}

func testStoreLargeValues(t *testing.T, store Store) {
	large := make([]byte, 5<<20)
	for i := range large {
		large[i] = byte(i % 251)
	}
	var wg sync.WaitGroup
	for i := range 8 { // Together more than one batch takes.
		wg.Go(func() { put(t, store, dataTable, strconv.Itoa(i), string(large)) })
	}
	wg.Wait()
	for i := range 8 {
		if got := get(t, store, dataTable, strconv.Itoa(i)); got != string(large) {
			t.Errorf("value %d has %d bytes, want those that were put", i, len(got))
		}
	}
}

func put(t testing.TB, store Store, table Table, key, value string) {
	t.Helper()
	update(t, store, func(w Writer) error { w.Put(table, key, []byte(value)); return nil })
}

func update(t testing.TB, store Store, fn func(Writer) error) {
	t.Helper()
	if err := store.Update(t.Context(), fn); err != nil {
		t.Error(err)
	}
}

func get(t testing.TB, store Store, table Table, key string) string {
	t.Helper()
	value := "none"
	err := store.View(func(r Reader) error {
		raw, err := r.Get(table, key)
		if raw != nil {
			value = string(raw)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return value
}
