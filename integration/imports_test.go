package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/dspex/dspex/"

// mayImport is the table of ARCHITECTURE.md: what a package may import besides
// the standard library. A prefix that ends in a slash stands for all below it.
// Tests are not held to it.
var mayImport = map[string][]string{
	"shared": {
		"shared/proto/", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog",
		"google.golang.org/grpc", "google.golang.org/grpc/codes", "google.golang.org/protobuf/",
	},
	"shared/proto/dspex/worker/v1":           {"google.golang.org/"},
	"shared/proto/dspex/api/v1":              {"google.golang.org/protobuf/"},
	"shared/proto/dspex/api/v1/apiv1connect": {"shared/proto/", "connectrpc.com/connect"},
	"plugin": {
		"shared", "shared/proto/", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog",
		"google.golang.org/grpc", "google.golang.org/grpc/", "google.golang.org/protobuf/",
	},
	"python": {},
	"host/config": {
		"shared", "github.com/hashicorp/hcl/v2", "github.com/hashicorp/hcl/v2/", "github.com/zclconf/go-cty/",
		"github.com/dustin/go-humanize", "github.com/agext/levenshtein",
	},
	"host/internal/sched":   {},
	"host/internal/jsonx":   {"shared"},
	"host/internal/program": {"shared", "host/internal/jsonx", "github.com/agext/levenshtein"},
	"host/internal/session": {
		"shared", "host/internal/jsonx", "host/internal/program", "go.etcd.io/bbolt", "go.etcd.io/bbolt/",
		"github.com/hashicorp/go-hclog", "golang.org/x/sys/",
	},
	"host/internal/proc": {"github.com/hashicorp/go-hclog", "github.com/hashicorp/go-plugin/runner", "golang.org/x/sys/"},
	"host/internal/pyenv": {
		"shared", "python", "github.com/hashicorp/go-hclog", "golang.org/x/sys/", "golang.org/x/sync/",
		"github.com/google/renameio/v2",
	},
	"host/internal/worker": {
		"shared", "shared/proto/", "host/internal/proc", "github.com/hashicorp/go-hclog", "github.com/hashicorp/go-plugin",
		"github.com/hashicorp/go-plugin/runner", "google.golang.org/grpc", "google.golang.org/grpc/", "google.golang.org/protobuf/",
		"github.com/cenkalti/backoff/v5",
	},
	"host/client": {"shared", "shared/proto/", "connectrpc.com/connect", "golang.org/x/net/"},
	"host/api": {
		"shared", "shared/proto/", "connectrpc.com/", "github.com/hashicorp/go-hclog", "google.golang.org/protobuf/",
		"google.golang.org/grpc/codes", "github.com/agext/levenshtein", "golang.org/x/sys/",
	},
	"host": {
		"shared", "shared/proto/", "host/config", "host/internal/", "github.com/hashicorp/go-hclog",
		"golang.org/x/sync/", "golang.org/x/sys/", "github.com/agext/levenshtein",
	},
}

// TestImportsPointOneWay holds every package to the table. cmd/dspex may import
// public packages only, which Go itself enforces, and any library.
func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for decode := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decode.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(pkg.ImportPath, module)
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "integration") {
			continue
		}
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("package %s has no row in the table: add one here and in ARCHITECTURE.md", name)
			continue
		}
		seen[name] = true
		for _, imported := range pkg.Imports {
			if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			if !matches(strings.TrimPrefix(imported, module), allowed) {
				t.Errorf("package %s must not import %s", name, imported)
			}
		}
	}
	for name := range mayImport {
		if !seen[name] {
			t.Errorf("the table has a row for %s, which is not there", name)
		}
	}
}

func matches(imported string, allowed []string) bool {
	for _, a := range allowed {
		if imported == a || strings.HasSuffix(a, "/") && strings.HasPrefix(imported, a) {
			return true
		}
	}
	return false
}
