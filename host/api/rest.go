package api

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dspex/dspex/shared"
)

// route is one operation of the REST facade.
type route struct {
	method, path string
	// query names the parameters that it takes.
	query []string
	// serve answers, or returns the error to answer with.
	serve func(w http.ResponseWriter, r *http.Request) error
}

// routes lists all of REST. openapi.yaml describes the same, which a test checks.
func (s *Server) routes() []route {
	return []route{
		{"POST", "/v1/pools/{pool}/call", []string{"stream"}, s.postCall},
		{"GET", "/v1/pools", nil, s.getPools},
		{"GET", "/v1/pools/{pool}", nil, s.getPool},
		{"GET", "/v1/pools/{pool}/workers", nil, s.getPoolWorkers},
		{"GET", "/v1/workers", nil, s.getWorkers},
		{"GET", "/v1/stats", nil, s.getStats},

		{"GET", "/v1/sessions", []string{"prefix", "limit", "after"}, s.listSessions},
		{"GET", "/v1/sessions/{id}", nil, s.getSession},
		{"PUT", "/v1/sessions/{id}", nil, s.putSession},
		{"PATCH", "/v1/sessions/{id}", nil, s.patchSession},
		{"DELETE", "/v1/sessions/{id}", nil, s.deleteSession},

		{"GET", "/v1/sessions/{id}/programs", nil, s.listPrograms},
		{"GET", "/v1/sessions/{id}/programs/{name}", nil, s.getProgram},
		{"PUT", "/v1/sessions/{id}/programs/{name}", nil, s.putProgram},
		{"DELETE", "/v1/sessions/{id}/programs/{name}", nil, s.deleteProgram},
		{"POST", "/v1/sessions/{id}/programs/{name}/run", []string{"stream"}, s.runProgram},

		{"GET", "/v1/programs", nil, s.listPrograms},
		{"GET", "/v1/programs/{name}", nil, s.getProgram},
		{"PUT", "/v1/programs/{name}", nil, s.putProgram},
		{"DELETE", "/v1/programs/{name}", nil, s.deleteProgram},
		{"POST", "/v1/programs/{name}/run", []string{"stream"}, s.runProgram},

		{"GET", "/healthz", nil, s.getHealth},
		{"GET", "/readyz", nil, s.getReady},
		{"GET", "/openapi.yaml", nil, s.getOpenAPI},
	}
}

// mountREST adds the routes, and answers in our form for what is no route.
func (s *Server) mountREST(mux *http.ServeMux) {
	methods := make(map[string][]string)
	for _, route := range s.routes() {
		mux.HandleFunc(route.method+" "+route.path, s.serveRoute(route))
		methods[route.path] = append(methods[route.path], route.method)
	}
	for path, allowed := range methods {
		if slices.Contains(allowed, "GET") {
			allowed = append(allowed, "HEAD")
		}
		slices.Sort(allowed)
		allow := strings.Join(allowed, ", ")
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			writeMethodNotAllowed(w, r, allow)
		})
	}
	mux.HandleFunc("/", writePathNotFound)
}

// serveRoute checks what all operations have in common. A panic becomes INTERNAL,
// unless the answer has begun.
func (s *Server) serveRoute(route route) http.HandlerFunc {
	probe := !strings.HasPrefix(route.path, "/v1/")
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if begun := w.(*answerWriter).begun; begun {
				return // see abortOnPanic
			}
			if p := recover(); p != nil {
				writeError(w, s.logPanic(r.Method+" "+route.path, p))
			}
		}()
		if !probe { // probes may say what they like, such as ?verbose
			if _, err := queryOf(r, route.query); err != nil {
				writeError(w, err)
				return
			}
		}
		for _, name := range []string{"pool", "id", "name"} {
			if !utf8.ValidString(r.PathValue(name)) {
				writeError(w, shared.Errorf(shared.InvalidArgument, "%s in the path is not UTF-8", name))
				return
			}
		}
		if err := route.serve(w, r); err != nil {
			writeError(w, err)
		}
	}
}
