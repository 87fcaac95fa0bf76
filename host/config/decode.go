package config

import (
	"fmt"
	"regexp"
	"slices"
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

// maxDiagnostics is how many mistakes are reported at once.
const maxDiagnostics = 100

// decoder collects what is wrong while it reads.
type decoder struct {
	diags hcl.Diagnostics
	scope *scope
	// places remembers where an attribute was set, for checks across attributes.
	places map[any]map[string]hcl.Range
	// omitted counts what was too much to keep.
	omitted int
}

// add keeps a diagnostic, unless there are too many already.
func (d *decoder) add(diag *hcl.Diagnostic) {
	if !d.full() {
		d.diags = append(d.diags, diag)
		return
	}
	d.omitted++
}

// full reports whether further mistakes are only counted.
func (d *decoder) full() bool { return len(d.diags) >= maxDiagnostics }

func (d *decoder) keep(diags hcl.Diagnostics) {
	for _, diag := range diags {
		d.add(diag)
	}
}

// report returns the diagnostics in the order of the files and their lines.
func (d *decoder) report(files []string) hcl.Diagnostics {
	order := make(map[string]int)
	for i, f := range files {
		order[f] = i + 1
	}
	place := func(diag *hcl.Diagnostic) (file, at int) {
		if diag.Subject == nil {
			return 0, 0
		}
		return order[diag.Subject.Filename], diag.Subject.Start.Byte
	}
	sort.SliceStable(d.diags, func(i, j int) bool {
		fileI, atI := place(d.diags[i])
		fileJ, atJ := place(d.diags[j])
		if fileI != fileJ {
			return fileI < fileJ
		}
		return atI < atJ
	})
	if d.omitted > 0 {
		d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Too many mistakes", Detail: fmt.Sprintf("There are %d more.", d.omitted)})
		d.omitted = 0
	}
	return d.diags
}

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
		v, diags := d.scope.eval(attr.Expr, inBody)
		if d.keep(diags); diags.HasErrors() {
			continue
		}
		if v.IsNull() { // as if it were left out
			if a.Required {
				d.errorf(attr.Expr.Range(), "Missing argument", "%s needs %q, and it is null: %s.", title(source), a.Name, a.Doc)
			}
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

// strangers reports what a block that is not decoded by the table does not have.
func (d *decoder) strangers(b *Block, source *hclsyntax.Block) {
	for _, a := range sorted(source.Body.Attributes) {
		if !b.has(a.Name) {
			d.unknown(b, a.Name, "argument", a.NameRange)
		}
	}
	for _, inner := range source.Body.Blocks {
		if find(b.Blocks, inner.Type) == nil {
			d.unknown(b, inner.Type, "block", inner.TypeRange)
		}
	}
}

// unknown reports a name that a block does not have.
func (d *decoder) unknown(b *Block, name, what string, at hcl.Range) {
	if d.full() { // suggestions take time
		d.omitted++
		return
	}
	where := fmt.Sprintf(" in a %s block", b.Type)
	if b.Type == "" {
		where = ""
	}
	here := unsupported[b.Type]
	if slices.Contains(here, name) {
		d.errorf(at, "Not supported by this version", "This version of dspex has no %s %q%s. Remove it, or use a version that has it.", what, name, where)
		return
	}
	switch {
	case what == "argument" && find(b.Blocks, name) != nil:
		d.errorf(at, "Unknown argument", "%q is a block: write %s { ... }, without an equals sign.", name, name)
		return
	case what == "block" && b.has(name):
		d.errorf(at, "Unknown block", "%q is an argument: write %s = ..., with an equals sign.", name, name)
		return
	}
	detail := fmt.Sprintf("A %s block has no %s %q.", b.Type, what, clip(name))
	if b.Type == "" {
		detail = fmt.Sprintf("There is no %s %q at the top of a file.", what, clip(name))
	}
	if found := homes(name, b); len(found) > 0 {
		detail += fmt.Sprintf(" %q belongs in a %s block.", name, strings.Join(found, " or "))
	} else if near := nearest(name, append(b.names(), here...)); near != "" {
		detail += fmt.Sprintf(" Did you mean %q?", near)
		if slices.Contains(here, near) {
			detail += " This version of dspex does not support it."
		}
	} else if near := nearest(name, everyName()); len(name) > 4 && near != "" && len(homes(near, b)) > 0 {
		detail += fmt.Sprintf(" Did you mean %q, which belongs in a %s block?", near, strings.Join(homes(near, b), " or "))
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
