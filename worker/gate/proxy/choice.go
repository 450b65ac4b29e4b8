package proxy

import (
	"fmt"
	"net/http"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/queue"
)

// Choice is what Options.Route says of one request: which members may get it, and what it is picked by. One with neither Picker nor
// Handler has the request answered with 404.
type Choice struct {
	Picker *gate.Picker // picks the member
	Pool   string       // the type of the picker's members, for texts; it may be empty
	Queue  *queue.Queue // where the request waits while it cannot be placed: it is told of free places. nil: the request fails
	Key    string       // what the request is picked by, where the picker goes by keys; "": the client's IP address

	// Prefer and Draining are those of gate.Request: the member that the request goes to, if it can.
	Prefer   string
	Draining bool

	// Target is the path and query that the member gets; "": those of the request.
	Target string

	// Marker, unless it is nil, is told of the answer before it goes to the client.
	Marker Marker

	// Handler, unless it is nil, answers the request in place of a member.
	Handler http.Handler
}

// Marker changes the headers of an answer that goes to the client, as one that sets a cookie does. status is that of the answer, by
// the member that gives it, and prefer Choice.Prefer of its request. It is called by all requests at once.
type Marker interface {
	Mark(h http.Header, r *http.Request, status int, by *members.Member, prefer string)
}

// choose says where a request goes.
func (p *Proxy) choose(r *http.Request) Choice {
	if p.options.Route != nil {
		return p.options.Route(r)
	}
	c := Choice{Picker: p.options.Picker, Queue: p.options.Queue}
	if p.options.Key != nil {
		c.Key = p.options.Key(r)
	}
	return c
}

// mark has the choice's marker see the answer.
func (f *forwarding) mark(h http.Header, status int) {
	if f.choice.Marker != nil {
		f.choice.Marker.Mark(h, f.r, status, f.pick.Member(), f.choice.Prefer)
	}
}

// peekable is the request with a body that can be looked at by PeekBody. It is a copy, as the server of net/http goes by the body that it
// has given.
func (f *forwarding) peekable() *http.Request {
	if f.proxy.options.Route == nil || f.r.Body == nil || f.r.Body == http.NoBody {
		return f.r
	}
	asked := *f.r
	asked.Body = &f.body
	return &asked
}

// answerHere has the choice's handler answer in place of a member, or says that there is no route.
func (f *forwarding) answerHere(asked *http.Request) {
	if f.choice.Handler == nil {
		f.reject(http.StatusNotFound, "no route is for this host, path and method", fmt.Errorf("no route is for %s %.100s%.200s", f.r.Method, f.r.Host, f.r.URL.Path))
		return
	}
	w := &told{ResponseWriter: f.w}
	if f.decision != nil {
		asked = asked.WithContext(f.decision.With(asked.Context()))
	}
	f.choice.Handler.ServeHTTP(w, asked)
	if f.access.Status = w.status; w.status == 0 {
		f.access.Status = http.StatusOK // which the server sends for a handler that has written nothing
	}
}

// told notes the status of an answer.
type told struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status, and sends it.
func (w *told) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *told) Unwrap() http.ResponseWriter { return w.ResponseWriter }
