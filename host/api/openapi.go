package api

import (
	_ "embed"
	"net/http"
	"strconv"
	"strings"
)

// openAPIVersion is the version in the file, for readers of the source.
const openAPIVersion = `version: "0.0.0"`

//go:embed openapi.yaml
var openAPIFile string

// openAPI returns the description of REST for a version of the host.
func openAPI(version string) []byte {
	return []byte(strings.Replace(openAPIFile, openAPIVersion, "version: "+strconv.Quote(version), 1))
}

func (s *Server) getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	writeBody(w, http.StatusOK, "application/yaml", s.openapi)
	return nil
}
