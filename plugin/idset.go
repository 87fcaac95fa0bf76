package plugin

import (
	"slices"
	"sort"
)

// maxSpans bounds the memory of an idSet: 128 KiB.
const maxSpans = 8192

// idSet remembers which call IDs a stream has used. IDs that follow one another
// cost nothing, so it is exact for the whole life of a stream on which the host
// counts up. Where IDs are scattered it forgets the smallest ones: a bounded
// check of the peer is worth more than a complete one that grows for ever.
type idSet struct {
	spans []span // sorted, with gaps between
}

// span is the IDs from lo to hi, both included.
type span struct{ lo, hi uint64 }

// add puts id into the set and reports whether it was not there before.
func (s *idSet) add(id uint64) bool {
	i := len(s.spans)
	if i > 0 && id <= s.spans[i-1].hi {
		i = sort.Search(len(s.spans), func(k int) bool { return id <= s.spans[k].hi })
		if s.spans[i].lo <= id {
			return false
		}
	}
	// s.spans[i-1] ends before id, s.spans[i] begins after it.
	joinsLeft := i > 0 && s.spans[i-1].hi+1 == id
	joinsRight := i < len(s.spans) && s.spans[i].lo-1 == id
	switch {
	case joinsLeft && joinsRight:
		s.spans[i-1].hi = s.spans[i].hi
		s.spans = slices.Delete(s.spans, i, i+1)
	case joinsLeft:
		s.spans[i-1].hi = id
	case joinsRight:
		s.spans[i].lo = id
	default:
		s.spans = slices.Insert(s.spans, i, span{id, id})
		if len(s.spans) > maxSpans {
			s.spans = slices.Delete(s.spans, 0, maxSpans/2)
		}
	}
	return true
}

// has reports whether id is in the set.
func (s *idSet) has(id uint64) bool {
	i := sort.Search(len(s.spans), func(k int) bool { return id <= s.spans[k].hi })
	return i < len(s.spans) && s.spans[i].lo <= id
}
