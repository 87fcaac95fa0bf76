package fakelm

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	// sumPattern finds an expression with at least one operator between numbers.
	sumPattern  = regexp.MustCompile(`[(\s]*-?\d[\d.]*\s*(?:[-+*/×÷^][-(\s]*\d[\d.]*[)\s]*)+`)
	wordToSign  = strings.NewReplacer(" plus ", " + ", " minus ", " - ", " times ", " * ", " divided by ", " / ")
	signToPlain = strings.NewReplacer("×", "*", "÷", "/", " ", "", "\t", "", "\n", "")
	// datePattern finds what looks like a sum but is a date or a phone number.
	datePattern = regexp.MustCompile(`\d+[-/]\d+[-/]\d+`)
)

// sumWords are the words that may surround an expression.
var sumWords = map[string]bool{
	"what": true, "whats": true, "s": true, "is": true, "the": true, "result": true, "value": true, "sum": true,
	"product": true, "of": true, "how": true, "much": true, "compute": true, "calculate": true, "evaluate": true,
	"solve": true, "please": true, "equals": true, "to": true, "and": true,
}

// sum reads an arithmetic expression from the start of its text.
type sum struct {
	text  string
	valid bool
}

// calculate finds an arithmetic expression in a text, such as "What is
// 2 + 3 * 4?", and returns its value.
func calculate(text string) (float64, bool) {
	text = wordToSign.Replace(text)
	match := sumPattern.FindString(text)
	if match == "" || datePattern.MatchString(match) || !asksForSum(text, match) {
		return 0, false
	}
	s := &sum{text: signToPlain.Replace(match), valid: true}
	if len(s.text) > 200 {
		return 0, false
	}
	value := s.add()
	if !s.valid || s.text != "" || math.IsInf(value, 0) || math.IsNaN(value) {
		return 0, false
	}
	return value, true
}

// asksForSum reports whether all that text says besides the expression is to
// work it out: "order 12-34" and "12-34" are names, not questions.
func asksForSum(text, expression string) bool {
	before, after, _ := strings.Cut(text, expression)
	words := strings.Fields(notWord.ReplaceAllString(strings.ToLower(before+" "+after), " "))
	for _, word := range words {
		if !sumWords[word] {
			return false
		}
	}
	return len(words) > 0 || strings.ContainsAny(strings.TrimSpace(expression), " +*^×÷")
}

func (s *sum) add() float64 {
	value := s.multiply()
	for {
		switch {
		case s.take("+"):
			value += s.multiply()
		case s.take("-"):
			value -= s.multiply()
		default:
			return value
		}
	}
}

func (s *sum) multiply() float64 {
	value := s.raise()
	for {
		switch {
		case s.take("*"):
			value *= s.raise()
		case s.take("/"):
			value /= s.raise()
		default:
			return value
		}
	}
}

func (s *sum) raise() float64 {
	base := s.number()
	if s.take("^") {
		return math.Pow(base, s.raise())
	}
	return base
}

func (s *sum) number() float64 {
	if s.take("-") {
		return -s.number()
	}
	if s.take("(") {
		value := s.add()
		s.valid = s.take(")") && s.valid
		return value
	}
	end := strings.IndexFunc(s.text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(s.text)
	}
	value, err := strconv.ParseFloat(strings.TrimSuffix(s.text[:end], "."), 64)
	s.valid = s.valid && err == nil
	s.text = s.text[end:]
	return value
}

func (s *sum) take(sign string) bool {
	rest, found := strings.CutPrefix(s.text, sign)
	s.text = rest
	return found
}
