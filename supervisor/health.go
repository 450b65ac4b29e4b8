package supervisor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
)

// healthTime is how long the loop has to answer a probe: the usual patience of who asks
// (timeoutSeconds of a Kubernetes probe) is one second.
const healthTime = 900 * time.Millisecond

// serveHealth begins to serve GET /healthz and GET /readyz, and nothing else, where the
// config has an address for it.
//
//	/healthz  200  the loop of the master answers: it runs, starts or stops
//	          503  it does not, within healthTime
//	/readyz   200  every app that should serve has a worker that is ready, none is
//	               being started for the first time, and clients would reach each address
//	          503  otherwise, and from the first moment of a stop on
//
// The body of /readyz has a line for each app that says why.
func (s *Supervisor) serveHealth(c config.Health) (close func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.readiness(r.Context()); err != nil {
			answerProbe(w, false, "the master does not answer: "+err.Error())
			return
		}
		answerProbe(w, true, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		is, err := s.readiness(r.Context())
		if err != nil {
			answerProbe(w, false, "the master does not answer: "+err.Error())
			return
		}
		ok, lines := is.judge()
		answerProbe(w, ok, lines...)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		control.Problem(w, control.Refuse(http.StatusNotFound, "only GET /healthz and GET /readyz are here, not %s %s", r.Method, r.URL.Path))
	})
	return s.serveTCP("health", c.Listen, mux)
}

func answerProbe(w http.ResponseWriter, ok bool, lines ...string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// An error: who asked has gone.
	_, _ = w.Write([]byte(strings.Join(lines, "\n") + "\n"))
}

// readiness is what the loop knows of who can serve.
type readiness struct {
	stopping bool
	apps     []appReadiness
}

// appReadiness is one app's part of it.
type appReadiness struct {
	name, state    string // state: of package control
	desired, ready int
	everReady      bool
	oneShot        bool
	listens        bool
	unreachable    string // why clients do not reach an address; empty: they do
	leaves         bool   // for good: a new config does not have it
	why            string
}

type getReadiness struct{ answer chan<- readiness }

func (c getReadiness) apply(l *loop) {
	is := readiness{stopping: l.state.Stopping()}
	for _, a := range l.allListed() {
		st := a.pool.Status()
		is.apps = append(is.apps, appReadiness{
			name: a.name, state: a.state(), desired: st.Wanted, ready: st.Ready, everReady: a.run.EverReady(),
			oneShot: a.config.OneShot, listens: len(a.config.Listen) > 0, unreachable: a.unreachable(),
			leaves: a.leaves() && !a.halted() && !l.state.Stopping(), why: a.trouble(),
		})
	}
	c.answer <- is
}

// readiness asks the loop. It fails when that takes longer than healthTime.
func (s *Supervisor) readiness(ctx context.Context) (readiness, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTime, fmt.Errorf("not within %s", healthTime))
	defer cancel()
	is, err := ask(ctx, s, func(answer chan<- readiness) message { return getReadiness{answer} })
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return is, err
}

// judge says whether new connections are welcome, and why, in a line for each app.
func (r readiness) judge() (ok bool, lines []string) {
	ok = !r.stopping
	if r.stopping {
		lines = append(lines, "tine is stopping")
	}
	for _, a := range r.apps {
		serves, text := a.judge()
		ok = ok && serves
		lines = append(lines, a.name+": "+text)
	}
	return ok, lines
}

// judge says the same of one app. An app that is not there to serve is no obstacle.
func (a appReadiness) judge() (ok bool, text string) {
	workers := fmt.Sprintf("%d of %d workers are ready", a.ready, a.desired)
	switch {
	case a.leaves:
		return true, "stopping, it is no longer in the config"
	case a.oneShot:
		return true, "a one-shot app, " + a.state
	}
	switch a.state {
	case control.AppWaiting:
		return false, a.why
	case control.AppGaveUp:
		return false, "failed: " + a.why
	case control.AppStopping:
		return false, "stopping, " + workers
	case control.AppStopped, control.AppFinished:
		return !a.listens, a.state
	}
	switch {
	case a.desired == 0:
		return true, "scaled to nothing"
	case !a.everReady:
		return false, "starting, " + workers
	case a.ready == 0:
		return false, "no worker is ready, of " + fmt.Sprint(a.desired)
	case a.unreachable != "":
		return false, a.unreachable + "; " + workers
	}
	return true, "ready, " + workers
}
