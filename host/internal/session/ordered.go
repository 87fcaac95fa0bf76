package session

import (
	"slices"
	"strings"
)

// maxBlock is how many items a block of an ordered table has at most.
const maxBlock = 256

// ordered is a table in memory in the order of its keys. It is not safe for
// concurrent use.
type ordered struct {
	// blocks are never empty. All keys of one are less than those of the next.
	blocks [][]item
}

type item struct {
	key   string
	value []byte
}

func (o *ordered) get(key string) ([]byte, bool) {
	b, i, found := o.find(key)
	if !found {
		return nil, false
	}
	return o.blocks[b][i].value, true
}

func (o *ordered) put(key string, value []byte) {
	b, i, found := o.find(key)
	if found {
		o.blocks[b][i].value = value
		return
	}
	if len(o.blocks) == 0 {
		o.blocks = [][]item{{{key, value}}}
		return
	}
	block := slices.Insert(o.blocks[b], i, item{key, value})
	o.blocks[b] = block
	if len(block) > maxBlock {
		half := len(block) / 2
		o.blocks = slices.Insert(o.blocks, b+1, slices.Clone(block[half:]))
		clear(block[half:])
		o.blocks[b] = block[:half]
	}
}

func (o *ordered) delete(key string) {
	b, i, found := o.find(key)
	if !found {
		return
	}
	o.blocks[b] = slices.Delete(o.blocks[b], i, i+1)
	if len(o.blocks[b]) == 0 {
		o.blocks = slices.Delete(o.blocks, b, b+1)
	}
}

// scan visits the items whose keys begin with prefix and are greater than after.
func (o *ordered) scan(prefix, after string, visit func(item) bool) {
	from := max(prefix, after)
	b, i, _ := o.find(from)
	for ; b < len(o.blocks); b, i = b+1, 0 {
		for ; i < len(o.blocks[b]); i++ {
			it := o.blocks[b][i]
			if !strings.HasPrefix(it.key, prefix) {
				if it.key > from {
					return
				}
				continue
			}
			if it.key > after && !visit(it) {
				return
			}
		}
	}
}

// find returns where key is, or where it belongs.
func (o *ordered) find(key string) (block, i int, found bool) {
	block, found = slices.BinarySearchFunc(o.blocks, key, func(b []item, key string) int {
		return strings.Compare(b[0].key, key)
	})
	if found {
		return block, 0, true
	}
	block = max(block-1, 0)
	if block == len(o.blocks) {
		return block, 0, false
	}
	i, found = slices.BinarySearchFunc(o.blocks[block], key, func(it item, key string) int {
		return strings.Compare(it.key, key)
	})
	return block, i, found
}
