package route

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/queue"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// table has n members of each type.
func table(n int, types ...string) (t members.Table) {
	for _, kind := range types {
		for i := range n {
			t.Members = append(t.Members, members.Member{ID: fmt.Sprint(kind, "/", i), Type: kind, Address: "10.0.0.1:80", Weight: 1, State: members.Ready})
		}
	}
	return t
}

func routerOf(t testing.TB, p policy.Policy, table members.Table, change func(*Options)) (*Router, *Pools) {
	t.Helper()
	p.Version = policy.Version
	if faults := p.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	pools, err := NewPools(p, gate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pools.Update(table, 1)
	o := Options{Pools: pools}
	if change != nil {
		change(&o)
	}
	r, err := New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, pools
}

func ask(method, url string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(method, url, nil)
	for _, c := range change {
		c(r)
	}
	return r
}

// TestRoutes: the first route that is for a request counts, by host, path and method, and the member gets the path as it should.
func TestRoutes(t *testing.T) {
	t.Parallel()
	r, _ := routerOf(t, policy.Policy{Routes: []policy.Route{
		{Hosts: []string{"chat.example.com", "::1"}, To: "chat"},
		{Hosts: []string{"*.example.com"}, Path: "/api/", Strip: true, To: "api"},
		{Hosts: []string{"*.deep.example.com"}, To: "deep"},
		{Path: "/über uns", Strip: true, To: "about"},
		{Path: "/up", Methods: []string{"PUT", "POST"}, To: "up"},
		{Hosts: []string{"example.com"}, To: "web"},
		{Path: "/all", To: "all"},
	}}, table(1, "chat", "api", "deep", "about", "up", "web", "all"), nil)
	for _, c := range []struct{ method, url, to, target string }{
		{"GET", "http://chat.example.com/api/x", "chat", ""},
		{"GET", "http://CHAT.Example.COM.:8080/", "chat", ""},
		{"GET", "http://[::1]:80/", "chat", ""},
		{"GET", "http://[::1]/", "chat", ""},
		{"GET", "http://a.example.com/api/x%2Fy?q=1", "api", "/x%2Fy?q=1"},
		{"GET", "http://a.example.com/%61pi/x%2Fy?q=1", "api", "/x/y?q=1"},
		{"GET", "http://a.b.example.com/api", "api", "/"},
		{"GET", "http://a.b.example.com/api?", "api", "/?"},
		{"GET", "http://a.b.example.com/apis", "", ""},
		{"GET", "http://a.deep.example.com/apis", "deep", ""},
		{"GET", "http://a.deep.example.com/api/", "api", "/"},
		{"GET", "http://deep.example.com/apis", "", ""},
		{"GET", "http://xexample.com/api/", "", ""},
		{"GET", "http://other/%C3%BCber%20uns/a%20b", "about", "/a%20b"},
		{"POST", "http://example.com/up/x", "up", ""},
		{"GET", "http://example.com/up/x", "web", ""},
		{"GET", "http://example.com/", "web", ""},
		{"GET", "http://other/all", "all", ""},
		{"GET", "http://other/all/x", "all", ""},
		{"GET", "http://other/", "", ""},
		{"OPTIONS", "*", "web", ""},
	} {
		got := r.Route(ask(c.method, c.url))
		if got.Pool != c.to || got.Target != c.target || (got.Picker != nil) != (c.to != "") {
			t.Errorf("%s %s: to %q as %q, want %q as %q", c.method, c.url, got.Pool, got.Target, c.to, c.target)
		}
	}
}

// TestManyHosts: of 5,000 virtual hosts each has its route.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	var routes []policy.Route
	for i := range 5000 {
		routes = append(routes, policy.Route{Hosts: []string{fmt.Sprint("h", i, ".example.com")}, To: fmt.Sprint("t", i%7)})
	}
	r, _ := routerOf(t, policy.Policy{Routes: routes}, members.Table{}, nil)
	for i := range 5000 {
		if got := r.Route(ask("GET", fmt.Sprint("http://h", i, ".example.com/"))); got.Pool != fmt.Sprint("t", i%7) {
			t.Fatalf("host %d goes to %q", i, got.Pool)
		}
	}
}

// TestKeys: the key of a request, from wherever it is, and none where the request lacks it.
func TestKeys(t *testing.T) {
	t.Parallel()
	r := func(method, body string) *http.Request {
		q := httptest.NewRequest(method, "http://Example.com:80/rooms/r%201/x?uid=1&a%20b=c+d&uid=2&e", strings.NewReader(body))
		q.Header.Set("X-User", "bob")
		q.Header.Add("Cookie", `a=1; session="s1"`)
		q.Header.Add("Cookie", `b=2;session=s2`)
		return q
	}
	for _, c := range []struct{ key, body, want string }{
		{"path", "", "/rooms/r 1/x"}, {"host", "", "example.com"}, {"header:x-user", "", "bob"}, {"header:none", "", ""},
		{"cookie:session", "", "s1"}, {"cookie:b", "", "2"}, {"cookie:c", "", ""},
		{"query:uid", "", "1"}, {"query:a b", "", "c d"}, {"query:e", "", ""}, {"query:f", "", ""},
		{"segment:1", "", "rooms"}, {"segment:2", "", "r 1"}, {"segment:4", "", ""},
		{"json:uid", `{"uid":"u"}`, "u"}, {"json:uid", `{"uid":12345678901234567890}`, "12345678901234567890"},
		{"json:user.id", `{"user":{"id":true}}`, "true"}, {"json:user", `{"user":{"id":1}}`, ""}, {"json:uid", `{"uid":null}`, ""},
		{"json:uid", `[1]`, ""}, {"json:uid", "", ""}, {"json:uid", `{"uid":"\xff`, ""},
		{"json:uid", `{"uid":"u","pad":"` + strings.Repeat("x", policy.MostKeyBody) + `"}`, ""},
	} {
		key, err := KeyOf(c.key)
		if err != nil {
			t.Fatal(err)
		}
		q := r("POST", c.body)
		if got := key(q); got != c.want {
			t.Errorf("%s of %.40q is %q, want %q", c.key, c.body, got, c.want)
		}
		if b, err := io.ReadAll(q.Body); err != nil || string(b) != c.body {
			t.Errorf("%s: the body has %d of %d bytes, %v", c.key, len(b), len(c.body), err)
		}
	}
	for _, text := range []string{"uid", "segment:0", "segment:x", "json:", "ip:1"} {
		if _, err := KeyOf(text); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
	if key, err := KeyOf("ip"); key != nil || err != nil {
		t.Errorf("%v", err)
	}
}

// TestPools: each type has its picker, in its way; the picker of all shares its counters with them; types come and go with the table.
func TestPools(t *testing.T) {
	t.Parallel()
	p := policy.Policy{Pick: gate.Least, Routes: []policy.Route{{Path: "/chat", To: "chat", Pick: gate.CRC32Mod, Key: "query:rid"}, {To: All}}}
	two := table(2, "chat", "web")
	for i := range two.Members {
		two.Members[i].MaxInFlight = 1
	}
	_, pools := routerOf(t, p, two, nil)
	one, err := pools.Of("web").Pick(gate.Request{Now: 1, Prefer: "web/1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := pools.Of(All).Pick(gate.Request{Now: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pools.Of(All).Pick(gate.Request{Now: 1}); err != gate.ErrFull {
		t.Errorf("a fifth request has a place: %v", err)
	}
	one.Release()
	if k, err := pools.Of(All).Pick(gate.Request{Now: 1}); err != nil || k.Member().ID != "web/1" {
		t.Errorf("the place that was given up is not there: %v", err)
	}
	if pools.Of("game") != nil {
		t.Error("a type that no member is of has a picker")
	}
	pools.Update(table(1, "game"), 2)
	if pools.Of("web") != nil || pools.Of("game") == nil || pools.Of("chat") == nil || len(pools.counters) != 1 {
		t.Error("the types are not those of the table and the routes")
	}
	if _, err := pools.Of("chat").Pick(gate.Request{Now: 2}); err != gate.ErrNoMember {
		t.Errorf("%v", err)
	}
	pools.Refresh(3)
	kinds := 0
	pools.Each(func(string, *gate.Picker, *queue.Queue) { kinds++ })
	if kinds != 3 {
		t.Errorf("%d pickers", kinds)
	}
}

// TestFuncAndReplay: a program's own route is asked first, and a member may have a request sent on to another type.
func TestFuncAndReplay(t *testing.T) {
	t.Parallel()
	r, _ := routerOf(t, policy.Policy{}, table(1, "chat", "web"), func(o *Options) {
		o.Func = func(r *http.Request) (Target, bool) {
			return Target{"chat", r.Header.Get("Room")}, r.Header.Get("Room") != ""
		}
		o.Stick = func(_ *http.Request, c proxy.Choice) proxy.Choice { c.Prefer = "web/0"; return c }
	})
	c := r.Route(ask("GET", "/", func(r *http.Request) { r.Header.Set("Room", "7") }))
	if c.Pool != "chat" || c.Key != "7" || c.Picker == nil {
		t.Errorf("%+v", c)
	}
	c = r.Route(ask("GET", "/"))
	if c.Pool != All || c.Picker == nil || c.Prefer != "web/0" {
		t.Errorf("%+v", c)
	}
	if to, ok := r.Replay(nil, c, proxy.Replay{Type: "chat", Key: "k"}); !ok || to.Pool != "chat" || to.Key != "k" || to.Prefer != "" || to.Picker == c.Picker {
		t.Errorf("%+v", to)
	}
	if _, ok := r.Replay(nil, c, proxy.Replay{Type: "game"}); ok {
		t.Error("there are members of a type that is not there")
	}
}

type deliverer func(proxy.Choice)

func (d deliverer) Deliver(_ http.ResponseWriter, _ *http.Request, c proxy.Choice) { d(c) }

// TestDeliver: a route may have its own way of delivering, with the choice that was made.
func TestDeliver(t *testing.T) {
	t.Parallel()
	var got proxy.Choice
	p := policy.Policy{Routes: []policy.Route{{Path: "/v1/pick", Deliver: policy.DeliverLookup, To: "chat", Key: "query:uid"}, {}}}
	all := table(3, "chat")
	all.Members[1].Frontend, all.Members[1].ClientAddress = true, "h:1"
	all.Members[2].Frontend = true
	r, pools := routerOf(t, p, all, func(o *Options) {
		o.Deliver = map[string]Deliverer{policy.DeliverLookup: deliverer(func(c proxy.Choice) { got = c })}
	})
	r.Route(ask("GET", "/v1/pick?uid=5")).Handler.ServeHTTP(nil, nil)
	if got.Pool != "chat" || got.Key != "5" || got.Picker == nil || got.Picker != pools.OfClients("chat") || pools.OfClients("web") != nil {
		t.Errorf("%+v", got)
	}
	for range 5 { // only that with an address for clients
		if k, err := got.Picker.Pick(gate.Request{Now: 1}); err != nil || k.Member().ID != "chat/1" {
			t.Errorf("%v", err)
		}
	}
	if c := r.Route(ask("GET", "/")); c.Handler != nil {
		t.Error("a route that is passed on has a handler")
	}
	if _, err := New(p, Options{}); err == nil || !strings.Contains(err.Error(), "routes[0]: nothing delivers by lookup") {
		t.Error(err)
	}
}

// TestLookupPath: a gateway that answers lookups does so at one path, unless a route has another.
func TestLookupPath(t *testing.T) {
	t.Parallel()
	for _, p := range []policy.Policy{{Deliver: policy.DeliverLookup}, {Routes: []policy.Route{{Deliver: policy.DeliverLookup}}}} {
		r, _ := routerOf(t, p, table(1, "chat"), func(o *Options) {
			o.Deliver = map[string]Deliverer{policy.DeliverLookup: deliverer(func(proxy.Choice) {})}
		})
		if r.Route(ask("GET", LookupPath)).Handler == nil || r.Route(ask("GET", "/")).Handler != nil {
			t.Errorf("%+v", p)
		}
	}
}

// TestRouteAllocates: a route by host, path and header allocates nothing.
func TestRouteAllocates(t *testing.T) {
	r, _ := routerOf(t, policy.Policy{Routes: []policy.Route{{Hosts: []string{"*.example.com"}, Path: "/api", Key: "cookie:a"}}}, table(3, "web"), nil)
	q := ask("GET", "http://a.example.com:80/api/x", func(r *http.Request) { r.Header.Set("Cookie", "b=1; a=2") })
	if n := testing.AllocsPerRun(100, func() {
		if c := r.Route(q); c.Key != "2" {
			t.Error(c.Key)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRoute is the time of a route by host, path and cookie, of 1,000.
func BenchmarkRoute(b *testing.B) {
	var routes []policy.Route
	for i := range 1000 {
		routes = append(routes, policy.Route{Hosts: []string{fmt.Sprint("h", i, ".example.com")}, Path: "/api", Key: "cookie:a"})
	}
	r, _ := routerOf(b, policy.Policy{Routes: routes}, table(3, "web"), nil)
	q := ask("GET", "http://h999.example.com/api/x", func(r *http.Request) { r.Header.Set("Cookie", "b=1; a=2") })
	for b.Loop() {
		r.Route(q)
	}
}

// FuzzRoute: no host, path or query panics, and what a member gets is a path.
func FuzzRoute(f *testing.F) {
	f.Add("a.example.com", "/api/x", "a=b")
	f.Add("[::1", "/%2F..", "%")
	pools, err := NewPools(policy.Policy{}, gate.Options{})
	if err != nil {
		f.Fatal(err)
	}
	r, err := New(policy.Policy{Routes: []policy.Route{{Hosts: []string{"*.example.com"}, Path: "/api", Strip: true, Key: "query:a"}, {Path: "/ü", Strip: true}}}, Options{Pools: pools})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host, path, query string) {
		q := ask("GET", "/")
		q.Host, q.URL.Path, q.URL.RawQuery = host, path, query
		if c := r.Route(q); c.Target != "" && c.Target[0] != '/' {
			t.Errorf("%q", c.Target)
		}
	})
}
