package fakelm

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxFilled bounds what minLength can ask for.
const maxFilled = 4096

// limits are the bounds of a number, a string's length or a list's length; nil
// is unbounded.
type limits struct {
	low, high         *float64
	lowOpen, highOpen bool
	step              float64
	minLen, maxLen    *float64
	minItems, maxItem *float64
}

// set applies one keyword of JSON Schema that bounds a value.
func (l *limits) set(keyword string, value any) {
	number, isNumber := value.(json.Number)
	if !isNumber {
		return
	}
	f, err := number.Float64()
	if err != nil {
		return
	}
	switch keyword {
	case "minimum":
		l.low = &f
	case "maximum":
		l.high = &f
	case "exclusiveMinimum":
		l.low, l.lowOpen = &f, true
	case "exclusiveMaximum":
		l.high, l.highOpen = &f, true
	case "multipleOf":
		l.step = f
	case "minLength":
		l.minLen = &f
	case "maxLength":
		l.maxLen = &f
	case "minItems":
		l.minItems = &f
	case "maxItems":
		l.maxItem = &f
	}
}

// constrain applies DSPy's wording of a field's bounds, such as
// "greater than or equal to: 5, maximum length: 20". list
// says that a length is a number of items.
func (l *limits) constrain(text string, list bool) {
	for part := range strings.SplitSeq(text, ", ") {
		words, number, _ := strings.Cut(part, ": ")
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil {
			continue
		}
		switch {
		case words == "greater than":
			l.low, l.lowOpen = &f, true
		case words == "greater than or equal to":
			l.low = &f
		case words == "less than":
			l.high, l.highOpen = &f, true
		case words == "less than or equal to":
			l.high = &f
		case words == "a multiple of the given number":
			l.step = f
		case words == "minimum length" && list:
			l.minItems = &f
		case words == "minimum length":
			l.minLen = &f
		case words == "maximum length" && list:
			l.maxItem = &f
		case words == "maximum length":
			l.maxLen = &f
		}
	}
}

// integer moves a number into the bounds.
func (l *limits) integer(n int64) int64 {
	return int64(l.bound(float64(n), 1, math.Floor, math.Ceil))
}

// number moves a number into the bounds.
func (l *limits) number(f float64) float64 {
	same := func(f float64) float64 { return f }
	return l.bound(f, math.Max(math.Abs(f), 1)/1000, same, same)
}

// bound moves f into the bounds; gap keeps it off an exclusive one.
func (l *limits) bound(f, gap float64, floor, ceil func(float64) float64) float64 {
	if l.high != nil {
		high := floor(*l.high)
		if l.highOpen && high == *l.high {
			high -= gap
		}
		f = min(f, high)
	}
	if l.low != nil {
		low := ceil(*l.low)
		if l.lowOpen && low == *l.low {
			low += gap
		}
		f = max(f, low)
	}
	if l.step > 0 {
		multiple := math.Floor(f/l.step) * l.step
		if l.low != nil && (multiple < *l.low || l.lowOpen && multiple == *l.low) {
			multiple += l.step
		}
		if !math.IsInf(multiple, 0) && !math.IsNaN(multiple) {
			f = multiple
		}
	}
	return f
}

// clipText lengthens or cuts a string to its bounds.
func (l *limits) clipText(text string) string {
	if l.minLen != nil {
		missing := int(min(*l.minLen, maxFilled)) - utf8.RuneCountInString(text)
		text += strings.Repeat(".", max(missing, 0))
	}
	if l.maxLen != nil {
		if runes := []rune(text); float64(len(runes)) > *l.maxLen {
			text = strings.TrimSpace(string(runes[:int(max(*l.maxLen, 0))]))
		}
	}
	return text
}

// wantsItem reports whether a list of n items is too short.
func (l *limits) wantsItem(n int) bool { return l.minItems != nil && float64(n) < *l.minItems }

// clipList cuts a list's items to the bounds.
func (l *limits) clipList(items []any) []any {
	if l.maxItem != nil && float64(len(items)) > *l.maxItem {
		items = items[:int(max(*l.maxItem, 0))]
	}
	return items
}
