package fakelm

import (
	"regexp"
	"strings"
	"unicode"
)

var (
	openTag  = regexp.MustCompile(`^<([\w.-]+)>`)
	xmlName  = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_.-]*$`)
	xmlText  = strings.NewReplacer("&", "&amp;", "<", "&lt;")
	xmlQuote = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
)

// parseSkeleton finds and reads XMLAdapter's outline of a nested field, such as
// "<p><name>...</name><tags><item>...</item></tags></p>". It returns nil for a
// field that is not shown as nested.
func parseSkeleton(shown, name string) *schema {
	for line := range strings.Lines(shown) {
		if !strings.HasPrefix(line, "<"+name+">") || strings.TrimSpace(line) == "<"+name+">" {
			continue
		}
		s, _, valid := skeletonNode(strings.TrimSpace(line), 0)
		if valid {
			return s
		}
	}
	return nil
}

// skeletonNode reads one element and returns what follows it.
func skeletonNode(text string, depth int) (s *schema, rest string, valid bool) {
	match := openTag.FindStringSubmatch(text)
	if match == nil || depth > maxNesting {
		return nil, "", false
	}
	text, closing := text[len(match[0]):], "</"+match[1]+">"
	if rest, leaf := strings.CutPrefix(text, "..."+closing); leaf {
		return &schema{loose: true}, rest, true
	}
	s = &schema{types: []string{"object"}, props: []property{}}
	for {
		if rest, ended := strings.CutPrefix(text, closing); ended {
			if len(s.props) == 1 && s.props[0].name == "item" {
				s = &schema{types: []string{"array"}, items: s.props[0].schema}
			}
			return s, rest, true
		}
		child := openTag.FindStringSubmatch(text)
		node, rest, valid := skeletonNode(text, depth+1)
		if !valid {
			return nil, "", false
		}
		s.props = append(s.props, property{child[1], node})
		text = rest
	}
}

// xmlElement writes a value as nested tags. A member whose name is no XML name
// becomes <entry key="name">.
func xmlElement(tag, attributes string, value any) string {
	var inside strings.Builder
	switch v := value.(type) {
	case nil:
		return "<" + tag + attributes + " />"
	case []any:
		if len(v) == 0 {
			return "<" + tag + attributes + " />"
		}
		for _, item := range v {
			inside.WriteString(xmlElement("item", "", item))
		}
	case object:
		for _, m := range v {
			if xmlName.MatchString(m.name) {
				inside.WriteString(xmlElement(m.name, "", m.value))
			} else {
				inside.WriteString(xmlElement("entry", ` key="`+xmlQuote.Replace(m.name)+`"`, m.value))
			}
		}
	default:
		inside.WriteString(xmlText.Replace(scalarText(v)))
	}
	return "<" + tag + attributes + ">" + inside.String() + "</" + tag + ">"
}

// printable replaces the characters that XML 1.0 and terminals cannot carry.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || r == '\uFFFE' || r == '\uFFFF' {
			return ' '
		}
		return r
	}, text)
}
