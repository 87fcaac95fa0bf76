package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/dspex/dspex/shared"
)

// checksumSize is the length of the CRC-32C before each value in the file.
const checksumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers a value and its place, so that a value under a wrong key is
// found as well.
func checksum(at cell, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(at.table))
	sum = crc32.Update(sum, castagnoli, []byte{0})
	sum = crc32.Update(sum, castagnoli, []byte(at.key))
	sum = crc32.Update(sum, castagnoli, []byte{0})
	return crc32.Update(sum, castagnoli, value)
}

func seal(at cell, value []byte) []byte {
	sealed := make([]byte, checksumSize, checksumSize+len(value))
	binary.LittleEndian.PutUint32(sealed, checksum(at, value))
	return append(sealed, value...)
}

func unseal(at cell, sealed []byte) ([]byte, error) {
	if len(sealed) < checksumSize || checksum(at, sealed[checksumSize:]) != binary.LittleEndian.Uint32(sealed) {
		return nil, errors.New("checksum does not match")
	}
	return sealed[checksumSize:], nil
}

// boltReader reads in one transaction.
type boltReader struct {
	store *Bolt
	tx    *bolt.Tx
}

func (r boltReader) Get(table Table, key string) ([]byte, error) {
	at := cell{table, key}
	var value []byte
	err := guard(func() (err error) {
		bucket, err := r.bucket(table)
		if err != nil {
			return err
		}
		if sealed := bucket.Get([]byte(key)); sealed != nil {
			value, err = unseal(at, sealed)
		}
		return err
	})
	if err != nil {
		return nil, r.damaged(at, err)
	}
	return value, nil
}

func (r boltReader) Scan(table Table, prefix, after string, visit func(Entry) bool) error {
	var cursor *bolt.Cursor
	// at is where the cursor stands, valid if it has not passed the end.
	at := cell{table, prefix}
	var sealed []byte
	valid := false
	move := func(to func() (key, value []byte)) error {
		return guard(func() error {
			var key []byte
			key, sealed = to()
			valid = key != nil
			at.key = string(key) // On a damaged page this can fail, too.
			return nil
		})
	}
	err := guard(func() error {
		bucket, err := r.bucket(table)
		if err == nil {
			cursor = bucket.Cursor()
		}
		return err
	})
	if err == nil {
		err = move(func() (key, value []byte) { return cursor.Seek([]byte(max(prefix, after))) })
	}
	for err == nil && valid && strings.HasPrefix(at.key, prefix) {
		if at.key > after {
			here, current := at, sealed
			value := func() ([]byte, error) { return r.unseal(here, current) }
			if !visit(Entry{here.key, max(len(current)-checksumSize, 0), value}) {
				return nil
			}
		}
		err = move(cursor.Next)
	}
	if err != nil {
		return r.damaged(at, err)
	}
	return nil
}

func (r boltReader) unseal(at cell, sealed []byte) (value []byte, err error) {
	err = guard(func() (err error) { value, err = unseal(at, sealed); return err })
	if err != nil {
		return nil, r.damaged(at, err)
	}
	return value, nil
}

func (r boltReader) bucket(table Table) (*bolt.Bucket, error) {
	if bucket := r.tx.Bucket([]byte(table)); bucket != nil {
		return bucket, nil
	}
	return nil, fmt.Errorf("no bucket %q", string(table))
}

func (r boltReader) damaged(at cell, err error) *shared.Error {
	return shared.Errorf(shared.StoreFailed, "read %s of %s in store %s: %w", recordName(at), at.table, r.store.path, err).
		WithHint("delete the record to go on without it, or restore a backup of the store")
}

// recordName names a record in an error.
func recordName(at cell) string {
	session, name, isProgram := strings.Cut(at.key, keySeparator)
	switch {
	case !isProgram:
		return quote(at.key)
	case session == "":
		return "global program " + quote(name)
	}
	return "program " + quote(name) + " of session " + quote(session)
}
