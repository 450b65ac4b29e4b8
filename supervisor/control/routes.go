package control

import (
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
)

// route is one thing that can be asked. The table of them is what the requests are
// checked by and what the OpenAPI document is made of.
type route struct {
	method, path string
	summary      string
	params       []param
	headers      []param // that are looked at
	body         any     // an example of its type: Order with fields, or []byte; nil: none
	fields       []string
	needs        []string // of the fields
	answers      []answer
	serve        func(*request) error // nil: mounted by others
}

// answer is what a route may answer, beside problems.
type answer struct {
	status      int
	contentType string
	doc         any // an example of its type; of a stream: of one item
}

// request is one that has passed the checks of its route.
type request struct {
	s     *Server
	w     *answerWriter
	r     *http.Request
	route *route
	query query
}

func ok(contentType string, doc any) answer { return answer{http.StatusOK, contentType, doc} }

var (
	paramApp    = param{name: "app", kind: paramText, help: "only this app"}
	paramSlot   = param{name: "slot", kind: paramInt, help: "only this slot"}
	paramAfter  = param{name: "after", kind: paramID, help: "only what has a greater id: to resume"}
	paramLast   = param{name: "last", kind: paramInt, min: -1, help: "at most the newest so many of those that are kept; 0: all, -1: none"}
	paramFollow = param{name: "follow", kind: paramBool, help: "go on with what comes, until the reader goes away"}
	paramAccept = param{name: "Accept", kind: paramText, help: "which of the answers is wanted"}
)

// routes returns the table.
func routes() []route {
	all := []route{
		{method: "GET", path: "/v1/status", summary: "What the master runs", answers: []answer{ok(typeJSON, api.Status{})}, serve: getStatus},
		{method: "GET", path: "/v1/apps", summary: "All apps", answers: []answer{ok(typeJSON, []api.App{})}, serve: getApps},
		{method: "GET", path: "/v1/apps/{app}", summary: "One app", answers: []answer{ok(typeJSON, api.App{})}, serve: getApp},
		{method: "GET", path: "/v1/apps/{app}/workers", summary: "The workers of one app that have a slot", answers: []answer{ok(typeJSON, []api.Worker{})}, serve: getWorkers},
	}
	all = append(all,
		order(api.VerbStart, "Start an app that is stopped, has given up or has finished, or a slot that was drained", nil, "slot", "reason"),
		order(api.VerbStop, "Stop an app, which stays listed", nil, "now", "reason"),
		order(api.VerbRestart, "Stop and start an app or one slot, with a gap", nil, "slot", "now", "reason"),
		order(api.VerbRollback, "Replace all workers of an app by those of the release before, one slot at a time", nil, "if_running", "reason"),
		order(api.VerbReload, "Replace all workers of an app, one slot at a time", nil, "if_running", "reason"),
		order(api.VerbScale, "Change the number of an app's workers", []string{"n"}, "n", "by", "reason"),
		order(api.VerbDrain, "Take the worker out of one slot", []string{"slot"}, "slot", "reason"),
		order(api.VerbPause, "Have gateways hold the requests to an app, for a time or until a resume", nil, "for_ms", "reason"),
		order(api.VerbResume, "Have gateways pass the requests to an app on again", nil, "reason"),
		order(api.VerbSignal, "Send a signal to an app's workers, or to that of one slot", []string{"signal"}, "signal", "slot", "reason"),
	)
	stop := order(api.VerbShutdown, "End tine itself", nil, "now", "reason")
	stop.path = "/v1/stop"
	upgrade := order(api.VerbUpgrade, "Replace tine itself by another binary, with all workers as they are. The answer comes when that is in charge; after an error all is as it was", nil, "binary", "reason")
	upgrade.path = "/v1/upgrade"
	return append(all, stop, upgrade,
		route{method: "GET", path: "/v1/events", summary: "What happened, and what happens: a list, or with follow, or where text/event-stream is accepted, a stream",
			params:  []param{paramAfter, paramLast, paramFollow},
			headers: []param{paramAccept, {name: "Last-Event-ID", kind: paramID, help: "as after"}},
			answers: []answer{ok(typeJSON, []api.Event{}), ok(typeEvents, api.Event{})}, serve: getEvents},
		route{method: "GET", path: "/v1/logs", summary: "Lines of output, oldest first, one JSON object a line",
			params: []param{paramApp, paramSlot,
				{name: "stream", kind: paramText, enum: []string{api.StreamStdout, api.StreamStderr, api.StreamMaster, api.StreamHook}, help: "only this stream"},
				paramLast,
				{name: "since", kind: paramTime, help: "only what is not older: a time, or how long ago, such as 10m"},
				{name: "grep", kind: paramText, help: "only lines whose text fits this regular expression (RE2)"},
				paramFollow, paramAfter},
			answers: []answer{ok(typeLines, api.LogLine{})}, serve: getLogs},
		route{method: "GET", path: "/v1/cache", summary: "All cached values, without their contents", answers: []answer{ok(typeJSON, api.CacheStatus{})}, serve: getCache},
		route{method: "GET", path: "/v1/cache/{key...}", summary: "The content of one cached value", answers: []answer{ok(typeBytes, []byte{})}, serve: getValue},
		route{method: "PUT", path: "/v1/cache/{key...}", summary: "Change a cached value for all workers", body: []byte{}, answers: []answer{ok(typeJSON, valueSet{})}, serve: putValue},
		route{method: "DELETE", path: "/v1/cache/{key...}", summary: "Take a cached value away from all workers", answers: []answer{{status: http.StatusNoContent}}, serve: deleteValue},
		route{method: "GET", path: "/v1/gate/history", summary: "How gateways delivered their last requests: candidates, statistics, what was picked and why, tries",
			params: []param{paramApp,
				{name: "id", kind: paramText, help: "only the request with this X-Request-Id"},
				{name: "last", kind: paramInt, min: 1, help: "at most the newest so many, up to 1000; 20 unless given"}},
			answers: []answer{ok(typeJSON, api.Decisions{})}, serve: getDecisions},
		route{method: "GET", path: "/v1/gateways", summary: "What gateways know of their members, pools and requests: state and why, in flight, picks, queues",
			params: []param{paramApp}, answers: []answer{ok(typeJSON, api.Gateways{})}, serve: getGateways},
		route{method: "PUT", path: "/v1/gateways/{app}/drained/{member...}", summary: "Have a gateway send no more requests to a member",
			params: []param{{name: "reason", kind: paramText, help: "why, in words"}}, answers: []answer{{status: http.StatusNoContent}}, serve: drainMember},
		route{method: "DELETE", path: "/v1/gateways/{app}/drained/{member...}", summary: "Have a gateway send requests to a member again",
			params: []param{{name: "reason", kind: paramText, help: "why, in words"}}, answers: []answer{{status: http.StatusNoContent}}, serve: drainMember},
		route{method: "GET", path: "/v1/config", summary: "The effective config", answers: []answer{ok(typeYAML, "")}, serve: getConfig},
		route{method: "POST", path: "/v1/config/apply", summary: "Read the config again, and apply it unless dry",
			params:  []param{{name: "dry", kind: paramBool, help: "only say what would change"}},
			answers: []answer{ok(typeJSON, api.ApplyResult{})}, serve: applyConfig},
		route{method: "GET", path: "/v1/doctor", summary: "What this machine can do for Tine", answers: []answer{ok(typeJSON, map[string]any{})}, serve: getDoctor},
		route{method: "GET", path: "/v1/metrics", summary: "Metrics in Prometheus's text format", answers: []answer{ok(typeText, "")}},
		route{method: "GET", path: "/v1/load", summary: "How loaded this host and its workers are, for the gateway of another Tine", answers: []answer{ok(typeJSON, map[string]any{})}},
		route{method: "GET", path: "/v1/profile", summary: "A profile of an app's workers, merged into one",
			params: []param{paramApp,
				{name: "kind", kind: paramText, help: "such as cpu, heap, goroutine, trace"},
				{name: "seconds", kind: paramInt, min: 1, help: "of a profile that takes a while"},
				paramSlot},
			answers: []answer{ok(typeBytes, []byte{})}},
		route{method: "GET", path: "/v1/openapi.json", summary: "This document", answers: []answer{ok(typeJSON, map[string]any{})}, serve: getOpenAPI},
		route{method: "GET", path: "/healthz", summary: "Whether every app that should run has a worker that is ready; else 503", answers: []answer{ok(typeText, "")}, serve: getHealth},
	)
}

// order is the route of a verb.
func order(verb, summary string, needs []string, fields ...string) route {
	return route{
		method: "POST", path: "/v1/apps/{app}/" + verb, summary: summary,
		headers: []param{paramAccept},
		body:    api.Order{}, fields: fields, needs: needs,
		answers: []answer{
			ok(typeJSON, api.Progress{}), ok(typeLines, api.Progress{}),
			{http.StatusInternalServerError, typeJSON, api.Progress{}}, // it was begun and came to nothing
		},
		serve: func(rq *request) error { return postOrder(rq, verb) },
	}
}

// buildMux puts the table, what is mounted and the answer to all else together.
func (s *Server) buildMux() *http.ServeMux {
	mux := http.NewServeMux()
	mounted := map[string]bool{}
	for _, r := range routes() {
		pattern := r.method + " " + r.path
		if h, ok := s.mounted[pattern]; ok {
			mounted[pattern] = true
			mux.Handle(pattern, h)
			continue
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { s.serveRoute(&r, w.(*answerWriter), req) })
	}
	for pattern, h := range s.mounted {
		if !mounted[pattern] {
			mux.Handle(pattern, h)
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) { notFound(mux, w, req) })
	return mux
}

func (s *Server) serveRoute(r *route, w *answerWriter, req *http.Request) {
	rq := &request{s: s, w: w, r: req, route: r}
	var err error
	if r.body == nil {
		err = rq.noBody()
	}
	if err == nil {
		rq.query, err = parseQuery(r.params, req.URL.RawQuery, time.Now())
	}
	if err == nil {
		if r.serve == nil {
			err = api.Refuse(http.StatusNotImplemented, "this master does not have it")
		} else {
			err = r.serve(rq)
		}
	}
	if err != nil {
		rq.failed(err)
	}
}
