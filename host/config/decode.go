package config

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// nameRule is what names of pools, programs and the like look like: they become
// parts of metrics, file names and addresses.
var nameRule = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

// moduleRule is what a Python module's name looks like.
var moduleRule = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// decoder collects what is wrong while it reads.
type decoder struct {
	diags hcl.Diagnostics
	scope *scope
	// places remembers where an attribute was set, for checks across attributes.
	places map[any]map[string]hcl.Range
}

func (d *decoder) add(diag *hcl.Diagnostic) { d.diags = append(d.diags, diag) }

func (d *decoder) errorf(at hcl.Range, summary, format string, args ...any) {
	d.add(&hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: at.Ptr()})
}

// place is where an attribute of a target was set; the zero Range if it was not.
func (d *decoder) place(target any, name string) (hcl.Range, bool) {
	at, ok := d.places[target][name]
	return at, ok
}

// body reads the attributes and blocks of a block into its target.
func (d *decoder) body(b *Block, source *hclsyntax.Block, target any) {
	known := make(map[string]Attribute, len(b.Attributes))
	for _, a := range b.Attributes {
		known[a.Name] = a
	}
	for _, attr := range sorted(source.Body.Attributes) {
		a, ok := known[attr.Name]
		if !ok {
			d.unknown(b, attr.Name, "argument", attr.NameRange)
			continue
		}
		v, diags := d.scope.eval(attr.Expr)
		d.diags = append(d.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		if d.places[target] == nil {
			d.places[target] = make(map[string]hcl.Range)
		}
		d.places[target][attr.Name] = attr.Expr.Range()
		a.set(d, target, v, attr.Expr)
	}
	for _, a := range b.Attributes {
		if _, ok := source.Body.Attributes[a.Name]; a.Required && !ok {
			d.errorf(source.DefRange(), "Missing argument", "%s needs %q: %s.", title(source), a.Name, a.Doc)
		}
	}
	seen := make(map[string]*hclsyntax.Block)
	for _, inner := range source.Body.Blocks {
		sub := find(b.Blocks, inner.Type)
		if sub == nil {
			d.unknown(b, inner.Type, "block", inner.TypeRange)
			continue
		}
		if first := seen[inner.Type]; first != nil {
			d.errorf(inner.DefRange(), "Duplicate block", "%s has a %q block already, at %s.", title(source), inner.Type, first.DefRange())
			continue
		}
		seen[inner.Type] = inner
		d.labels(sub, inner)
		d.body(sub, inner, sub.sub(target))
	}
}

// labels checks that a block has the labels that it should, of the right form.
func (d *decoder) labels(b *Block, source *hclsyntax.Block) bool {
	if len(source.Labels) != len(b.Labels) {
		example := b.Type
		for _, l := range b.Labels {
			example += fmt.Sprintf(" %q", l)
		}
		d.errorf(source.DefRange(), "Wrong labels", "A %q block is written: %s { ... }", b.Type, example)
		return false
	}
	for i, label := range source.Labels {
		if !nameRule.MatchString(label) {
			d.errorf(source.LabelRanges[i], "Bad name", "%q is no name: names begin with a small letter and have at most 63 small letters, digits and hyphens.", clip(label))
			return false
		}
	}
	return true
}

// unknown reports a name that a block does not have.
func (d *decoder) unknown(b *Block, name, what string, at hcl.Range) {
	where := ""
	if b.Type != "" {
		where = fmt.Sprintf(" in a %s block", b.Type)
	}
	for _, l := range later[b.Type] {
		if l == name {
			d.errorf(at, "Not supported by this version", "This version of dspex has no %s %q%s. Remove it, or use a version that has it.", what, name, where)
			return
		}
	}
	detail := fmt.Sprintf("A %s block has no %s %q.", b.Type, what, clip(name))
	if b.Type == "" {
		detail = fmt.Sprintf("There is no %s %q at the top of a file.", what, clip(name))
	}
	if near := nearest(name, b.names()); near != "" {
		detail += fmt.Sprintf(" Did you mean %q?", near)
	} else if found := homes(name, b); len(found) > 0 {
		detail += fmt.Sprintf(" %q belongs in a %s block.", name, strings.Join(found, " or "))
	}
	d.errorf(at, "Unknown "+what, "%s", detail)
}

func find(blocks []*Block, blockType string) *Block {
	for _, b := range blocks {
		if b.Type == blockType {
			return b
		}
	}
	return nil
}

// sorted returns attributes in the order of the source.
func sorted(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	all := make([]*hclsyntax.Attribute, 0, len(attrs))
	for _, a := range attrs {
		all = append(all, a)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].NameRange.Start.Byte < all[j].NameRange.Start.Byte })
	return all
}

// title names a block for messages, such as pool "qa".
func title(b *hclsyntax.Block) string {
	name := b.Type
	for _, l := range b.Labels {
		name += fmt.Sprintf(" %q", clip(l))
	}
	return name
}
