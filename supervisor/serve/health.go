package serve

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/fleet/reports"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// healthTime bounds the wait of a probe for the end of a turn of the loop: the usual patience of a caller
// (timeoutSeconds of a Kubernetes probe) is one second.
const healthTime = 900 * time.Millisecond

// serveHealth begins to serve GET /healthz, GET /readyz and GET /v1/load, and nothing else, where the
// config has an address for it. load answers the last of them.
//
//	/healthz  200  the loop of the master goes on: it runs, starts or stops
//	          503  a turn of it takes longer than healthTime
//	/readyz   200  every app that should serve has a worker that is ready, none is
//	               being started for the first time, and clients would reach each address
//	          503  otherwise, and from the first moment of a stop on
//
// The body of /readyz has a line for each app that says why.
func (s *Server) serveHealth(load http.Handler) (close func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.fresh(r.Context()); err != nil {
			answerProbe(w, false, "the master does not answer: "+err.Error())
			return
		}
		answerProbe(w, true, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		m, err := s.fresh(r.Context())
		if err != nil {
			answerProbe(w, false, "the master does not answer: "+err.Error())
			return
		}
		ok, lines := judge(m)
		answerProbe(w, ok, lines...)
	})
	mux.Handle("GET "+reports.Path, load)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		control.Problem(w, api.Refuse(http.StatusNotFound, "only GET /healthz and GET /readyz, and GET /v1/load, are here, not %s %s", r.Method, r.URL.Path))
	})
	return s.serveTCP("health", s.Health.Listen, mux)
}

func answerProbe(w http.ResponseWriter, ok bool, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// An error: the client has gone.
	_, _ = w.Write([]byte(strings.Join(lines, "\n") + "\n"))
}

// fresh is the snapshot of a loop that goes on. It fails if a turn of the loop takes longer than healthTime.
func (s *Server) fresh(ctx context.Context) (*snapshot.Master, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTime, fmt.Errorf("not within %s", healthTime))
	defer cancel()
	m, err := s.master.Snapshot(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m, err
}

// judge says whether new connections are welcome, and why, in a line for each app.
func judge(m *snapshot.Master) (ok bool, lines []string) {
	ok = !m.Stopping
	if m.Stopping {
		lines = append(lines, "tine is stopping")
	}
	for _, a := range m.Listed {
		serves, text := judgeApp(a, m.Stopping)
		ok = ok && serves
		lines = append(lines, a.Name+": "+text)
	}
	return ok, lines
}

// judgeApp says the same of one app. An app that is not there to serve is no obstacle.
func judgeApp(a *snapshot.App, stopping bool) (ok bool, text string) {
	workers := fmt.Sprintf("%d of %d workers are ready", a.Pool.Ready, a.Pool.Wanted)
	switch {
	case a.Goes && !stopping:
		return true, "stopping, it is no longer in the config"
	case a.OneShot:
		return true, "a one-shot app, " + a.State
	}
	switch a.State {
	case api.AppWaiting:
		return false, a.Trouble
	case api.AppGaveUp:
		return false, "failed: " + a.Trouble
	case api.AppStopping:
		return false, "stopping, " + workers
	case api.AppStopped, api.AppFinished:
		return !a.Listens, a.State
	}
	unreachable := a.UnreachableText()
	switch {
	case a.Pool.Wanted == 0:
		return true, "scaled to nothing"
	case !a.EverReady:
		return false, "starting, " + workers
	case a.Pool.Ready == 0:
		return false, "no worker is ready, of " + fmt.Sprint(a.Pool.Wanted)
	case unreachable != "":
		return false, unreachable + "; " + workers
	}
	return true, "ready, " + workers
}
