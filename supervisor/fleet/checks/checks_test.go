package checks

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
	"github.com/tinehq/tine/supervisor/fleet/rounds"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// once checks an address in one way, and has the result in words.
func once(t *testing.T, way Way, address string, timeout time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	ev, err := way.check(ctx, members.Member{ID: "a", Address: address})
	switch e := ev.(type) {
	case fleet.Checked:
		if e.ID != "a" || e.OK != (err == nil) {
			t.Errorf("%+v, %v", e, err)
		}
		if e.OK {
			return "ok"
		}
		return e.Why
	case fleet.Advised:
		if err == nil {
			return "advised"
		}
	}
	return err.Error()
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// answering accepts connections until the test ends, and has each one handled.
func answering(t *testing.T, l net.Listener, handle func(net.Conn)) string {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0")
	if got := once(t, TCP{}, l.Addr().String(), eventually.Patience()); got != "ok" {
		t.Error(got)
	}
	l.Close()
	if got := once(t, TCP{}, l.Addr().String(), eventually.Patience()); got != "connection refused" {
		t.Error(got)
	}
	u := listen(t, "unix", filepath.Join(t.TempDir(), "s"))
	if got := once(t, TCP{}, u.Addr().String(), eventually.Patience()); got != "ok" {
		t.Error(got)
	}
	if got := once(t, TCP{}, "127.0.0.1:1", 0); got != "no connection in time" {
		t.Error(got)
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	var seen []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, fmt.Sprint(r.Method, " ", r.URL, " ", r.Host, " ", r.UserAgent()))
		var status int
		fmt.Sscanf(r.URL.Query().Get("status"), "%d", &status)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(max(status, 200))
	})
	s := httptest.NewServer(handler)
	defer s.Close()
	address := s.Listener.Addr().String()
	some, err := ParseStatuses("200-299, 404")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		way  HTTP
		want string
	}{
		{HTTP{}, "ok"},
		{HTTP{Path: "/health?status=302", Host: "web.internal"}, "ok"},
		{HTTP{Path: "/?status=404"}, "status 404: 200-399 is expected"},
		{HTTP{Path: "/?status=404", Statuses: some}, "ok"},
		{HTTP{Path: "/?status=302", Statuses: some}, "status 302: 200-299,404 is expected"},
		{HTTP{Path: "/?status=500", Statuses: some}, "status 500: 200-299,404 is expected"},
		{HTTP{TLS: true}, "tls: first record does not look like a TLS handshake"},
	} {
		got := once(t, c.way, address, eventually.Patience())
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %s, want %s", c.way, got, c.want)
		}
	}
	if want := "GET /health?status=302 web.internal Tine-Check"; seen[1] != want {
		t.Errorf("got %s, want %s", seen[1], want)
	}
	if want := "GET / " + address + " Tine-Check"; seen[0] != want {
		t.Errorf("got %s, want %s", seen[0], want)
	}
}

// TestHTTPS: the certificate counts, unless any will do.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	if got := once(t, HTTP{TLS: true, Insecure: true}, s.Listener.Addr().String(), eventually.Patience()); got != "ok" {
		t.Error(got)
	}
	if got := once(t, HTTP{TLS: true}, s.Listener.Addr().String(), eventually.Patience()); !strings.Contains(got, "certificate signed by unknown authority") {
		t.Error(got)
	}
}

// TestHTTPAnswers: answers that are none, and a body that does not end.
func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx":          "ok",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n": "ok",
		"HTTP/1.1 200 OK\r\n":   "the connection was closed before the answer",
		"":                      "the connection was closed before the answer",
		"SSH-2.0-OpenSSH_9\r\n": `malformed HTTP response "SSH-2.0-OpenSSH_9"`,
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*most) + "\r\n\r\n":      "the connection was closed before the answer",
		"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n": "status 503: 200-399 is expected",
	} {
		address := answering(t, listen(t, "tcp", "127.0.0.1:0"), func(c net.Conn) {
			_ = c.SetDeadline(time.Now().Add(eventually.Patience()))
			_, _ = c.Read(make([]byte, 1000))
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		})
		if got := once(t, HTTP{}, address, eventually.Patience()); got != want {
			t.Errorf("%.40q: got %s, want %s", text, got, want)
		}
	}
}

// TestSilentMember: a member that accepts and says nothing fails when the time is over.
func TestSilentMember(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0") // the kernel accepts
	for _, way := range []Way{HTTP{}, HTTP{TLS: true}} {
		if got := once(t, way, l.Addr().String(), 50*time.Millisecond); !strings.HasSuffix(got, "no answer in time") {
			t.Errorf("%T: %s", way, got)
		}
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var agent Agent
	fmt.Sscan(port, &agent.Port)
	if got := once(t, agent, l.Addr().String(), 50*time.Millisecond); got != "no answer in time" {
		t.Error(got)
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "200-", "x", "200-299,", "99", "600", "300-200", "-200"} {
		if s, err := ParseStatuses(text); err == nil {
			t.Errorf("%q is %s", text, s)
		}
	}
}

// TestWords: what an agent of HAProxy may say.
func TestWords(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"up 75%\n":                     "health=ready weight=0.75",
		"75%":                          "weight=0.75",
		"drain\n":                      "mode=draining",
		"MAINT\r\n":                    "mode=down",
		"down #disk full, or so\n":     "health=down why=disk full, or so",
		"stopped":                      "health=down",
		"fail":                         "health=down",
		"failed#x":                     "health=down why=x",
		"ready,up\t100%, maxconn:30\n": "mode=ready health=ready weight=1 max=30",
		"maxconn:0":                    "max=0",
		"up #all is well":              "health=ready",
		"hello up":                     "health=ready",
		"hello":                        "error",
		"":                             "error",
		"x%":                           "error",
		"-5%":                          "error",
		"maxconn:-1":                   "error",
		"#down":                        "error",
	} {
		a, err := ParseWords(line)
		var all []string
		if a.Mode != "" {
			all = append(all, "mode="+string(a.Mode))
		}
		if a.Health != "" {
			all = append(all, "health="+string(a.Health))
		}
		if a.Weight != nil {
			all = append(all, fmt.Sprint("weight=", *a.Weight))
		}
		if a.MaxInFlight != nil {
			all = append(all, fmt.Sprint("max=", *a.MaxInFlight))
		}
		if a.Why != "" {
			all = append(all, "why="+a.Why)
		}
		got := strings.Join(all, " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", line, got, want)
		}
	}
}

// TestAnswer: what Tine says of an app is understood by Tine, and by HAProxy's words.
func TestAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		app  App
		want string
	}{
		{App{Wanted: 4, Ready: 4}, "ready up 100%\n"},
		{App{Wanted: 4, Ready: 3, MaxInFlight: 8}, "ready up 75% maxconn:24\n"},
		{App{Wanted: 1000, Ready: 1}, "ready up 1%\n"},
		{App{Wanted: 4, Ready: 5}, "ready up 100%\n"},
		{App{Wanted: 4}, "ready down #no worker is ready\n"},
		{App{Wanted: 4, Why: "crashed\nagain"}, "ready down #crashed again\n"},
		{App{Wanted: 4, Ready: 4, Draining: true, Why: "it stops"}, "up drain #it stops\n"},
	} {
		if got := Answer(c.app); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.app, got, c.want)
		}
		if _, err := ParseWords(c.want); err != nil {
			t.Error(err)
		}
	}
}

// TestAgent: one Tine answers the check of another. What the asking side has sent, and was not read, does not take the answer back.
func TestAgent(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Respond(ctx, l, func(app string) string {
			if app == "" {
				return Answer(App{Draining: true})
			}
			return Answer(App{Wanted: 4, Ready: len(app)})
		})
	}()
	agent := Agent{Port: l.Addr().(*net.TCPAddr).Port, Send: "web\n"}
	for range 20 {
		if got := once(t, agent, "127.0.0.1:80", eventually.Patience()); got != "advised" {
			t.Fatal(got)
		}
	}
	m := members.Member{ID: "a", Address: "127.0.0.1:80"}
	if ev, err := agent.check(t.Context(), m); err != nil || *ev.(fleet.Advised).Weight != 0.75 {
		t.Errorf("%+v, %v", ev, err)
	}
	agent.Send = "" // the answer comes all the same
	if ev, err := agent.check(t.Context(), m); err != nil || ev.(fleet.Advised).Mode != members.Draining {
		t.Errorf("%+v, %v", ev, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// An agent that cannot be reached says nothing of the member: there is no event.
	if ev, err := agent.check(t.Context(), members.Member{ID: "a", Address: "127.0.0.1:80"}); ev != nil || err == nil {
		t.Errorf("%+v, %v", ev, err)
	}
	if got := once(t, agent, "/run/web.sock", eventually.Patience()); got != "member a has no host that an agent could be on: its address is /run/web.sock" {
		t.Error(got)
	}
}

// TestSource: the fleet takes what checks find: a member goes down after three that fail, and its agent is heard.
func TestSource(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp", "127.0.0.1:0")
	agentSays := listen(t, "tcp", "127.0.0.1:0")
	answering(t, agentSays, func(c net.Conn) { _, _ = io.WriteString(c, "drain #patching\n") })
	list := []members.Member{{ID: "a", Address: l.Addr().String(), Weight: 1, State: members.Ready}}
	f := fleet.New(fleet.Options{})
	f.Step(time.Now(), fleet.Listed{Source: "list", Members: list})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan fleet.Event)
	emit := func(ev fleet.Event) {
		select {
		case events <- ev:
		case <-ctx.Done():
		}
	}
	health := New(TCP{}, rounds.Options{Every: 10 * time.Millisecond}, nil)
	agent := New(Agent{Port: agentSays.Addr().(*net.TCPAddr).Port}, rounds.Options{Every: 10 * time.Millisecond}, nil)
	ended := make(chan struct{}, 2)
	for _, s := range []*Source{health, agent} {
		s.Update(list)
		go func() { s.Run(ctx, emit); ended <- struct{}{} }()
	}
	await := func(want string) {
		t.Helper()
		for {
			for _, e := range f.Step(time.Now(), eventually.Receive(t, want, events)) {
				if p, ok := e.(fleet.Publish); ok && p.Table.Members[0].Why == want {
					return
				}
			}
		}
	}
	await("its agent says drain: patching")
	l.Close()
	await("3 checks failed: connection refused")
	cancel()
	<-ended
	<-ended
}
