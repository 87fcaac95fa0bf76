package api

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dspex/dspex/shared"
)

// specRoutes reads "METHOD /path" from openapi.yaml, where paths are indented by 2
// and methods by 4.
func specRoutes(t *testing.T) []string {
	t.Helper()
	_, paths, found := strings.Cut(openAPIFile, "\npaths:\n")
	paths, _, found2 := strings.Cut(paths, "\ncomponents:\n")
	if !found || !found2 {
		t.Fatal("openapi.yaml has no paths before its components")
	}
	methods := []string{"get", "put", "post", "patch", "delete", "head", "options", "trace"}
	var routes []string
	path := ""
	for line := range strings.Lines(paths) {
		line = strings.TrimRight(line, "\n")
		name := strings.TrimSuffix(strings.TrimSpace(line), ":")
		switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
		case indent == 2:
			path = name
		case indent == 4 && slices.Contains(methods, name):
			routes = append(routes, strings.ToUpper(name)+" "+path)
		}
	}
	slices.Sort(routes)
	return routes
}

func TestSpecHasTheRoutes(t *testing.T) {
	t.Parallel()
	s, err := New(newFake(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, r := range s.routes() {
		routes = append(routes, r.method+" "+r.path)
	}
	slices.Sort(routes)
	if diff := cmp.Diff(routes, specRoutes(t)); diff != "" {
		t.Errorf("openapi.yaml has other routes than the server (-server +spec):\n%s", diff)
	}
}

// TestSpecHasTheReasons compares the table of reasons with that of package shared.
func TestSpecHasTheReasons(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	for _, row := range regexp.MustCompile(`\| ([0-9]{3}) \| ([A-Z_ ]+) \|`).FindAllStringSubmatch(openAPIFile, -1) {
		status, _ := strconv.Atoi(row[1])
		for reason := range strings.FieldsSeq(row[2]) {
			got[reason] = status
		}
	}
	want := map[string]int{pathNotFound: 404, methodNotAllowed: 405}
	for _, reason := range shared.Reasons() {
		want[string(reason)] = reason.HTTPStatus()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons in openapi.yaml (-want +got):\n%s", diff)
	}
}

func TestSpecIsServedWithTheVersion(t *testing.T) {
	t.Parallel()
	x := start(t, newFake(), Options{Version: "1.10"})
	a := x.do(t, "GET", "/openapi.yaml", "")
	if want := "\n  version: \"1.10\"\n"; a.status != 200 || !strings.Contains(a.body, want) {
		t.Errorf("status %d, the version %q is missing", a.status, want)
	}
	if n := strings.Count(a.body, "operationId:"); n != len(x.server.routes()) {
		t.Errorf("%d operation IDs, want %d", n, len(x.server.routes()))
	}
	for _, id := range regexp.MustCompile(`operationId: (\w+)`).FindAllStringSubmatch(a.body, -1) {
		if strings.Count(a.body, fmt.Sprintf("operationId: %s\n", id[1])) != 1 {
			t.Errorf("operation ID %s is there twice", id[1])
		}
	}
}
