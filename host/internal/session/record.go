package session

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/dspex/dspex/shared"
)

// keySeparator stands between session and name in the key of a program. No ID
// or name contains it.
const keySeparator = "\x00"

// writePrefix is the length of what stands before the data of a session: the
// incarnation and revision that it is of.
const writePrefix = 16

var errRecord = errors.New("malformed record")

// head is the part of a session's records that says all but the data.
type head struct {
	incarnation uint64
	revision    uint64
	ttl         time.Duration
	// created and updated in Unix nanoseconds.
	created, updated int64
	// deadline in the time of the store.
	deadline int64
	// programs counts the programs, so that a lost one is noticed.
	programs uint64
}

func (h head) encode() []byte {
	raw := make([]byte, 0, 48)
	raw = binary.AppendUvarint(raw, h.incarnation)
	raw = binary.AppendUvarint(raw, h.revision)
	raw = binary.AppendVarint(raw, int64(h.ttl))
	raw = binary.AppendVarint(raw, h.created)
	raw = binary.AppendVarint(raw, h.updated)
	raw = binary.AppendVarint(raw, h.deadline)
	return binary.AppendUvarint(raw, h.programs)
}

func decodeHead(id string, raw []byte) (head, error) {
	var h head
	r := bytes.NewReader(raw)
	var err error
	unsigned := func(to *uint64) {
		if err == nil {
			*to, err = binary.ReadUvarint(r)
		}
	}
	signed := func(to *int64) {
		if err == nil {
			*to, err = binary.ReadVarint(r)
		}
	}
	unsigned(&h.incarnation)
	unsigned(&h.revision)
	signed((*int64)(&h.ttl))
	signed(&h.created)
	signed(&h.updated)
	signed(&h.deadline)
	unsigned(&h.programs)
	if err != nil || r.Len() > 0 || h.incarnation == 0 || h.ttl <= 0 || h.revision == 0 {
		return head{}, shared.Errorf(shared.StoreFailed, "session %s: head: %w", quote(id), errRecord)
	}
	return h, nil
}

// session fills in all but data and programs.
func (h head) session(id string) shared.Session {
	return shared.Session{
		ID:        id,
		Revision:  h.revision,
		TTL:       h.ttl,
		CreatedAt: time.Unix(0, h.created).UTC(),
		UpdatedAt: time.Unix(0, h.updated).UTC(),
	}
}

// encodeData is the record of the data that h's revision wrote.
func (h head) encodeData(data json.RawMessage) []byte {
	raw := make([]byte, 0, writePrefix+len(data))
	raw = binary.LittleEndian.AppendUint64(raw, h.incarnation)
	raw = binary.LittleEndian.AppendUint64(raw, h.revision)
	return append(raw, data...)
}

// decodeData returns the data in a record, or nil if another write made it.
func (h head) decodeData(raw []byte) json.RawMessage {
	if len(raw) < writePrefix ||
		binary.LittleEndian.Uint64(raw) != h.incarnation || binary.LittleEndian.Uint64(raw[8:]) != h.revision {
		return nil
	}
	return raw[writePrefix:]
}

func programKey(session, name string) string { return session + keySeparator + name }

func encodeProgram(p shared.Program) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		return nil, shared.Errorf(shared.InvalidArgument, "program %s: %w", quote(p.Name), err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func decodeProgram(key string, raw []byte) (shared.Program, error) {
	var p shared.Program
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, shared.Errorf(shared.StoreFailed, "%s: %w", recordName(cell{programTable, key}), errRecord)
	}
	return p, nil
}

// programSizes returns the names of the programs of a session, or of the global
// ones, and the bytes that they take.
func programSizes(r Reader, session string) (names []string, bytes int, err error) {
	prefix := programKey(session, "")
	err = r.Scan(programTable, prefix, "", func(e Entry) bool {
		names = append(names, strings.TrimPrefix(e.Key, prefix))
		bytes += e.Size
		return true
	})
	return names, bytes, err
}
