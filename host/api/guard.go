package api

import (
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"strings"

	"connectrpc.com/connect"

	"github.com/dspex/dspex/shared"
)

// ServeHTTP serves one request of any of the protocols.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.abortOnPanic(r)
	w = newAnswerWriter(w, r, s.options.WriteTimeout)
	var body *requestBody
	if r.ContentLength != 0 && r.Body != http.NoBody {
		body = s.guardBody(w, r)
		// A copy: net/http must find its own body, else it reads the rest of a huge one
		// before it answers.
		r = r.WithContext(r.Context())
		r.Body = body
	}
	if err := s.admit(r); err != nil {
		s.refuse(w, r, err)
		return
	}
	if body != nil {
		if err := body.admit(r.ContentLength); err != nil {
			s.refuse(w, r, err)
			return
		}
		defer body.release()
	}
	// The mux would answer an unclean path with a redirect, which POST clients follow
	// with a GET.
	if p := r.URL.EscapedPath(); path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" {
		writePathNotFound(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// admit keeps browsers out that act for another site.
func (s *Server) admit(r *http.Request) *shared.Error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local != nil && local.Network() == "unix" {
		return nil
	}
	if !s.hostAllowed(r.Host, local) {
		return shared.Errorf(shared.Forbidden, "requests for the host name %q are refused", clip(r.Host)).
			WithHint("use localhost, 127.0.0.1 or [::1]; other names are refused because a web page could point its own name here")
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return shared.Errorf(shared.Forbidden, "requests from web pages of another site are refused: %w", err).
			WithHint("call the host from a program, or from a page that it serves itself")
	}
	return nil
}

// hostAllowed reports whether a Host header names this machine. An IP address
// cannot be rebound, so the one that the connection was made to is fine.
func (s *Server) hostAllowed(host string, local net.Addr) bool {
	name := hostName(host)
	if s.allowed[name] {
		return true
	}
	ip := net.ParseIP(name)
	tcp, ok := local.(*net.TCPAddr)
	return ip != nil && ok && ip.Equal(tcp.IP)
}

// refuse answers in the protocol of the request.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e *shared.Error) {
	if s.isRPC(r) {
		s.rpcErrors.write(w, r, e)
		return
	}
	writeError(w, e)
}

// abortOnPanic is the last resort, for a panic that comes after the answer began.
// The connection is cut, so the client cannot take the answer for a whole one.
func (s *Server) abortOnPanic(r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p != http.ErrAbortHandler {
		s.logPanic(r.Method+" "+r.URL.Path, p)
	}
	panic(http.ErrAbortHandler)
}

// logPanic returns the error that answers a request which panicked.
func (s *Server) logPanic(request string, p any) *shared.Error {
	s.log.Error("panic in a request", "request", clip(request), "panic", p, "stack", string(debug.Stack()))
	return shared.Errorf(shared.Internal, "the host failed while it served the request").
		WithHint("the host's log has the details; please report them").WithRun(shared.RunMaybe)
}

// allowedHosts are the names by which TCP listeners may be addressed.
func allowedHosts(o Options) map[string]bool {
	allowed := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}
	for _, name := range o.AllowedHosts {
		allowed[hostName(name)] = true
	}
	return allowed
}

// hostName strips a Host header to the name: no port, brackets, final dot or case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isRPC reports whether a request is in one of connect's protocols.
func (s *Server) isRPC(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/dspex.") || strings.HasPrefix(r.URL.Path, "/grpc.")
}

// rpcErrorWriter answers RPCs that do not get as far as connect's own code.
type rpcErrorWriter struct{ writer *connect.ErrorWriter }

func (e rpcErrorWriter) write(w http.ResponseWriter, r *http.Request, err *shared.Error) {
	if !e.writer.IsSupported(r) {
		writeError(w, err)
		return
	}
	_ = e.writer.Write(w, r, connectError(err, isGRPC(r))) // fails only if the client has left
}

func isGRPC(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	return strings.HasPrefix(contentType, "application/grpc") && !strings.HasPrefix(contentType, "application/grpc-web")
}
