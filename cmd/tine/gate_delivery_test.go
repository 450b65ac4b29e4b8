//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// named is a server behind a gateway that says its name, and the request that it got.
type named struct {
	*httptest.Server
	status atomic.Int64 // of its answers; 0: 200
	replay atomic.Value // its header Tine-Replay; nil: it sends none
	served atomic.Int64
}

func newNamed(t *testing.T, name string) *named {
	t.Helper()
	s := &named{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.served.Add(1)
		b, _ := io.ReadAll(r.Body)
		if to, ok := s.replay.Load().(string); ok {
			w.Header().Set("Tine-Replay", to)
		}
		if status := s.status.Load(); status != 0 {
			w.WriteHeader(int(status))
		}
		fmt.Fprintf(w, "%s %s %s %s", name, r.Method, r.RequestURI, b)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *named) address() string { return s.Listener.Addr().String() }

// browser is a client of the gateway that keeps cookies as it is told, and follows no redirect.
type browser struct {
	m       *tine
	cookies []*http.Cookie
}

func (b *browser) do(method, path, body string, header ...string) (*http.Response, string) {
	b.m.t.Helper()
	r, err := http.NewRequest(method, "http://"+b.m.addresses("gate")[0]+path, strings.NewReader(body))
	if err != nil {
		b.m.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.m.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.m.t.Fatal(err)
	}
	if set := res.Cookies(); len(set) > 0 {
		b.cookies = set
	}
	return res, string(text)
}

// server is the name of the one that answers.
func (b *browser) server(path string) string {
	b.m.t.Helper()
	_, text := b.do("GET", path, "")
	name, _, _ := strings.Cut(text, " ")
	return name
}

// TestGateRoutes: requests go where the routes lead, by the key that they have; a member has one sent on with its body; and a change of
// the routes counts without a new worker.
func TestGateRoutes(t *testing.T) {
	web, one, two := newNamed(t, "web"), newNamed(t, "one"), newNamed(t, "two")
	config := func(strip string) string {
		return fmt.Sprintf(`apps:
  gate:
    listen: 127.0.0.1:0
    workers: 2
    $CALM
    gateway:
      members:
        web: {address: "%s", type: web}
        one: {address: "%s", type: chat}
        two: {address: "%s", type: chat}
      routes:
        chat: {host: "*.example.com", path: /rooms, strip: %s, to: chat, key: "segment:2", pick: rendezvous}
        post: {methods: [POST], path: /json, to: chat, key: "json:room"}
        web: {path: /web, to: web}
      replay: on
`, web.address(), one.address(), two.address(), strip)
	}
	m := startReady(t, config("true"))
	b := &browser{m: m}
	if _, text := b.do("GET", "/web/x?y=1", ""); text != "web GET /web/x?y=1 " {
		t.Errorf("%q", text)
	}
	if res, text := b.do("GET", "/none", ""); res.StatusCode != http.StatusNotFound || !strings.Contains(text, "no route is for") {
		t.Errorf("%s %q", res.Status, text)
	}
	rooms := map[string]bool{}
	for room := range 20 {
		_, first := b.do("GET", fmt.Sprintf("/rooms/r%d/x", room), "", "Host", "a.example.com:80")
		name, rest, _ := strings.Cut(first, " ")
		if rooms[name] = true; rest != fmt.Sprintf("GET /r%d/x ", room) {
			t.Errorf("%q", first)
		}
		for range 4 { // by all workers
			if _, text := b.do("GET", fmt.Sprintf("/rooms/r%d/x", room), "", "Host", "b.example.com"); text != first {
				t.Errorf("room %d: %q, then %q", room, first, text)
			}
			if _, text := b.do("POST", "/json", fmt.Sprintf(`{"room":"r%d"}`, room)); text != fmt.Sprintf(`%s POST /json {"room":"r%d"}`, name, room) {
				t.Errorf("room %d by JSON: %q, want server %s", room, text, name)
			}
		}
	}
	if len(rooms) != 2 {
		t.Errorf("20 rooms are at %v", rooms)
	}
	web.replay.Store("type=chat; key=r1")
	res, text := b.do("PUT", "/web/y", "a body")
	if !strings.HasSuffix(text, " PUT /web/y a body") || strings.HasPrefix(text, "web") || res.Header.Get("Tine-Replay") != "" {
		t.Errorf("sent on: %q %v", text, res.Header)
	}
	workers := m.workers("gate")
	write(t, m.dir, "tine.yaml", config("false"))
	m.signal(syscall.SIGHUP)
	eventually.True(t, "the change of a route counts", func() bool {
		_, text := b.do("GET", "/rooms/r1/x", "", "Host", "a.example.com")
		return strings.HasSuffix(text, " GET /rooms/r1/x ")
	})
	if now := m.workers("gate"); fmt.Sprint(now) != fmt.Sprint(workers) {
		t.Errorf("workers %v, then %v", workers, now)
	}
	m.stop()
	m.ended(0)
}

// TestGateSticky: a user stays at one server, by any worker and over the death of the master, until that server is gone.
func TestGateSticky(t *testing.T) {
	servers := map[string]*named{}
	for _, name := range []string{"a", "b", "c"} {
		servers[name] = newNamed(t, name)
	}
	m := startReady(t, fmt.Sprintf(`apps:
  gate:
    listen: 127.0.0.1:0
    workers: 2
    $CALM
    gateway:
      members: {a: "%s", b: "%s", c: "%s"}
      pick: round-robin
      sticky: {by: login, login: /login, logout: /logout}
`, servers["a"].address(), servers["b"].address(), servers["c"].address()), kept)
	b := &browser{m: m}
	seen := map[string]bool{}
	eventually.True(t, "users who have not logged in go anywhere", func() bool { seen[b.server("/")] = true; return len(seen) == 3 })
	at := b.server("/login")
	if len(b.cookies) != 1 || !b.cookies[0].HttpOnly || b.cookies[0].Name != "tine-gate" {
		t.Fatalf("%v", b.cookies)
	}
	stays := func(when string) {
		t.Helper()
		for range 12 {
			if got := b.server("/"); got != at {
				t.Errorf("%s: the user is at %s, and was at %s", when, got, at)
			}
		}
	}
	// A worker that was not there when the secret was made knows it too.
	stays("after the login")
	m.roll()
	stays("after a roll")
	mark := m.mark()
	if err := syscall.Kill(m.mustStatus().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.awaitFrom(mark, is("adopted the workers of the last master"))
	m.roll()
	stays("after the death of the master")
	mark = m.mark()
	servers[at].Close()
	before := at
	if at = b.server("/"); at == before || at == "" {
		t.Fatalf("%s is dead, and %q answers", before, at)
	}
	m.awaitFrom(mark, func(e event) bool { return strings.Contains(e.Message, "a user's member could not take a request") })
	stays("at the next server")
	if b.do("GET", "/logout", ""); len(b.cookies) != 1 || b.cookies[0].MaxAge >= 0 {
		t.Errorf("after the logout: %v", b.cookies)
	}
	m.stop()
	m.ended(0)
}

// TestGateGives: clients are told a server's address, or sent there, and never one that is not for clients.
func TestGateGives(t *testing.T) {
	m := startReady(t, `apps:
  gate:
    listen: 127.0.0.1:0
    workers: 1
    $CALM
    gateway:
      members:
        connector-1: {address: "127.0.0.1:1", type: connector, client_address: "127.0.0.1:3050", frontend: true}
        connector-2: {address: "127.0.0.1:2", type: connector, client_address: "127.0.0.1:3051", frontend: true}
        connector-3: {address: "127.0.0.1:3", type: connector, client_address: "127.0.0.1:3052", frontend: true}
        chat-1: {address: "127.0.0.1:4", type: chat}
      routes:
        gate: {deliver: lookup, to: connector, pick: crc32-mod}
        chat: {path: /chat, deliver: redirect, to: chat}
        rest: {deliver: redirect, to: connector, pick: crc32-mod, key: "query:uid"}
      keep_path: true
`)
	b := &browser{m: m}
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/v1/pick?type=connector&uid=10001", "", `{"code":200,"host":"127.0.0.1","port":3051}`},
		{"POST", "/v1/pick", `{"uid":"a"}`, `{"code":200,"host":"127.0.0.1","port":3050}`},
		{"GET", "/v1/pick?type=chat&uid=1", "", `{"code":500}`},
		{"GET", "/v1/pick", "", `{"code":500}`},
	} {
		if res, text := b.do(c.method, c.path, c.body); text != c.want || res.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s %s", c.method, c.path, res.Status, text)
		}
	}
	if res, _ := b.do("GET", "/v1/pick?type=chat&uid=1&strict=1", ""); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Tine-Why") != "can not find chat servers." {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	res, _ := b.do("GET", "/x?uid=bob", "")
	if res.StatusCode != http.StatusTemporaryRedirect || res.Header.Get("Location") != "http://127.0.0.1:3052/x?uid=bob" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	if res, text := b.do("GET", "/x?uid=bob", "", "Sec-Fetch-Dest", "iframe"); res.StatusCode != http.StatusOK || !strings.Contains(text, `target="_top" href="http://127.0.0.1:3052/x?uid=bob"`) {
		t.Errorf("%s %s", res.Status, text)
	}
	if res, _ := b.do("GET", "/chat", ""); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("a server that is not for clients: %s %v", res.Status, res.Header)
	}
	m.stop()
	m.ended(0)
}

// TestGateEjects: a server that fails so many requests in a row, over all workers, gets none for a while, which its state says; the last
// one is spared.
func TestGateEjects(t *testing.T) {
	bad, good := newNamed(t, "bad"), newNamed(t, "good")
	bad.status.Store(500)
	m := startReady(t, fmt.Sprintf(`apps:
  gate:
    listen: 127.0.0.1:0
    workers: 2
    $CALM
    gateway:
      members: {bad: "%s", good: "%s"}
      pick: round-robin
      eject: {status: [500, 502], failures: 4, for: 1m}
      panic: off
`, bad.address(), good.address()))
	b := &browser{m: m}
	eventually.True(t, "the server that fails is ejected", func() bool {
		b.server("/")
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, "ejected") && strings.Contains(out, "requests in a row failed: it answered 500 Internal Server Error")
	})
	served := bad.served.Load()
	for range 20 {
		if got := b.server("/"); got != "good" {
			t.Errorf("server %s answers", got)
		}
	}
	if got := bad.served.Load(); got != served {
		t.Errorf("the server that is ejected got %d requests", got-served)
	}
	mark := m.mark()
	good.status.Store(500)
	for range 20 {
		b.server("/")
	}
	m.awaitFrom(mark, func(e event) bool {
		return strings.Contains(e.Reason, "it is the last of its type, and is not ejected")
	})
	if got := b.server("/"); got != "good" {
		t.Errorf("server %s answers", got)
	}
	m.stop()
	m.ended(0)
}

// TestGateDrain: a server that a person drains gets no more requests, and says why, until that is undone; and a key is told its server.
func TestGateDrain(t *testing.T) {
	a, b := newNamed(t, "a"), newNamed(t, "b")
	m := startReady(t, fmt.Sprintf(`apps:
  gate:
    listen: 127.0.0.1:0
    workers: 1
    $CALM
    gateway: {members: {a: "%s", b: "%s"}, pick: rendezvous, key: "query:uid"}
`, a.address(), b.address()))
	client := &browser{m: m}
	for uid := range 8 {
		path := fmt.Sprint("/?uid=", uid)
		out, _ := m.tell(0, "gate", "pick", "gate", path)
		if want := fmt.Sprintf("%s, by rendezvous of the key %q\n", client.server(path), fmt.Sprint(uid)); !strings.HasPrefix(out, want) || !strings.Contains(out, "a       may be") {
			t.Errorf("%s:\n%s, want %s", path, out, want)
		}
	}
	if out, _ := m.tell(0, "gate", "drain", "a", "--reason", "a new disk"); out != "a gets no more requests of gateway gate\n" {
		t.Errorf("%q", out)
	}
	eventually.True(t, "the server drains", func() bool {
		out, _ := m.tell(0, "gate", "members")
		return strings.Contains(out, "draining") && strings.Contains(out, "a new disk")
	})
	eventually.True(t, "no request goes there", func() bool {
		before := a.served.Load()
		for uid := range 20 {
			client.server(fmt.Sprint("/?uid=", uid))
		}
		return a.served.Load() == before
	})
	if _, stderr := m.tell(1, "gate", "drain", "c"); !strings.Contains(stderr, `member`) {
		t.Errorf("%q", stderr)
	}
	if _, stderr := m.tell(1, "gate", "drain", "a", "--gateway", "gat"); !strings.Contains(stderr, "did you mean gate") {
		t.Errorf("%q", stderr)
	}
	m.tell(0, "gate", "undrain", "a")
	eventually.True(t, "requests go there again", func() bool {
		before := a.served.Load()
		for uid := range 20 {
			client.server(fmt.Sprint("/?uid=", uid))
		}
		return a.served.Load() > before
	})
	m.stop()
	m.ended(0)
}
