package control

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/tinehq/tine/supervisor/control/api"
)

// failed answers with the problem that err is.
func (rq *request) failed(err error) {
	var refusal *api.Refusal
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, api.ErrCut):
		panic(http.ErrAbortHandler)
	case errors.Is(err, context.DeadlineExceeded):
		refusal = api.Refuse(http.StatusGatewayTimeout, "the master took too long: %v", err)
	case errors.Is(err, context.Canceled):
		refusal = api.Ending() // or the client is gone and does not read it
	default:
		refusal = api.Refuse(http.StatusInternalServerError, "%v", err)
		rq.s.log.Error().Str("path", rq.r.URL.Path).Err(err).Msg("a control request failed")
	}
	Problem(rq.w, refusal)
}

var methods = []string{"GET", "POST", "PUT", "DELETE"}

// notFound tells a wrong method from a wrong path, and what was probably meant.
func notFound(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range methods {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refusal := api.Refuse(http.StatusMethodNotAllowed, "%s does not go with %s", r.Method, r.URL.Path)
		refusal.Suggestion = allowed[0]
		Problem(w, refusal)
		return
	}
	refusal := api.Refuse(http.StatusNotFound, "there is no %s", r.URL.Path)
	refusal.Suggestion = nearestPath(r.URL.Path)
	Problem(w, refusal)
}

// nearestPath fills the names that the path has into the paths that there are.
func nearestPath(path string) string {
	parts := strings.Split(path, "/")
	var candidates []string
	for _, r := range routes() {
		template := strings.Split(r.path, "/")
		if r.path == "/v1"+path {
			return r.path
		}
		if len(template) == len(parts) {
			for i, part := range template {
				if strings.HasPrefix(part, "{") {
					template[i] = parts[i]
				}
			}
		}
		candidates = append(candidates, strings.Join(template, "/"))
	}
	best := api.Nearest(path, candidates)
	if strings.Contains(best, "{") {
		return ""
	}
	return best
}
