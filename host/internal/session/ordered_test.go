package session

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestOrderedAgainstMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var table ordered
		model := map[string]string{}
		key := rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00c")), 0, 6, -1)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.String().Draw(t, "value")
				table.put(k, []byte(v))
				model[k] = v
			},
			"delete": func(t *rapid.T) {
				k := key.Draw(t, "key")
				table.delete(k)
				delete(model, k)
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				got, ok := table.get(k)
				if want, exists := model[k]; ok != exists || string(got) != want {
					t.Fatalf("get %q = %q, %v, want %q, %v", k, got, ok, want, exists)
				}
			},
			"scan": func(t *rapid.T) {
				prefix, after := key.Draw(t, "prefix"), key.Draw(t, "after")
				var got, want []string
				table.scan(prefix, after, func(it item) bool { got = append(got, it.key); return true })
				for _, k := range slices.Sorted(maps.Keys(model)) {
					if strings.HasPrefix(k, prefix) && k > after {
						want = append(want, k)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("scan %q after %q (-want +got):\n%s", prefix, after, diff)
				}
			},
		})
	})
}

func TestOrderedSplitsAndMerges(t *testing.T) {
	t.Parallel()
	var table ordered
	const n = 10 * maxBlock
	for i := range n {
		k := i * 7919 % n // Every number once, in no order.
		table.put(string([]byte{byte(k >> 8), byte(k)}), nil)
	}
	count, last := 0, ""
	table.scan("", "", func(it item) bool {
		if it.key < last {
			t.Fatalf("%q comes after %q", it.key, last)
		}
		count, last = count+1, it.key
		return true
	})
	if count != n {
		t.Errorf("scan visits %d keys, want %d", count, n)
	}
	for k := range n {
		table.delete(string([]byte{byte(k >> 8), byte(k)}))
	}
	if len(table.blocks) != 0 {
		t.Errorf("%d blocks are left of an empty table", len(table.blocks))
	}
}
