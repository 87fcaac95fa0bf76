package session

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// CheckBolt reads all of the store at path and returns what is wrong with it. A file
// damaged in certain ways ends the process, so run it in one of its own before
// OpenBolt. It changes nothing, and fails while a host has the store open.
func CheckBolt(path string) error {
	options := &bolt.Options{ReadOnly: true, Timeout: defaultLockTimeout, OpenFile: openPrivate}
	var db *bolt.DB
	err := guard(func() (err error) { db, err = bolt.Open(path, 0o600, options); return err })
	b := &Bolt{path: path, db: db}
	if err != nil {
		return b.fault("check", err)
	}
	var damages []error
	err = guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			for err := range tx.Check() {
				damages = append(damages, err)
			}
			r := boltReader{b, tx}
			for _, table := range tables {
				err := r.Scan(table, "", "", func(e Entry) bool {
					if _, err := e.Value(); err != nil {
						damages = append(damages, err)
					}
					return true
				})
				if err != nil {
					damages = append(damages, err)
				}
			}
			return checkKeys(tx)
		})
	})
	if err := errors.Join(append(damages, err, guard(db.Close))...); err != nil {
		return b.fault("check", err)
	}
	return nil
}

// checkKeys checks that each key can be found where it is: a damaged key makes
// others unreachable, and they would seem never to have been written.
func checkKeys(tx *bolt.Tx) error {
	for _, table := range tables {
		bucket := tx.Bucket([]byte(table))
		if bucket == nil {
			return fmt.Errorf("no table %q", string(table))
		}
		var last []byte
		cursor := bucket.Cursor()
		for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
			found := bucket.Get(key)
			same := len(found) == len(value) && (len(value) == 0 || &found[0] == &value[0])
			if last != nil && bytes.Compare(last, key) >= 0 || !same {
				return fmt.Errorf("table %q: keys are out of order", string(table))
			}
			last = key
		}
	}
	return nil
}
