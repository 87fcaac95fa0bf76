package config

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// WriteDiagnostics prints diagnostics with the lines of source that they are
// about. Width wraps the text; 0 does not.
func WriteDiagnostics(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File, width int, color bool) error {
	return hcl.NewDiagnosticTextWriter(w, files, uint(max(width, 0)), color).WriteDiagnostics(diags)
}

// Format returns a source in canonical form.
func Format(src []byte, filename string) ([]byte, hcl.Diagnostics) {
	if len(src) > maxFile {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "File too large", Detail: filename + " is larger than a configuration may be."}}
	}
	if at, deep := tooDeep(src, filename); deep {
		return nil, deepDiagnostics(at)
	}
	if _, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos); diags.HasErrors() {
		return nil, diags
	}
	return hclwrite.Format(src), nil
}

// The JSON form of diagnostics is Terraform's, which editors know.
type (
	jsonReport struct {
		FormatVersion string           `json:"format_version"`
		Valid         bool             `json:"valid"`
		ErrorCount    int              `json:"error_count"`
		WarningCount  int              `json:"warning_count"`
		Diagnostics   []jsonDiagnostic `json:"diagnostics"`
	}
	jsonDiagnostic struct {
		Severity string       `json:"severity"`
		Summary  string       `json:"summary"`
		Detail   string       `json:"detail"`
		Range    *jsonRange   `json:"range,omitempty"`
		Snippet  *jsonSnippet `json:"snippet,omitempty"`
	}
	jsonRange struct {
		Filename string  `json:"filename"`
		Start    jsonPos `json:"start"`
		End      jsonPos `json:"end"`
	}
	jsonPos struct {
		Line   int `json:"line"`
		Column int `json:"column"`
		Byte   int `json:"byte"`
	}
	jsonSnippet struct {
		Context   *string `json:"context"`
		Code      string  `json:"code"`
		StartLine int     `json:"start_line"`
		HighStart int     `json:"highlight_start_offset"`
		HighEnd   int     `json:"highlight_end_offset"`
	}
)

// DiagnosticsJSON returns diagnostics in the JSON form of `terraform validate`.
func DiagnosticsJSON(diags hcl.Diagnostics, files map[string]*hcl.File) ([]byte, error) {
	report := jsonReport{FormatVersion: "1.0", Valid: !diags.HasErrors(), Diagnostics: []jsonDiagnostic{}}
	for _, d := range diags {
		out := jsonDiagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			out.Severity = "warning"
			report.WarningCount++
		} else {
			report.ErrorCount++
		}
		if d.Subject != nil {
			out.Range = &jsonRange{Filename: d.Subject.Filename, Start: position(d.Subject.Start), End: position(d.Subject.End)}
			out.Snippet = snippet(*d.Subject, files[d.Subject.Filename])
		}
		report.Diagnostics = append(report.Diagnostics, out)
	}
	return json.MarshalIndent(report, "", "  ")
}

func position(p hcl.Pos) jsonPos { return jsonPos{Line: p.Line, Column: p.Column, Byte: p.Byte} }

func snippet(at hcl.Range, file *hcl.File) *jsonSnippet {
	if file == nil {
		return nil
	}
	lines := hcl.NewRangeScanner(file.Bytes, at.Filename, bufio.ScanLines)
	for lines.Scan() {
		line := lines.Range()
		if !line.Overlaps(at) && line.Start.Line != at.Start.Line {
			continue
		}
		s := &jsonSnippet{Code: string(bytes.TrimRight(lines.Bytes(), "\r")), StartLine: line.Start.Line}
		s.HighStart = min(max(at.Start.Byte-line.Start.Byte, 0), len(s.Code))
		s.HighEnd = min(max(at.End.Byte-line.Start.Byte, s.HighStart), len(s.Code))
		if body, ok := file.Body.(*hclsyntax.Body); ok {
			for _, b := range body.Blocks {
				if b.Range().Overlaps(at) || b.Body.Range().Overlaps(at) {
					name := title(b)
					s.Context = &name
				}
			}
		}
		return s
	}
	return nil
}
