package session

import "context"

// Table names one part of a store.
type Table string

// The tables of a store.
const (
	// headTable has the head of each session: revision, times, deadline.
	headTable Table = "heads"
	// dataTable has the data of each session. It is apart from the head, so that
	// a new deadline does not rewrite the data. It names the write that it is of.
	dataTable Table = "data"
	// programTable has programs, by session and name.
	programTable Table = "programs"
	// stateTable has single records about all of the store.
	stateTable Table = "state"
)

// The keys of stateTable.
const (
	// clockKey: by this the store's time goes on after a restart.
	clockKey = "clock"
	// globalsKey: how many global programs there are.
	globalsKey = "globals"
)

var tables = []Table{headTable, dataTable, programTable, stateTable}

// Store keeps the records of Sessions: tables of keys and values, changed in
// transactions. Its errors are *shared.Error, most of them StoreFailed. All
// methods may be called at once.
type Store interface {
	// View runs fn on one state of the store.
	View(fn func(Reader) error) error
	// Update runs fn and makes its changes durable. It returns after that, or with
	// fn's error, and then nothing changed. Updates run one after the other, each
	// on what those before it left; one commit may cover many. It may run fn
	// again, so fn must set all that it sets anew. If ctx ends before fn is run,
	// Update returns and fn never is.
	Update(ctx context.Context, fn func(Writer) error) error
	// Close waits for updates that have begun. Later calls fail.
	Close() error
}

// Reader reads one state of a store. What it returns is valid until the
// function that was given the Reader returns, and must not be changed.
type Reader interface {
	// Get returns a value, or nil if the key has none.
	Get(table Table, key string) ([]byte, error)
	// Scan visits the keys of a table that begin with prefix and are greater than
	// after, in order, until visit returns false.
	Scan(table Table, prefix, after string, visit func(Entry) bool) error
}

// Writer changes a store. Its Get sees its own changes, its Scan does not.
type Writer interface {
	Reader
	// Put sets a value, which the store then owns.
	Put(table Table, key string, value []byte)
	// Delete removes a key.
	Delete(table Table, key string)
	// OnDone registers a function that is called exactly once, before Update
	// returns or runs fn again: with true after the commit, with false if the
	// changes are dropped. All these calls come one after the other, in the
	// order of the updates. They must not use the store.
	OnDone(done func(committed bool))
}

// Entry is one key that a Scan visits.
type Entry struct {
	Key string
	// Size of the value in bytes.
	Size int

	value func() ([]byte, error)
}

// Value returns the value, or an error if it is damaged.
func (e Entry) Value() ([]byte, error) { return e.value() }

// cell is the place of one value.
type cell struct {
	table Table
	key   string
}

// overlay is a Writer that holds changes back from the Reader below it.
type overlay struct {
	Reader
	// changes has nil for a deleted key.
	changes map[cell][]byte
	done    []func(bool)
}

var _ Writer = (*overlay)(nil)

func newOverlay(base Reader) *overlay {
	return &overlay{Reader: base, changes: map[cell][]byte{}}
}

func (o *overlay) Get(table Table, key string) ([]byte, error) {
	if value, ok := o.changes[cell{table, key}]; ok {
		return value, nil
	}
	return o.Reader.Get(table, key)
}

func (o *overlay) Put(table Table, key string, value []byte) {
	if value == nil {
		value = []byte{}
	}
	o.changes[cell{table, key}] = value
}

func (o *overlay) Delete(table Table, key string) { o.changes[cell{table, key}] = nil }

func (o *overlay) OnDone(done func(committed bool)) { o.done = append(o.done, done) }

func (o *overlay) finish(committed bool) {
	for _, done := range o.done {
		done(committed)
	}
	o.done = nil
}
