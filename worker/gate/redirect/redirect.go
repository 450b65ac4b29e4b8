package redirect

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/history"
	"github.com/tinehq/tine/worker/gate/pending"
	"github.com/tinehq/tine/worker/gate/proxy"
)

// Options of a Redirect.
type Options struct {
	// Base is the URL below which each member is, by its ID; "": clients go to the client address of the member.
	Base     string
	KeepPath bool // the path and query of the request are added

	// Pending holds the picks of clients that have not arrived. It is needed.
	Pending *pending.Ledger

	// Secure reports whether a client has come by TLS. nil: where the request has.
	Secure func(*http.Request) bool
}

// Redirect answers requests by sending the client to a member. It may be used by all goroutines at once.
type Redirect struct {
	options Options
	base    *url.URL // nil: client addresses
}

// New makes a Redirect.
func New(o Options) (*Redirect, error) {
	d := &Redirect{options: o}
	if o.Secure == nil {
		d.options.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if o.Base != "" {
		var err error
		if d.base, err = url.Parse(o.Base); err != nil {
			return nil, fmt.Errorf("cannot redirect to %q: %w", o.Base, err)
		}
	}
	return d, nil
}

// wait is after how many seconds a client that found no room is to ask again.
const wait = "2"

// Deliver answers one request: see package route.
func (d *Redirect) Deliver(w http.ResponseWriter, r *http.Request, c proxy.Choice) {
	w.Header().Set("Cache-Control", "no-store")
	if c.Picker == nil {
		refuse(w, r, gate.ErrNoMember)
		return
	}
	now, decision := ipc.Monotonic(), history.Of(r.Context())
	k, err := c.Picker.Pick(gate.Request{Key: c.Key, Now: now, Seen: decision.Picking(now)})
	if err != nil {
		refuse(w, r, err)
		return
	}
	decision.Picked(k.Member().ID)
	decision.Told()
	d.options.Pending.Add(k, ipc.Monotonic())
	to := d.location(r, k.Member())
	w.Header().Add("Vary", "Sec-Fetch-Dest")
	if slices.Contains([]string{"iframe", "frame", "embed", "object"}, r.Header.Get("Sec-Fetch-Dest")) {
		page(w, http.StatusOK, "Going to the server", "", fmt.Sprintf(`<p><a id="to" target="_top" href="%s">Go on</a></p>
<script>window.open(document.getElementById("to").href, "_top")</script>`, html.EscapeString(to)))
		return
	}
	http.Redirect(w, r, to, http.StatusTemporaryRedirect)
}

// location is where a client finds a member.
func (d *Redirect) location(r *http.Request, m *members.Member) string {
	u := url.URL{Scheme: "http", Host: m.ClientAddress}
	switch {
	case d.base != nil:
		u = *d.base.JoinPath(url.PathEscape(m.ID))
	case d.options.Secure(r):
		u.Scheme = "https"
	}
	to := strings.TrimSuffix(u.String(), "/")
	switch {
	case d.options.KeepPath:
		return to + r.URL.RequestURI()
	case d.base == nil:
		return to + "/"
	}
	return to
}

// refuse answers where no member can be given.
func refuse(w http.ResponseWriter, r *http.Request, why error) {
	w.Header().Set("Retry-After", wait)
	if !strings.Contains(r.Header.Get("Accept"), "text/html") || r.Method != http.MethodGet {
		http.Error(w, "503 Service Unavailable: "+why.Error(), http.StatusServiceUnavailable)
		return
	}
	page(w, http.StatusServiceUnavailable, "All servers are in use", `<meta http-equiv="refresh" content="`+wait+`">`,
		"<p>All servers are in use. This page goes on by itself as soon as one has room.</p>")
}

func page(w http.ResponseWriter, status int, title, head, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>%s</head><body>\n%s\n</body></html>\n", title, head, body)
}
