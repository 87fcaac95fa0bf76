package pyenv

import (
	"fmt"
	"strconv"
	"strings"
)

// fits reports whether a version meets a constraint such as ">=3.10,<3.15".
func fits(version, constraint string) (bool, error) {
	ok := true
	for _, part := range strings.Split(constraint, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		number := strings.TrimLeft(part, "<>=!~ ")
		op := strings.TrimSpace(strings.TrimSuffix(part, number))
		exact := op == "==" || op == "!=" || op == ""
		if exact {
			number = strings.TrimSuffix(number, ".*")
		}
		cmp, err := compare(version, number, exact)
		if err != nil {
			return false, failed("read python.version %q: %w", constraint, err).WithHint(`write it such as ">=3.10,<3.15"`)
		}
		switch op {
		case ">=":
			ok = ok && cmp >= 0
		case ">":
			ok = ok && cmp > 0
		case "<=":
			ok = ok && cmp <= 0
		case "<":
			ok = ok && cmp < 0
		case "==", "":
			ok = ok && cmp == 0
		case "!=":
			ok = ok && cmp != 0
		default:
			return false, failed("read python.version %q: %q is no comparison", constraint, op).WithHint(`write it such as ">=3.10,<3.15"`)
		}
	}
	return ok, nil
}

// compare compares a version with the numbers of want. With prefix, only as many
// numbers count as want has. What follows the numbers, as in 3.15.0rc1, does not.
func compare(version, want string, prefix bool) (int, error) {
	b, err := numbers(want)
	if err != nil {
		return 0, err
	}
	a := leadingNumbers(version)
	n := len(b)
	if !prefix {
		n = max(len(a), len(b))
	}
	for i := range n {
		if d := at(a, i) - at(b, i); d != 0 {
			return d, nil
		}
	}
	return 0, nil
}

func numbers(version string) ([]int, error) {
	var out []int
	for _, part := range strings.Split(version, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("%q is no version", version)
		}
		out = append(out, int(n))
	}
	return out, nil
}

func leadingNumbers(version string) []int {
	var out []int
	for _, part := range strings.Split(version, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			return out
		}
		if out = append(out, n); digits != part {
			return out
		}
	}
	return out
}

func at(numbers []int, i int) int {
	if i < len(numbers) {
		return numbers[i]
	}
	return 0
}
