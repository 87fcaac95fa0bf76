package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dspex/dspex/shared"
)

const (
	// schema is the version of buckets and records that this code writes.
	schema = "1"

	defaultLockTimeout = time.Second
	// initialMap avoids remaps, which wait for readers, while a store is small.
	// It takes address space only.
	initialMap = 64 << 20
)

var (
	metaBucket = []byte("dspex")
	schemaKey  = []byte("schema")
	closedKey  = []byte("closed")
)

// BoltOptions are the options of OpenBolt.
type BoltOptions struct {
	// Timeout is how long to wait for another process to let go of the file.
	// Defaults to 1s.
	Timeout time.Duration
	// NoSync leaves writing to the operating system: a power loss may lose or
	// damage the store, the end of the process does not. Defaults to false.
	NoSync bool
	// MaxSize is how many bytes the file may take. Defaults to no limit.
	MaxSize int
	// Log gets what goes wrong. Defaults to nothing.
	Log hclog.Logger

	// openFile opens the file, for tests. Defaults to openPrivate.
	openFile func(path string, flag int, mode os.FileMode) (*os.File, error)
}

// Bolt is a Store in one bbolt file. Updates that wait at the same time share one
// commit with one fsync. Each record has a checksum, for bbolt has none: a
// damaged one gives a StoreFailed that names it, and leaves the others alone.
// After a failed write the store is read-only, unless the disk was full.
type Bolt struct {
	path string
	db   *bolt.DB
	log  hclog.Logger

	requests chan *request
	// stopped is closed when the committer has ended.
	stopped chan struct{}
	// failed is the write error after which the store is read-only.
	failed atomic.Pointer[shared.Error]
	// stuck says that a transaction could not be ended, so Close would hang.
	stuck bool // owned by the committer until stopped

	mu sync.RWMutex
	// closed says that requests is closed.
	closed bool // guarded by mu
}

var _ Store = (*Bolt)(nil)

// OpenBolt opens or creates the store at path, with mode 0600. Its errors are
// HostLocked if another process has it open, else StoreFailed. A file that is not
// a store, or one of a newer dspex, is not changed.
func OpenBolt(path string, opts BoltOptions) (*Bolt, error) {
	if opts.Timeout == 0 {
		opts.Timeout = defaultLockTimeout
	}
	if opts.Log == nil {
		opts.Log = hclog.NewNullLogger()
	}
	if opts.openFile == nil {
		opts.openFile = openPrivate
	}
	b := &Bolt{path: path, log: opts.Log, requests: make(chan *request, maxBatch), stopped: make(chan struct{})}
	if err := b.open(opts); err != nil {
		return nil, err
	}
	go b.commitLoop()
	return b, nil
}

// Path is the path of the file.
func (b *Bolt) Path() string { return b.path }

// View runs fn on the last commit. It does not wait for updates.
func (b *Bolt) View(fn func(Reader) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return errClosed
	}
	var tx *bolt.Tx
	if err := guard(func() (err error) { tx, err = b.db.Begin(false); return err }); err != nil {
		return b.fault("read", err)
	}
	err := fn(boltReader{b, tx})
	_ = guard(tx.Rollback)
	return err
}

// Update waits until a commit with fn's changes is on the disk.
func (b *Bolt) Update(ctx context.Context, fn func(Writer) error) error {
	r := &request{fn: fn, answer: make(chan error, 1)}
	if err := b.submit(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
	}
	if r.withdraw() {
		return contextError(ctx)
	}
	return <-r.answer
}

// Close ends the committer and closes the file.
func (b *Bolt) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	close(b.requests)
	b.mu.Unlock()
	<-b.stopped
	if b.stuck {
		return b.fault("close", errors.New("a transaction did not end"))
	}
	if b.failed.Load() == nil {
		// bbolt keeps the last two commits, and silently takes the one before if the
		// last is damaged. That one then lacks only this.
		_ = guard(func() error {
			return b.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(closedKey, nil) })
		})
	}
	if err := guard(b.db.Close); err != nil {
		return b.fault("close", err)
	}
	return nil
}

func (b *Bolt) submit(ctx context.Context, r *request) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return errClosed
	}
	if err := contextError(ctx); err != nil {
		return err
	}
	select {
	case b.requests <- r:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

func (b *Bolt) open(opts BoltOptions) error {
	_, statErr := os.Lstat(b.path)
	options := &bolt.Options{
		Timeout:      opts.Timeout,
		NoSync:       opts.NoSync,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		MaxSize:      opts.MaxSize,
		OpenFile:     opts.openFile,
	}
	if runtime.GOOS != "windows" { // There the file would grow to that size.
		options.InitialMmapSize = initialMap
	}
	err := guard(func() (err error) { b.db, err = bolt.Open(b.path, 0o600, options); return err })
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return shared.Errorf(shared.HostLocked, "open store %s: another process has it open", b.path).
			WithHint("stop the other host, or give this one another data_dir")
	case err != nil:
		return b.fault("open", err)
	}
	if err := b.prepare(); err != nil {
		_ = guard(b.db.Close)
		return err
	}
	if os.IsNotExist(statErr) {
		// The file's name must survive a power loss like its contents.
		if err := syncFolder(filepath.Dir(b.path)); err != nil {
			_ = guard(b.db.Close)
			return b.fault("open", err)
		}
	}
	return nil
}

// prepare checks whose file it is, and makes the buckets of a new one.
func (b *Bolt) prepare() error {
	found, empty := "", true
	err := guard(func() error {
		return b.db.View(func(tx *bolt.Tx) error {
			if meta := tx.Bucket(metaBucket); meta != nil {
				found = string(meta.Get(schemaKey))
			}
			name, _ := tx.Cursor().First()
			empty = name == nil
			return nil
		})
	})
	switch {
	case err != nil:
		return b.fault("open", err)
	case found == schema:
		if err := guard(func() error { return b.db.View(checkKeys) }); err != nil {
			return b.fault("open", err).WithHint("restore a backup of the store, or move the file away to begin with an empty one")
		}
		return nil
	case found != "":
		return shared.Errorf(shared.StoreFailed, "open store %s: it has schema %.20q, this dspex knows %s", b.path, found, schema).
			WithHint("use the dspex that wrote it, or a newer one")
	case !empty:
		return shared.Errorf(shared.StoreFailed, "open store %s: it is not a store of dspex", b.path)
	}
	err = guard(func() error {
		return b.db.Update(func(tx *bolt.Tx) error {
			for _, table := range tables {
				if _, err := tx.CreateBucket([]byte(table)); err != nil {
					return err
				}
			}
			meta, err := tx.CreateBucket(metaBucket)
			if err != nil {
				return err
			}
			return meta.Put(schemaKey, []byte(schema))
		})
	})
	if err != nil {
		return b.fault("open", err)
	}
	return nil
}

// fault is the error of an operation of bbolt.
func (b *Bolt) fault(verb string, err error) *shared.Error {
	return shared.Errorf(shared.StoreFailed, "%s store %s: %w", verb, b.path, err)
}

// guard runs an operation of bbolt. On a damaged file these panic, or touch
// memory beyond its end.
func guard(operation func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged file: %v", r)
		}
	}()
	return operation()
}
