package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"go.uber.org/goleak"
)

// bound is for each wait of a test.
var bound = eventually.Patience()

const secret = "0123456789abcdef0123"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// master is one whose orders a test reads. What the page may not reach panics: there
// is no Commander behind it.
type master struct {
	api.Commander
	orders chan api.Order
}

func (m *master) Status(context.Context) (api.Status, error) {
	return api.Status{Version: "v1", Name: "web", Apps: []api.App{{Name: "web", State: api.AppRunning}}}, nil
}

func (m *master) Do(_ context.Context, o api.Order, _ func(api.Progress)) error {
	m.orders <- o
	return nil
}

func (m *master) Events(ctx context.Context, _ uint64, follow bool, yield func(api.Event) error) error {
	if err := yield(api.Event{ID: 7, Kind: "ready"}); err != nil || !follow {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (m *master) Logs(_ context.Context, _ api.LogQuery, yield func(api.LogLine) error) error {
	return yield(api.LogLine{ID: 1, Text: "hello"})
}

func (m *master) Gateways(_ context.Context, app string) (api.Gateways, error) {
	return api.Gateways{Gateways: []api.Gateway{{App: app}}}, nil
}

func (m *master) Decisions(context.Context, api.DecisionQuery) (api.Decisions, error) {
	return api.Decisions{Kept: 5}, nil
}

// site is a dashboard that is served.
type site struct {
	*Server
	t      *testing.T
	master *master
	client *http.Client
}

func tokenFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Version: "v1", Logger: zerolog.New(zerolog.NewTestWriter(t))}
	for _, f := range change {
		f(&o)
	}
	m := &master{orders: make(chan api.Order, 10)}
	api := control.New(m, control.Options{Version: "v1", Logger: zerolog.Nop()})
	s := &site{Server: New(api.API(), o), t: t, master: m, client: &http.Client{Transport: &http.Transport{}, Timeout: bound}}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func withToken(t *testing.T) func(*Options) {
	return func(o *Options) { o.TokenFile = tokenFile(t, secret+"\n", 0o600) }
}

// ask sends a request with headers, given as pairs; Host is one of them.
func (s *site) ask(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, "http://"+s.Address()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(text)
}

func (s *site) want(status int, method, path, body string, headers ...string) string {
	s.t.Helper()
	res, text := s.ask(method, path, body, headers...)
	if res.StatusCode != status {
		s.t.Errorf("%s %s %v: status %d, want %d: %s", method, path, headers, res.StatusCode, status, text)
	}
	return text
}

func TestReads(t *testing.T) {
	s := open(t)
	for path, part := range map[string]string{
		"/":                     "<!doctype html>",
		"/v1/status":            `"name":"web"`,
		"/v1/cache":             `"values":[]`,
		"/v1/gateways?app=gate": `{"gateways":[{"app":"gate"`,
		"/v1/gate/history":      `"kept":5`,
		"/v1/events":            `"kind":"ready"`,
		"/v1/logs?last=10":      `"text":"hello"`,
		"/access":               `{"orders":false,"granted":false}`,
		"/v1/status?no=so":      "",
		"/v1/events?last=1&x=1": "",
	} {
		status := http.StatusOK
		if part == "" {
			status = http.StatusBadRequest
		}
		if text := s.want(status, "GET", path, ""); !strings.Contains(text, part) {
			t.Errorf("%s lacks %s: %s", path, part, text)
		}
	}
}

// What is not on the list does not reach the control API, whose Commander would panic.
func TestOnlyWhatThePageNeeds(t *testing.T) {
	s := open(t, withToken(t))
	bearer := []string{"Authorization", "Bearer " + secret}
	for _, path := range []string{"/v1/cache/price", "/v1/config", "/v1/profile", "/v1/metrics", "/v1/doctor", "/v1/openapi.json", "/index.html", "/page/", "/../server.go"} {
		s.want(http.StatusNotFound, "GET", path, "", bearer...)
	}
	s.want(http.StatusNotFound, "PUT", "/v1/cache/price", "7", bearer...)
	s.want(http.StatusNotFound, "DELETE", "/v1/cache/price", "", bearer...)
	s.want(http.StatusNotFound, "POST", "/v1/stop", "{}", bearer...)
	s.want(http.StatusNotFound, "POST", "/v1/config/apply", "{}", bearer...)
	s.want(http.StatusNotFound, "POST", "/v1/apps/web/stop", "{}", bearer...)
	s.want(http.StatusNotFound, "POST", "/v1/apps/web/signal", `{"signal":"KILL"}`, bearer...)
	if n := len(s.master.orders); n > 0 {
		t.Errorf("%d orders came through", n)
	}
}

func TestOrdersNeedTheToken(t *testing.T) {
	for name, c := range map[string]struct {
		file          bool
		authorization string
		status        int
	}{
		"no token file":     {false, "Bearer " + secret, http.StatusForbidden},
		"no token":          {true, "", http.StatusUnauthorized},
		"empty token":       {true, "Bearer ", http.StatusUnauthorized},
		"wrong token":       {true, "Bearer " + secret + "4", http.StatusUnauthorized},
		"part of the token": {true, "Bearer " + secret[:19], http.StatusUnauthorized},
		"another scheme":    {true, "Basic " + secret, http.StatusUnauthorized},
		"the token":         {true, "Bearer " + secret, http.StatusOK},
		"scheme in small":   {true, "bearer " + secret, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(o *Options) {
				if c.file {
					withToken(t)(o)
				}
			})
			for verb, body := range map[string]string{"reload": `{"reason":"dashboard"}`, "scale": `{"n":3}`, "drain": `{"slot":0}`, "start": `{"slot":0}`} {
				s.want(c.status, "POST", "/v1/apps/web/"+verb, body, "Authorization", c.authorization)
				if c.status != http.StatusOK {
					continue
				}
				if o := <-s.master.orders; o.Verb != verb || o.App != "web" {
					t.Errorf("the order is %+v, want %s of web", o, verb)
				}
			}
			if n := len(s.master.orders); n > 0 {
				t.Errorf("%d orders came through", n)
			}
			granted := s.want(http.StatusOK, "GET", "/access", "", "Authorization", c.authorization)
			if got := strings.Contains(granted, `"granted":true`); got != (c.status == http.StatusOK) {
				t.Errorf("access says %s", granted)
			}
		})
	}
}

// A page whose own name was rebound to our address sends that name.
func TestHost(t *testing.T) {
	s := open(t, withToken(t), func(o *Options) { o.Names = []string{"Tine.Example."} })
	_, port, _ := net.SplitHostPort(s.Address())
	good := []string{"127.0.0.1:" + port, "localhost:" + port, "LOCALHOST", "[::1]:" + port, "127.0.0.1", "localhost:9999", "tine.example", "tine.example:443"}
	bad := []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example:" + port, "localhost.evil.example", "10.0.0.1:" + port, "0.0.0.0:" + port, "[::]", "localhost@evil.example", "2130706433:" + port}
	for _, path := range []string{"/", "/v1/status", "/v1/events", "/access", "/nothing"} {
		for _, host := range good {
			if res, _ := s.ask("GET", path, "", "Host", host); res.StatusCode == http.StatusForbidden {
				t.Errorf("GET %s was refused with Host %s", path, host)
			}
		}
		for _, host := range bad {
			s.want(http.StatusForbidden, "GET", path, "", "Host", host)
		}
	}
	for _, host := range bad {
		s.want(http.StatusForbidden, "POST", "/v1/apps/web/reload", "{}", "Host", host, "Authorization", "Bearer "+secret)
	}
	if n := len(s.master.orders); n > 0 {
		t.Errorf("%d orders came through", n)
	}
}

// An address that the connection came to cannot be rebound, also where the server
// listens on all.
func TestHostOnAllAddresses(t *testing.T) {
	s := open(t, func(o *Options) { o.Listen = ":0" })
	_, port, _ := net.SplitHostPort(s.Address())
	get := func(address, host string) int {
		r, err := http.NewRequest("GET", "http://"+address+":"+port+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := get("127.0.0.2", "127.0.0.2:"+port); got != http.StatusOK {
		t.Errorf("with its own address: %d", got)
	}
	if got := get("127.0.0.2", "127.0.0.3:"+port); got != http.StatusForbidden {
		t.Errorf("with another address: %d", got)
	}
	if got := get("127.0.0.2", "evil.example"); got != http.StatusForbidden {
		t.Errorf("with a name: %d", got)
	}
}

func TestOrigin(t *testing.T) {
	s := open(t, withToken(t))
	own := "http://" + s.Address()
	for _, c := range []struct {
		headers []string
		good    bool
	}{
		{nil, true},
		{[]string{"Origin", own}, true},
		{[]string{"Origin", own, "Sec-Fetch-Site", "same-origin"}, true},
		{[]string{"Sec-Fetch-Site", "same-origin"}, true},
		{[]string{"Origin", "https://" + s.Address()}, true}, // behind a proxy with TLS
		{[]string{"Origin", "http://evil.example"}, false},
		{[]string{"Origin", "http://localhost:1"}, false},
		{[]string{"Origin", "null"}, false},
		{[]string{"Origin", ""}, false},
		{[]string{"Origin", own + ".evil.example"}, false},
		{[]string{"Origin", own, "Origin", "http://evil.example"}, false},
		{[]string{"Origin", own, "Sec-Fetch-Site", "cross-site"}, false},
		{[]string{"Sec-Fetch-Site", "cross-site"}, false},
		{[]string{"Sec-Fetch-Site", "same-site"}, false},
	} {
		status := http.StatusOK
		if !c.good {
			status = http.StatusForbidden
		}
		for _, path := range []string{"/v1/status", "/v1/events", "/v1/logs", "/access"} {
			s.want(status, "GET", path, "", c.headers...)
		}
		s.want(http.StatusOK, "GET", "/", "", c.headers...) // a link may lead here
		s.want(status, "POST", "/v1/apps/web/reload", "{}", append(c.headers, "Authorization", "Bearer "+secret)...)
		if got := len(s.master.orders) == 1; got != c.good {
			t.Errorf("with %v the order came through: %t", c.headers, got)
		}
		for len(s.master.orders) > 0 {
			<-s.master.orders
		}
	}
	// The question that a browser asks before it sends Authorization elsewhere has no answer.
	res, _ := s.ask("OPTIONS", "/v1/apps/web/reload", "", "Origin", "http://evil.example", "Access-Control-Request-Method", "POST")
	if res.StatusCode != http.StatusForbidden || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("the preflight was answered with %d %v", res.StatusCode, res.Header)
	}
}

func TestHeaders(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/", "/app.js", "/v1/status", "/nothing"} {
		res, _ := s.ask("GET", path, "")
		h := res.Header
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy lacks %s", part)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error("the policy allows what is unsafe")
	}
}

// The page needs nothing from outside, and is small.
func TestFiles(t *testing.T) {
	s := open(t)
	total := 0
	for _, in := range inlined {
		if index := files(); !slices.ContainsFunc(index, func(f *file) bool { return bytes.Contains(f.data, []byte(in.before+string(read(in.name)))) }) {
			t.Errorf("%s is not in the page", in.name)
		}
	}
	for _, f := range files() {
		total += len(f.data)
		path := strings.TrimSuffix(f.path, "{$}")
		res, text := s.ask("GET", path, "")
		if res.StatusCode != http.StatusOK || text != string(f.data) || res.Header.Get("Content-Type") != f.contentType {
			t.Errorf("%s: status %d, type %s", path, res.StatusCode, res.Header.Get("Content-Type"))
		}
		if res, _ := s.ask("GET", path, "", "If-None-Match", res.Header.Get("ETag")); res.StatusCode != http.StatusNotModified {
			t.Errorf("%s: status %d for what the browser has", path, res.StatusCode)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if strings.Contains(line, "://") && !strings.Contains(line, "http://www.w3.org/2000/svg") { // a namespace, not an address
				t.Errorf("%s names another server: %s", path, line)
			}
			for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "document.cookie", "localStorage.setItem('token", " style=\"", " onclick="} {
				if strings.Contains(line, word) {
					t.Errorf("%s uses %s: %s", path, word, line)
				}
			}
		}
	}
	t.Logf("the page has %d bytes", total)
	if total >= 150<<10 {
		t.Errorf("the page has %d bytes, it may have 150 KiB", total)
	}
}

func TestTokenFile(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string // in the error; "": none
	}{
		"good":           {secret + "\n", 0o600, ""},
		"read only":      {secret, 0o400, ""},
		"others read":    {secret, 0o644, "0644"},
		"group reads":    {secret, 0o640, "chmod 600"},
		"empty":          {"\n", 0o600, "16 at least"},
		"short":          {"secret", 0o600, "6 characters"},
		"long":           {strings.Repeat("x", maxToken+1), 0o600, "more than 1024"},
		"two lines":      {secret + "\n" + secret, 0o600, "more than one line"},
		"not printable":  {secret + "\x00", 0o600, "printable"},
		"not even ASCII": {secret + "ü", 0o600, "printable"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readToken(tokenFile(t, c.text, c.mode))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one with %q", err, c.want)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("the error tells the token: %v", err)
			}
		})
	}
	if _, err := readToken(t.TempDir()); err == nil {
		t.Error("a folder was taken for a token")
	}
	s := New(http.NotFoundHandler(), Options{Listen: "127.0.0.1:0", TokenFile: filepath.Join(t.TempDir(), "none")})
	if err := s.Listen(); err == nil || s.Address() != "" {
		t.Errorf("it listens without its token: %v", err)
	}
}

func TestListenTwice(t *testing.T) {
	s := open(t)
	other := New(http.NotFoundHandler(), Options{Listen: s.Address()})
	if err := other.Listen(); err == nil {
		t.Error("two listen at one address")
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// follow opens a stream and reads its first event.
func (s *site) follow() io.Closer {
	s.t.Helper()
	r, err := http.NewRequest("GET", "http://"+s.Address()+"/v1/events?last=10&follow=true", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("status %d", res.StatusCode)
	}
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line != "id: 7\n" {
		s.t.Fatalf("read %q, %v", line, err)
	}
	return res.Body
}

func TestStreamsAreBounded(t *testing.T) {
	s := open(t)
	var all []io.Closer
	for range maxStreams {
		all = append(all, s.follow())
	}
	s.want(http.StatusServiceUnavailable, "GET", "/v1/logs", "")
	s.want(http.StatusOK, "GET", "/v1/status", "")
	for _, c := range all {
		c.Close()
	}
	deadline := time.Now().Add(bound)
	for len(s.streams) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are left", len(s.streams))
		}
		s.want(http.StatusOK, "GET", "/v1/status", "")
	}
}

// A page that is open does not hold up the end of the master.
func TestCloseEndsStreams(t *testing.T) {
	s := open(t)
	defer s.follow().Close()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > closeGrace {
		t.Errorf("Close took %s", took)
	}
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if err := s.Serve(); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := open(t)
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for range maxConns {
		c, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	last, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	all[0].SetDeadline(time.Now().Add(headerTimeout / 2)) // before the idle ones end by themselves
	if _, err := all[0].Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the oldest idle connection was not closed for one more: %v", err)
	}
	if _, err := io.WriteString(last, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	last.SetDeadline(time.Now().Add(headerTimeout / 2))
	if n, err := last.Read(make([]byte, 1)); n != 1 {
		t.Errorf("the connection beside %d idle ones: %v, want an answer", maxConns, err)
	}
}

func TestLargeOrder(t *testing.T) {
	s := open(t, withToken(t))
	body := `{"reason":"` + strings.Repeat("x", maxBody) + `"}`
	s.want(http.StatusRequestEntityTooLarge, "POST", "/v1/apps/web/reload", body, "Authorization", "Bearer "+secret)
}

func TestNames(t *testing.T) {
	for listen, want := range map[string][]string{
		":7077":            {"127.0.0.1", "::1", "localhost"},
		"0.0.0.0:7077":     {"127.0.0.1", "::1", "localhost"},
		"[::]:7077":        {"127.0.0.1", "::1", "localhost"},
		"Tine.lan:7077":    {"127.0.0.1", "::1", "localhost", "tine.lan"},
		"[fe80::1%lo]:707": {"127.0.0.1", "::1", "fe80::1", "localhost"},
	} {
		var got []string
		for name := range namesOf(listen, nil) {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: names %v, want %v", listen, got, want)
		}
	}
}
