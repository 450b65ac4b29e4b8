package sticky

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/proxy"
	"github.com/tinehq/tine/worker/gate/route"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// user is a client that keeps its cookies, before a picker of the members a, b and c.
type user struct {
	*Sticky
	t       *testing.T
	pools   *route.Pools
	table   members.Table
	cookies map[string]string
	set     string // the last Set-Cookie
	moved   []string
	tls     bool
}

func newUser(t *testing.T, p policy.Sticky) *user {
	t.Helper()
	u := &user{t: t, cookies: map[string]string{}}
	var err error
	if u.pools, err = route.NewPools(policy.Policy{Pick: gate.RoundRobin}, gate.Options{}); err != nil {
		t.Fatal(err)
	}
	u.Sticky = New(Options{
		Policy: p, Gateway: "my gate", Standing: func(pool, id string) gate.Standing { return u.pools.Of(pool).Standing(id) },
		Moved: func(_ *http.Request, from, to string) { u.moved = append(u.moved, from+">"+to) },
	})
	for _, id := range []string{"a", "b", "c"} {
		u.table.Members = append(u.table.Members, members.Member{ID: id, Type: "web", Address: "10.0.0.1:80", Weight: 1, MaxInFlight: 1, State: members.Ready})
	}
	u.update(nil)
	return u
}

// update changes the table.
func (u *user) update(change func(id string, m *members.Member)) {
	table := members.Table{Members: append([]members.Member(nil), u.table.Members...)}
	for i := range table.Members {
		if change != nil {
			change(table.Members[i].ID, &table.Members[i])
		}
	}
	u.pools.Update(table, 1)
	u.Sticky.Update(table)
}

// get makes a request, and returns the member that has answered it.
func (u *user) get(path string, status int, tried ...gate.Pick) string {
	u.t.Helper()
	r := httptest.NewRequest("GET", path, nil)
	for name, value := range u.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if u.tls {
		r.TLS = &tls.ConnectionState{}
	}
	c := u.Stick(r, proxy.Choice{Picker: u.pools.Of(route.All)})
	k, err := c.Picker.Pick(gate.Request{Now: 2, Prefer: c.Prefer, Draining: c.Draining, Tried: tried})
	if err != nil {
		u.t.Fatal(err)
	}
	defer k.Release()
	h := http.Header{}
	c.Marker.Mark(h, r, status, k.Member(), c.Prefer)
	u.set = h.Get("Set-Cookie")
	for _, one := range (&http.Response{Header: h}).Cookies() {
		if one.MaxAge < 0 {
			delete(u.cookies, one.Name)
		} else {
			u.cookies[one.Name] = one.Value
		}
	}
	return k.Member().ID
}

// TestCookie: the first answer names its member, and all later requests go there, whatever else happens, until it cannot take them.
func TestCookie(t *testing.T) {
	t.Parallel()
	u := newUser(t, policy.Sticky{By: policy.StickyCookie, Secret: "s", Age: time.Hour})
	first := u.get("/", 200)
	if want := "tine-my-gate=" + u.cookies["tine-my-gate"] + "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"; u.set != want || len(u.cookies["tine-my-gate"]) != 22 {
		t.Fatalf("%q, want %q", u.set, want)
	}
	for i := range 10 {
		if got := u.get("/", 500); got != first || u.set != "" {
			t.Fatalf("request %d goes to %s, and sets %q", i, got, u.set)
		}
	}
	// Full: another one, for now.
	held, err := u.pools.Of(route.All).Pick(gate.Request{Now: 2, Prefer: first})
	if err != nil {
		t.Fatal(err)
	}
	if got := u.get("/", 200); got == first || u.set != "" {
		t.Errorf("full: goes to %s and sets %q", got, u.set)
	}
	held.Release()
	if got := u.get("/", 200); got != first {
		t.Errorf("it has room again, and %s is picked", got)
	}
	// It has failed for this request.
	if got := u.get("/", 200, held); got == first || u.set == "" || len(u.moved) != 1 || u.moved[0] != first+">"+got {
		t.Errorf("failed: goes to %s and sets %q, %v", got, u.set, u.moved)
	}
	for _, state := range []members.State{members.Down, members.Ejected, members.Draining} {
		u.update(nil)
		before := u.get("/", 200)
		u.update(func(id string, m *members.Member) {
			if id == before {
				m.State = state
			}
		})
		if got := u.get("/", 200); got == before || u.set == "" || u.moved[len(u.moved)-1] != before+">"+got {
			t.Errorf("%s: goes from %s to %s and sets %q", state, before, got, u.set)
		}
	}
	// Gone.
	before := u.get("/", 200)
	all := u.table.Members
	u.table.Members = nil
	for _, m := range all {
		if m.ID != before {
			u.table.Members = append(u.table.Members, m)
		}
	}
	u.update(nil)
	if got := u.get("/", 200); got == before || u.set == "" || u.moved[len(u.moved)-1] != ">"+got {
		t.Errorf("gone: goes to %s and sets %q", got, u.set)
	}
	u.tls = true
	u.cookies["tine-my-gate"] = "forged"
	if u.get("/", 200); !strings.Contains(u.set, "; Secure") {
		t.Errorf("by TLS: %q", u.set)
	}
}

// TestDraining: if configured, users stay at a member that drains, and new ones do not come.
func TestDraining(t *testing.T) {
	t.Parallel()
	u := newUser(t, policy.Sticky{By: policy.StickyCookie, Draining: true})
	first := u.get("/", 200)
	u.update(func(id string, m *members.Member) {
		if id == first {
			m.State = members.Draining
		}
	})
	for range 5 {
		if got := u.get("/", 200); got != first {
			t.Errorf("goes to %s", got)
		}
	}
	mine := u.cookies
	for range 5 {
		u.cookies = map[string]string{}
		if got := u.get("/", 200); got == first {
			t.Error("a new user goes to a member that drains")
		}
	}
	u.cookies = mine
	u.update(func(id string, m *members.Member) {
		if id == first {
			m.State = members.Down
		}
	})
	if got := u.get("/", 200); got == first || u.set == "" {
		t.Errorf("it is down: goes to %s", got)
	}
}

// TestLogin: the answer to the login sets the cookie, if it was one; the member that dies is replaced, which is told; logout ends it.
func TestLogin(t *testing.T) {
	t.Parallel()
	u := newUser(t, policy.Sticky{By: policy.StickyLogin, Login: "/login", Logout: "/logout/", Cookie: "as"})
	seen := map[string]bool{}
	for range 6 {
		seen[u.get("/", 200)] = true
	}
	if len(u.cookies) != 0 || len(seen) != 3 {
		t.Errorf("before the login: %v, at %v", u.cookies, seen)
	}
	if u.get("/login", 401); len(u.cookies) != 0 {
		t.Error("a login that has failed sets the cookie")
	}
	at := u.get("/login/", 302)
	if u.cookies["as"] == "" {
		t.Fatal("the login sets no cookie")
	}
	for range 6 {
		if got := u.get("/x", 200); got != at {
			t.Errorf("after the login at %s: %s", at, got)
		}
	}
	u.update(func(id string, m *members.Member) {
		if id == at {
			m.State = members.Down
		}
	})
	next := u.get("/x", 200)
	if next == at || len(u.moved) != 1 || u.moved[0] != at+">"+next || u.get("/y", 200) != next {
		t.Errorf("%s is dead: %s, %v", at, next, u.moved)
	}
	if u.get("/logout", 200); len(u.cookies) != 0 || !strings.HasPrefix(u.set, "as=; Path=/; Max-Age=0") {
		t.Errorf("after the logout: %v, %q", u.cookies, u.set)
	}
}

// TestSecrets: a name by the secret of before is known, and replaced by one of the new; one by any other is not.
func TestSecrets(t *testing.T) {
	t.Parallel()
	u := newUser(t, policy.Sticky{By: policy.StickyCookie})
	u.SetSecrets([]byte("old"))
	at := u.get("/", 200)
	old := u.cookies["tine-my-gate"]
	u.SetSecrets([]byte("new"), []byte("old"))
	if got := u.get("/", 200); got != at || u.set == "" || u.cookies["tine-my-gate"] == old || len(u.moved) != 0 {
		t.Errorf("goes from %s to %s and sets %q, %v", at, got, u.set, u.moved)
	}
	u.SetSecrets([]byte("third"))
	if u.get("/", 200); u.set == "" {
		t.Error("a name by a secret that is not known any more is kept")
	}
	// Two workers with one secret give the same names.
	other := newUser(t, policy.Sticky{By: policy.StickyCookie})
	other.SetSecrets([]byte("third"))
	other.cookies = u.cookies
	if a, b := u.get("/", 200), other.get("/", 200); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

// TestPoolsHaveCookies: users of members of two types have two cookies.
func TestPoolsHaveCookies(t *testing.T) {
	t.Parallel()
	u := newUser(t, policy.Sticky{By: policy.StickyCookie, Cookie: "at"})
	names := map[string]bool{}
	for _, pool := range []string{route.All, "web", "a/b"} {
		c := u.Stick(httptest.NewRequest("GET", "/", nil), proxy.Choice{Pool: pool})
		names[c.Marker.(*marker).cookie] = true
	}
	if fmt.Sprint(names) != "map[at:true at-a-b:true at-web:true]" {
		t.Error(names)
	}
}

// TestWhileTablesCome: for the race detector.
func TestWhileTablesCome(t *testing.T) {
	t.Parallel()
	u := newUser(t, policy.Sticky{By: policy.StickyCookie})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			r := httptest.NewRequest("GET", "/", nil)
			for range 200 {
				c := u.Stick(r, proxy.Choice{Pool: "web"})
				c.Marker.Mark(http.Header{}, r, 200, &members.Member{ID: "a"}, c.Prefer)
			}
		})
	}
	for i := range 100 {
		u.Update(members.Table{Members: u.table.Members[:1+i%3]})
		u.SetSecrets([]byte{byte(i)})
	}
	wg.Wait()
}

// TestStickAllocates: a request with the cookie of its member allocates nothing, and its answer neither.
func TestStickAllocates(t *testing.T) {
	u := newUser(t, policy.Sticky{By: policy.StickyCookie})
	u.get("/", 200)
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "tine-my-gate", Value: u.cookies["tine-my-gate"]})
	by, h := &members.Member{ID: u.names.Load().toID[u.cookies["tine-my-gate"]]}, http.Header{}
	if n := testing.AllocsPerRun(100, func() {
		c := u.Stick(r, proxy.Choice{})
		c.Marker.Mark(h, r, 200, by, c.Prefer)
	}); n > 0 || len(h) > 0 {
		t.Errorf("%v allocations, %v", n, h)
	}
}
