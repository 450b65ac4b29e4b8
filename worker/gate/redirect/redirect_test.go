package redirect

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/pending"
	"github.com/tinehq/tine/worker/gate/proxy"
)

// apps is a table of n apps, each with so many users of at most two.
func apps(sequence uint64, users ...float64) (t members.Table) {
	for i, n := range users {
		t.Members = append(t.Members, members.Member{
			ID: fmt.Sprint("app_", i+1), Address: "127.0.0.1:1", ClientAddress: fmt.Sprint("h", i+1, ":3838"), Frontend: true, Weight: 1, MaxInFlight: 2,
			State: members.Ready, Report: &members.Report{Epoch: 1, Sequence: sequence, Stats: map[members.Stat]members.Value{members.Connections: n}},
		})
	}
	return t
}

type site struct {
	*Redirect
	picker *gate.Picker
}

func newSite(t *testing.T, o Options, table members.Table) *site {
	t.Helper()
	p, err := gate.New(gate.Options{Way: gate.Least, Stays: members.Connections})
	if err != nil {
		t.Fatal(err)
	}
	o.Pending = pending.New(members.Connections)
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{d, p}
	s.update(table)
	return s
}

func (s *site) update(t members.Table) {
	s.picker.Update(t, ipc.Monotonic())
	s.options.Pending.Update(t, ipc.Monotonic())
}

func (s *site) get(url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if strings.HasPrefix(url, "https:") {
		r.TLS = &tls.ConnectionState{}
	}
	w := httptest.NewRecorder()
	s.Deliver(w, r, proxy.Choice{Picker: s.picker})
	return w
}

// TestLocation: where clients are sent, by address or base, with the path or without.
func TestLocation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o         Options
		url, want string
	}{
		{Options{}, "http://gate/x?y=1", "http://h1:3838/"},
		{Options{}, "https://gate/x?y=1", "https://h1:3838/"},
		{Options{KeepPath: true}, "http://gate/a%2Fb?y=1", "http://h1:3838/a%2Fb?y=1"},
		{Options{KeepPath: true}, "http://gate//evil.example/?", "http://h1:3838//evil.example/?"},
		{Options{Base: "http://192.168.150.36/"}, "http://gate/x", "http://192.168.150.36/app_1"},
		{Options{Base: "https://a.example/apps"}, "http://gate/x", "https://a.example/apps/app_1"},
		{Options{Base: "http://192.168.150.36/", KeepPath: true}, "http://gate/x/?y=1", "http://192.168.150.36/app_1/x/?y=1"},
	} {
		w := newSite(t, c.o, apps(1, 0)).get(c.url)
		if got := w.Header().Get("Location"); got != c.want || w.Code != 307 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%+v %s: %d to %q, want %q", c.o, c.url, w.Code, got, c.want)
		}
	}
}

// TestFramed: a client in a frame gets a page that has the window go there once, and a link.
func TestFramed(t *testing.T) {
	t.Parallel()
	table := apps(1, 0)
	table.Members[0].ID = `a"><script>`
	w := newSite(t, Options{Base: "http://b/", KeepPath: true}, table).get(`http://gate/?a=1&b="`, "Sec-Fetch-Dest", "iframe")
	text := w.Body.String()
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "text/html; charset=utf-8" ||
		strings.Count(text, "window.open") != 1 || strings.Contains(text, "setInterval") ||
		!strings.Contains(text, `<a id="to" target="_top" href="http://b/a%22%3E%3Cscript%3E/?a=1&amp;b=&#34;">`) {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), text)
	}
}

// TestFewestUsers: a client goes to the app with the fewest users, those on their way included; where all are full it waits, a browser by
// a page that goes on by itself.
func TestFewestUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t, Options{Base: "http://b/"}, apps(1, 1, 0, 2))
	counts := map[string]int{}
	for range 3 {
		counts[s.get("/").Header().Get("Location")]++
	}
	if counts["http://b/app_2"] != 2 || counts["http://b/app_1"] != 1 {
		t.Errorf("%v", counts)
	}
	w := s.get("/", "Accept", "application/json")
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" || strings.Contains(w.Body.String(), "<") {
		t.Errorf("a program: %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = s.get("/", "Accept", "text/html,*/*")
	if w.Code != 503 || !strings.Contains(w.Body.String(), `http-equiv="refresh" content="2"`) || w.Header().Get("Retry-After") != "2" {
		t.Errorf("a browser: %d %v %s", w.Code, w.Header(), w.Body)
	}
	s.update(apps(2, 2, 2, 1)) // those on their way have come, and one has left
	if w = s.get("/", "Accept", "text/html"); w.Header().Get("Location") != "http://b/app_3" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	none := httptest.NewRecorder()
	s.Deliver(none, httptest.NewRequest(http.MethodGet, "/", nil), proxy.Choice{})
	if none.Code != 503 || !strings.Contains(none.Body.String(), "no member is ready") {
		t.Errorf("%d %s", none.Code, none.Body)
	}
}
