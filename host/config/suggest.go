package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// maxQuoted is how much of a caller's text a message repeats, in bytes.
const maxQuoted = 80

// nearest returns the word that is most like name, or nothing.
func nearest(name string, words []string) string {
	if len(name) > maxQuoted {
		return ""
	}
	best, distance := "", max(2, len(name)/3)+1
	for _, w := range words {
		if d := levenshtein.Distance(name, w, nil); d < distance {
			best, distance = w, d
		}
	}
	return best
}

// didYouMean ends a sentence of a message, with a suggestion if there is one.
func didYouMean(name string, words []string) string {
	if near := nearest(name, words); near != "" {
		return fmt.Sprintf(". Did you mean %q?", near)
	}
	return "."
}

func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	n := maxQuoted
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// has reports whether a block has an argument.
func (b *Block) has(name string) bool {
	return slices.ContainsFunc(b.Attributes, func(a Attribute) bool { return a.Name == name })
}

// everyName lists all names of the language.
func everyName() []string {
	var all []string
	var walk func(blocks []*Block)
	walk = func(blocks []*Block) {
		for _, b := range blocks {
			all = append(all, b.names()...)
			walk(b.Blocks)
		}
	}
	walk(table)
	return all
}

// names of everything that may stand in a block.
func (b *Block) names() []string {
	var all []string
	for _, a := range b.Attributes {
		all = append(all, a.Name)
	}
	for _, sub := range b.Blocks {
		all = append(all, sub.Type)
	}
	return all
}

// homes lists the blocks in which a name stands, other than one.
func homes(name string, except *Block) []string {
	var found []string
	var walk func(path string, blocks []*Block)
	walk = func(path string, blocks []*Block) {
		for _, b := range blocks {
			if b.Type == "defaults" {
				continue // the same as in pool
			}
			here := strings.TrimSpace(path + " " + b.Type)
			for _, n := range b.names() {
				if n == name && b.Type != except.Type {
					found = append(found, here)
				}
			}
			walk(here, b.Blocks)
		}
	}
	walk("", table)
	sort.Strings(found)
	return found
}
