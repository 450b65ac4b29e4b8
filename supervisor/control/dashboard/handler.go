package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
)

// policy allows the page its own files and this server, and nothing else: no outside
// request, no inline script but the one that is known, no frame around it, and no
// markup made of text.
var policy = "default-src 'none'; script-src 'self' " + hashOf("theme.js") + "; style-src " + hashOf("style.css") +
	"; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// reads are the requests that every client may make of the control API, and orders those that need the token.
// Contents of cached values, the config and profiles are for the control socket.
var (
	reads  = []string{"/v1/status", "/v1/cache", "/v1/gateways", "/v1/gate/history"}
	follow = []string{"/v1/events", "/v1/logs"}
	orders = []string{api.VerbReload, api.VerbScale, api.VerbDrain, api.VerbStart}
)

// Access is the answer to GET /access: what the client may do.
type Access struct {
	Orders  bool `json:"orders"`  // there is a token
	Granted bool `json:"granted"` // the request has it
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, f := range files() {
		mux.Handle("GET "+f.path, f)
	}
	for _, path := range reads {
		mux.Handle("GET "+path, s.api)
	}
	for _, path := range follow {
		mux.HandleFunc("GET "+path, s.stream)
	}
	for _, verb := range orders {
		mux.HandleFunc("POST /v1/apps/{app}/"+verb, s.order)
	}
	mux.HandleFunc("GET /access", s.access)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		control.Problem(w, api.Refuse(http.StatusNotFound, "the dashboard has no %s %s", r.Method, r.URL.Path))
	})
	return s.guard(mux)
}

// guard is around every request: who it is from, and what the answer may be used for.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.options.Version != "" {
			h.Set("Server", "tine/"+s.options.Version)
		}
		switch {
		case !s.knows(r):
			s.refused(r, "a Host that is not a name of the dashboard was refused")
			control.Problem(w, api.Refuse(http.StatusForbidden, "%q is not a name of this dashboard", r.Host))
		case !isPage(r) && !ownOrigin(r):
			s.refused(r, "a request of another origin to the dashboard was refused")
			control.Problem(w, api.Refuse(http.StatusForbidden, "another origin may not ask this dashboard"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isPage says whether the page itself is asked for, which a link elsewhere may lead to.
func isPage(r *http.Request) bool {
	return r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

func (s *Server) refused(r *http.Request, message string) {
	s.log.Warn().Str("host", clip(r.Host)).Str("origin", clip(r.Header.Get("Origin"))).
		Str("method", clip(r.Method)).Str("path", clip(r.URL.Path)).Str("remote", r.RemoteAddr).Msg(message)
}

// clip bounds what a stranger puts into the log.
func clip(text string) string { return text[:min(len(text), 128)] }

// stream lets a bounded number follow. It ends when the server is closed.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		control.Problem(w, api.Refuse(http.StatusServiceUnavailable, "%d streams are followed already", maxStreams))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.streaming, cancel)()
	s.api.ServeHTTP(w, r.WithContext(ctx))
}

func (s *Server) order(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.token == nil:
		control.Problem(w, api.Refuse(http.StatusForbidden, "this dashboard takes no orders: it has no token_file"))
		return
	case !s.token.granted(r):
		s.refused(r, "an order without the dashboard's token was refused")
		w.Header().Set("WWW-Authenticate", `Bearer realm="tine"`)
		control.Problem(w, api.Refuse(http.StatusUnauthorized, "an order needs the dashboard's token"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	r.Header.Del("Authorization") // the API does not need it
	s.api.ServeHTTP(w, r)
}

func (s *Server) access(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTimeout))
	_ = json.NewEncoder(w).Encode(Access{Orders: s.token != nil, Granted: s.token.granted(r)})
}
