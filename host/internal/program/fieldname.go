package program

import (
	"fmt"
	"strings"
)

const maxFieldName = 64

// fieldRole says on which side of the arrow a field stands.
type fieldRole int

const (
	inputField fieldRole = iota
	outputField
)

// String names the role as errors do.
func (r fieldRole) String() string {
	if r == inputField {
		return "an input"
	}
	return "an output"
}

// keywords are the reserved words of Python 3.
var keywords = words(`False None True and as assert async await break class continue def del elif else except
	finally for from global if import in is lambda nonlocal not or pass raise return try while with yield`)

// Names that break a program in DSPy 3: a signature class that cannot be
// built, or an input that lands in an argument of DSPy itself.
var (
	reservedNames = words(`signature instructions fields input_fields output_fields demos config lm new_signature
		completions instance self model_config model_fields model_computed_fields model_construct model_copy
		model_extra model_fields_set model_json_schema model_parametrized_name model_post_init model_rebuild`)
	// reservedInputs are reserved only as inputs. DSPy moves a prediction of a
	// certain shape into the settings of the LM call.
	reservedInputs   = words(`prediction`)
	reservedPrefixes = []string{"model_validate", "model_dump"}
)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}

// checkFieldName returns what is wrong with the name of the next field, or "".
// The names before it are in names, to which it is added.
func checkFieldName(name string, role fieldRole, names map[string]bool) string {
	problem := ""
	switch {
	case name == "":
		return "want a name"
	case !isIdentifier(name):
		problem = "is not a field name: want letters, digits and _, a letter first"
	case len(name) > maxFieldName:
		problem = fmt.Sprintf("is longer than %d bytes", maxFieldName)
	case keywords[name]:
		problem = "is a word of Python and cannot name a field"
	case isReserved(name, role):
		problem = fmt.Sprintf("cannot name %s field: DSPy uses it itself", role)
	case names[name]:
		problem = "is the name of two fields"
	case len(names) == maxFields:
		problem = fmt.Sprintf("is one field too many: the limit is %d", maxFields)
	}
	if problem != "" {
		return quote(name) + " " + problem
	}
	names[name] = true
	return ""
}

func isIdentifier(name string) bool {
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return !isDigit(name[0]) && name[0] != '_'
}

func isReserved(name string, role fieldRole) bool {
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return reservedNames[name] || role == inputField && reservedInputs[name]
}
