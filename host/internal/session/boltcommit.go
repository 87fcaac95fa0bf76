package session

import (
	"errors"
	"sync/atomic"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dspex/dspex/shared"
)

const (
	// maxBatch is how many updates one commit covers.
	maxBatch = 1024
	// maxBatchBytes ends a batch early when its values are large.
	maxBatchBytes = 16 << 20
)

// The states of a request.
const (
	// requestWaits: the caller may still withdraw it.
	requestWaits int32 = iota
	// requestTaken: the committer will answer it.
	requestTaken
	// requestWithdrawn: nobody waits for it.
	requestWithdrawn
)

// request is one Update on its way through the committer.
type request struct {
	fn     func(Writer) error
	state  atomic.Int32
	answer chan error // of size 1

	// Owned by the committer.
	writer *overlay
	err    error
}

func (r *request) take() bool { return r.state.CompareAndSwap(requestWaits, requestTaken) }

func (r *request) withdraw() bool { return r.state.CompareAndSwap(requestWaits, requestWithdrawn) }

// commitLoop is the only writer of the file. While one commit is on its way to
// the disk the next updates gather, and share the next one.
func (b *Bolt) commitLoop() {
	defer close(b.stopped)
	for first := range b.requests {
		batch := []*request{first}
		for open := true; open && len(batch) < maxBatch; {
			select {
			case r, more := <-b.requests:
				if open = more; more {
					batch = append(batch, r)
				}
			default:
				open = false
			}
		}
		for len(batch) > 0 {
			n := b.commit(batch)
			batch = batch[n:]
		}
	}
}

// commit answers the first requests of batch, with one commit if it succeeds, and
// returns how many these are.
func (b *Bolt) commit(batch []*request) int {
	taken, n, err := b.attempt(batch)
	if err != nil && len(taken) > 1 && b.failed.Load() == nil {
		// One of them may be at fault, or a smaller commit may fit on the disk.
		for _, r := range taken {
			_, _, err := b.attempt([]*request{r})
			r.reply(err)
		}
		return n
	}
	for _, r := range taken {
		r.reply(err)
	}
	return n
}

func (r *request) reply(commitErr error) {
	if r.err == nil {
		r.err = commitErr
	}
	r.answer <- r.err
}

// attempt runs the first n requests of batch in one transaction and commits it.
// It returns those that were not withdrawn. On an error nothing has changed.
func (b *Bolt) attempt(batch []*request) (taken []*request, n int, err error) {
	if failed := b.failed.Load(); failed != nil {
		err = failed
	}
	var tx *bolt.Tx
	if err == nil {
		err = guard(func() (err error) { tx, err = b.db.Begin(true); return err })
	}
	bytes, changed := 0, false
	for _, r := range batch {
		if bytes >= maxBatchBytes {
			break
		}
		n++
		if r.state.Load() != requestTaken && !r.take() {
			continue
		}
		taken = append(taken, r)
		r.writer, r.err = nil, nil
		if err != nil {
			continue
		}
		r.writer = newOverlay(boltReader{b, tx})
		if r.err = r.fn(r.writer); r.err != nil {
			r.writer.finish(false)
			r.writer = nil
			continue
		}
		changed = changed || len(r.writer.changes) > 0
		var size int
		size, err = apply(tx, r.writer)
		bytes += size
	}
	switch {
	case tx == nil:
	case err != nil || !changed:
		b.rollback(tx)
	default:
		if err = guard(tx.Commit); err != nil {
			b.rollback(tx)
			err = b.commitFault(err)
		}
	}
	for _, r := range taken {
		if r.writer != nil {
			r.writer.finish(err == nil)
		}
	}
	if failed := (*shared.Error)(nil); err != nil && !errors.As(err, &failed) {
		err = b.fault("write", err)
	}
	return taken, n, err
}

// apply writes the changes of one update to the transaction.
func apply(tx *bolt.Tx, w *overlay) (size int, err error) {
	err = guard(func() error {
		for at, value := range w.changes {
			bucket := tx.Bucket([]byte(at.table))
			if bucket == nil {
				return bolterrors.ErrBucketNotFound
			}
			if value == nil {
				if err := bucket.Delete([]byte(at.key)); err != nil {
					return err
				}
				continue
			}
			size += len(value)
			if err := bucket.Put([]byte(at.key), seal(at, value)); err != nil {
				return err
			}
		}
		return nil
	})
	return size, err
}

func (b *Bolt) rollback(tx *bolt.Tx) {
	if err := guard(tx.Rollback); err != nil && !errors.Is(err, bolterrors.ErrTxClosed) {
		b.stuck = true
		b.failed.Store(b.fault("write", err))
	}
}

// commitFault is the error of a commit. A full disk may have space again, but
// after any other failure nobody knows what is on the disk: the store stays
// read-only until a restart reads it anew.
func (b *Bolt) commitFault(err error) *shared.Error {
	if failed := b.failed.Load(); failed != nil {
		return failed
	}
	fault := b.fault("write", err)
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, bolterrors.ErrMaxSizeReached} {
		if errors.Is(err, full) {
			return fault.WithHint("free some space on the disk of %s", b.path)
		}
	}
	fault = fault.WithHint("the store is read-only now; see to the disk, then restart the host")
	b.failed.Store(fault)
	b.log.Error("session store is read-only after a failed write", "path", b.path, "error", err)
	return fault
}
