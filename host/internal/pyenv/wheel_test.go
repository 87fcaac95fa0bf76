package pyenv

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// wheel makes a wheel of one module among the bench's wheels, and returns the
// lines of a lock for it.
func (b *bench) wheel(name, version, code string) string {
	b.t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	info := name + "-" + version + ".dist-info/"
	var record strings.Builder
	add := func(path, content string) {
		f, err := w.Create(path)
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			b.t.Fatal(err)
		}
		fmt.Fprintf(&record, "%s,,\n", path)
	}
	add(name+".py", code)
	add(info+"METADATA", "Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\n")
	add(info+"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
	add(info+"RECORD", record.String()+info+"RECORD,,\n")
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.wheels, name+"-"+version+"-py3-none-any.whl"), archive.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("%s==%s --hash=sha256:%s\n", name, version, digestOf(archive.Bytes()))
}
