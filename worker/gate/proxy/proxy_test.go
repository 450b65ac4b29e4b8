package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is a proxy with a server before it.
type front struct {
	*httptest.Server
	picker *gate.Picker
	proxy  *Proxy
	log    chan Access
}

// frontOf passes requests on to the servers at these addresses, the first that has room and was not tried.
func frontOf(t *testing.T, change func(*Options), addresses ...string) *front {
	t.Helper()
	picker, err := gate.New(gate.Options{Way: gate.First})
	if err != nil {
		t.Fatal(err)
	}
	var table members.Table
	for i, a := range addresses {
		table.Members = append(table.Members, members.Member{ID: fmt.Sprint("m", i), Address: a, Weight: 1, State: members.Ready})
	}
	picker.Update(table, 1)
	f := &front{picker: picker, log: make(chan Access, 1000)}
	o := Options{Picker: picker, Log: func(a Access) { f.log <- a }}
	if change != nil {
		change(&o)
	}
	if f.proxy, err = New(o); err != nil {
		t.Fatal(err)
	}
	f.Server = httptest.NewServer(f.proxy)
	t.Cleanup(func() {
		f.Client().CloseIdleConnections()
		f.Close()
		f.proxy.Close()
	})
	return f
}

func server(t *testing.T, h http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// closed is an address at which connections are refused.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// raw is a member that gives each connection to f.
func raw(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); f(c) })
		}
	})
	return l.Addr().String()
}

func (f *front) do(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPassesOn(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r
		w.Header().Set("X-Own", "yes")
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "no")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s of %d bytes", r.Method, len(b))
	})
	f := frontOf(t, nil, at)
	r := request(t, "POST", f.URL+"/a%2Fb?q=1&q=2", strings.NewReader("hello"))
	r.Host = "example.org"
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	r.Header.Set("X-Real-IP", "1.2.3.4")
	r.Header.Set("Connection", "X-Hop")
	r.Header.Set("X-Hop", "secret")
	r.Header.Set("Te", "trailers")
	r.Header.Set("Cookie", "a=b")
	res, text := f.do(t, r)
	if res.StatusCode != http.StatusCreated || text != "POST of 5 bytes" || res.Header.Get("X-Own") != "yes" || res.Header.Get("X-Private") != "" {
		t.Errorf("%s %q %v", res.Status, text, res.Header)
	}
	in := <-got
	if in.RequestURI != "/a%2Fb?q=1&q=2" || in.Host != "example.org" || in.ContentLength != 5 || in.Header.Get("Cookie") != "a=b" {
		t.Errorf("%s %s %d %v", in.RequestURI, in.Host, in.ContentLength, in.Header)
	}
	for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "example.org", "X-Forwarded-Proto": "http", "X-Real-Ip": "", "X-Hop": "", "Te": ""} {
		if got := in.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	id := in.Header.Get("X-Request-Id")
	a := <-f.log
	if id == "" || res.Header.Get("X-Request-Id") != id || a.ID != id || a.Member != "m0" || a.Status != 201 || a.Tries != 1 || a.Err != nil {
		t.Errorf("request %q, access %+v", id, a)
	}
}

// TestTrusted: a proxy before this one is believed, and added to, if it is in a trusted network.
func TestTrusted(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	at := server(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	f := frontOf(t, func(o *Options) { o.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }, at)
	r := request(t, "GET", f.URL, nil)
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Request-Id", "mine")
	f.do(t, r)
	h := <-got
	if h.Get("X-Forwarded-For") != "1.2.3.4, 127.0.0.1" || h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Request-Id") != "mine" {
		t.Errorf("%v", h)
	}
}

// TestBodies: bodies of every kind arrive whole, both ways, and trailers with them.
func TestBodies(t *testing.T) {
	t.Parallel()
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/echo" {
			_ = http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Trailer", "X-Sum")
			n, _ := io.Copy(w, r.Body)
			w.Header().Set("X-Sum", fmt.Sprint(n, r.Trailer.Get("X-Client")))
		}
	})
	f := frontOf(t, nil, at)
	for _, n := range []int{0, 1, 1000, inlineBody, inlineBody + 1, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			data := bytes.Repeat([]byte("x"), n)
			var body io.Reader = bytes.NewReader(data)
			r := request(t, "POST", f.URL+"/echo", body)
			want := fmt.Sprint(n)
			if chunked {
				r.Body, r.ContentLength = io.NopCloser(body), -1
				r.Trailer = http.Header{"X-Client": {"end"}}
				want += "end"
			}
			res, text := f.do(t, r)
			if text != string(data) || res.Trailer.Get("X-Sum") != want {
				t.Errorf("%d bytes, chunked %t: %d came back, trailer %q, want %q", n, chunked, len(text), res.Trailer.Get("X-Sum"), want)
			}
		}
	}
	for _, method := range []string{"HEAD", "DELETE", "PUT", "PATCH", "OPTIONS"} {
		if res, _ := f.do(t, request(t, method, f.URL+"/", nil)); res.StatusCode != 200 {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
}

// TestAnswersEarly: a member that answers before it has read the body is heard, and nothing stands still.
func TestAnswersEarly(t *testing.T) {
	t.Parallel()
	at := raw(t, func(c net.Conn) {
		_, _ = bufio.NewReaderSize(c, 16).ReadString('\n')
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!")
	})
	f := frontOf(t, nil, at)
	in, out := io.Pipe()
	go func() { // the client goes on to send until it is stopped
		for {
			if _, err := out.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}()
	r := request(t, "POST", f.URL, in)
	res, err := f.Client().Do(r)
	in.Close()
	if err != nil {
		return // the server may close the connection while the client still writes: the client sees that instead
	}
	defer res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("%s", res.Status)
	}
}

func TestEarlyHintsAndExpect(t *testing.T) {
	t.Parallel()
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, len(b))
	})
	f := frontOf(t, nil, at)
	var hints atomic.Value
	r := request(t, "POST", f.URL, strings.NewReader("12345"))
	r.Header.Set("Expect", "100-continue")
	r = r.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints {
				hints.Store(h.Get("Link"))
			}
			return nil
		},
	}))
	if res, text := f.do(t, r); text != "5" || hints.Load() != "</a.css>" || res.Header.Get("Link") != "" {
		t.Errorf("%q, hints %v, %v", text, hints.Load(), res.Header)
	}
}

// TestStream: an event reaches the client when it is written, not when the answer ends.
func TestStream(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	f := frontOf(t, nil, at)
	res, err := f.Client().Get(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
		next <- struct{}{}
	}
}

// TestRefused: a request whose connection is refused goes to another member, whatever its method, with its body.
func TestRefused(t *testing.T) {
	t.Parallel()
	at := server(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	for _, method := range []string{"GET", "POST"} {
		f := frontOf(t, nil, closed(t), closed(t), at)
		res, text := f.do(t, request(t, method, f.URL, strings.NewReader("body")))
		if a := <-f.log; res.StatusCode != 200 || text != "body" || a.Tries != 3 || a.Member != "m2" {
			t.Errorf("%s: %s %q %+v", method, res.Status, text, a)
		}
	}
}

// TestNone: what the client gets where no member answers, and why.
func TestNone(t *testing.T) {
	t.Parallel()
	silent := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	begins := func(text string) string {
		return raw(t, func(c net.Conn) { _, _ = io.WriteString(c, text); _, _ = io.Copy(io.Discard, c) })
	}
	half, rubbish := begins("HTTP/1"), begins(strings.Repeat("\x00", 10_000)+"\n")
	for name, c := range map[string]struct {
		addresses []string
		status    int
		want      string
	}{
		"no member":    {nil, 503, "no member is ready"},
		"all refuse":   {[]string{closed(t), closed(t)}, 502, "the server did not answer"},
		"none in time": {[]string{silent}, 504, "did not answer in time"},
		"half a head":  {[]string{half, silent}, 504, "did not answer in time"}, // and it goes to no other
		"rubbish":      {[]string{rubbish}, 502, "the server did not answer"},
	} {
		f := frontOf(t, func(o *Options) { o.AnswerTimeout = 50 * time.Millisecond }, c.addresses...)
		res, text := f.do(t, request(t, "GET", f.URL, nil))
		if res.StatusCode != c.status || !strings.Contains(text, c.want) || (c.status == 503) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %s %q", name, res.Status, text)
		}
		if a := <-f.log; a.Err == nil || a.Status != c.status || !strings.Contains(text, a.ID) || name != "all refuse" && a.Tries > 1 || len(a.Err.Error()) > 400 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestDies: a member that dies before the first byte of its answer has perhaps begun. Only what may be begun twice is sent again.
func TestDies(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	dies := raw(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			begun.Add(1)
		}
	})
	at := server(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	f := frontOf(t, nil, dies, at)
	if res, text := f.do(t, request(t, "GET", f.URL, nil)); res.StatusCode != 200 || text != "ok" {
		t.Errorf("GET: %s %q", res.Status, text)
	}
	if res, _ := f.do(t, request(t, "POST", f.URL, nil)); res.StatusCode != 502 {
		t.Errorf("POST: %s", res.Status)
	}
	if n := begun.Load(); n != 2 {
		t.Errorf("%d requests begun, want 2", n)
	}
}

// TestRetryStatus: with it an idempotent request goes on to another member; without another one the client gets the member's status.
func TestRetryStatus(t *testing.T) {
	t.Parallel()
	busy := server(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
	at := server(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	retry := func(o *Options) { o.RetryStatus = []int{503} }
	for _, c := range []struct {
		method    string
		change    func(*Options)
		addresses []string
		status    int
	}{
		{"GET", retry, []string{busy, at}, 200}, {"POST", retry, []string{busy, at}, 503},
		{"GET", nil, []string{busy, at}, 503}, {"GET", retry, []string{busy}, 503},
	} {
		f := frontOf(t, c.change, c.addresses...)
		if res, _ := f.do(t, request(t, c.method, f.URL, nil)); res.StatusCode != c.status {
			t.Errorf("%+v: %s", c, res.Status)
		}
	}
	if _, err := New(Options{Picker: new(gate.Picker), RetryStatus: []int{500}}); err == nil {
		t.Error("a retry of 500 is accepted")
	}
}

// TestBudget: where all fail under load, at most a fifth of the requests is sent again, and 10 a second.
func TestBudget(t *testing.T) {
	t.Parallel()
	var b budget
	now := time.Unix(0, 0)
	sent := 0
	for range 1000 {
		b.request(now)
		for b.retry(now) {
			sent++
		}
	}
	if sent != 10+200 {
		t.Errorf("%d retries of 1000 requests at one moment, want 210", sent)
	}
	now = now.Add(3 * time.Second)
	for b.retry(now) {
		sent++
	}
	if sent != 240 {
		t.Errorf("%d retries after 3 s more, want 240", sent)
	}
}

// TestStale: a member that has closed an idle connection loses no request, not even one that must not be sent twice.
func TestStale(t *testing.T) {
	t.Parallel()
	closing := make(chan struct{}, 1)
	at := raw(t, func(c net.Conn) {
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			closing <- struct{}{}
		}
	})
	f := frontOf(t, nil, at)
	for range 20 {
		if res, text := f.do(t, request(t, "POST", f.URL, strings.NewReader("x"))); res.StatusCode != 200 || text != "ok" {
			t.Fatalf("%s %q", res.Status, text)
		}
		<-closing
		// The connection that was given back is known to be closed before the next request is sent.
		if u := f.proxy.pool.last(at); u != nil {
			waitClosed(t, u)
			u.put()
		}
	}
}

func waitClosed(t *testing.T, u *upstream) {
	t.Helper()
	_ = u.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := u.in.Peek(1); err != io.EOF {
		t.Fatalf("the member has not closed: %v", err)
	}
	_ = u.SetReadDeadline(time.Time{})
}

// TestReuse: one connection serves all requests that come one after the other.
func TestReuse(t *testing.T) {
	t.Parallel()
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	f := frontOf(t, nil, s.Listener.Addr().String())
	for i := range 20 {
		f.do(t, request(t, "POST", f.URL, strings.NewReader(strings.Repeat("x", i*10_000))))
	}
	if n := conns.Load(); n > 20/2 { // a body that is sent beside may not be known to be over when its answer is
		t.Errorf("%d connections for 20 requests", n)
	}
}

// TestCut: an answer that the member cuts off is cut off at the client too, and never looks whole.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		at := raw(t, func(c net.Conn) {
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head+"\r\n\r\n5\r\nhello\r\n")
			}
		})
		f := frontOf(t, nil, at)
		res, err := f.Client().Get(f.URL)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the answer looks whole", head)
		}
		if a := <-f.log; a.Err == nil {
			t.Errorf("%s: %+v", head, a)
		}
	}
}

// TestClientGone: when the client goes, the member sees it, and the place at the member is given up.
func TestClientGone(t *testing.T) {
	t.Parallel()
	arrived, gone := make(chan struct{}), make(chan struct{})
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	f := frontOf(t, nil, at)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-arrived; cancel() }()
	if _, err := f.Client().Do(request(t, "GET", f.URL, nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	<-gone
	if a := <-f.log; a.Err == nil || a.Status != 0 {
		t.Errorf("%+v", a)
	}
	if text := f.picker.Explain(2)[0].Text; !strings.Contains(text, "0 in flight") {
		t.Errorf("%s", text)
	}
}

// TestUpgrade: bytes sent right behind the request, and right behind the answer, arrive; so does the end of one direction.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	at := raw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		if r, err := http.ReadRequest(in); err != nil || r.Header.Get("Upgrade") != "echo" {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nSec-Own: 1\r\n\r\nwelcome ")
		_, _ = io.Copy(c, in)
		_, _ = io.WriteString(c, " bye")
	})
	f := frontOf(t, nil, at)
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" || res.Header.Get("Sec-Own") != "1" {
		t.Fatalf("%v, %v", res, err)
	}
	_, _ = io.WriteString(c, "late")
	_ = c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(in)
	if err != nil || string(b) != "welcome early late bye" {
		t.Errorf("%q, %v", b, err)
	}
	if a := <-f.log; a.Status != 101 || a.Err != nil {
		t.Errorf("%+v", a)
	}
}

// TestSmuggling: what two servers could read differently is refused, with the connection closed, or reaches the member as one request
// that is written anew.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // the proxy has broken it off
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s %q", r.Method, r.RequestURI, b))
	})
	f := frontOf(t, nil, at)
	const inner = "GET /inner HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, c := range map[string]struct{ send, want string }{
		"two lengths":                 {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", ""},
		"length and chunks":           {"POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", `POST /a ""`},
		"two codings":                 {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner, ""},
		"a coding with a comma":       {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n" + inner, ""},
		"a coding with a space":       {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, ""},
		"a coding twice":              {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, ""},
		"a bare line feed in a chunk": {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n", ""},
		"a chunk that is too long":    {"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na", ""},
		"chunks in HTTP/1.0":          {"POST /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + inner, `POST /a ""`},
		"DELETE with chunks":          {"DELETE /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", `DELETE /a "abc"`},
		"an absolute target":          {"GET http://other/a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", `GET /a?b ""`},
		"no host":                     {"GET /a HTTP/1.1\r\n\r\n", ""},
		"a space in a name":           {"GET /a HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n", ""},
	} {
		mu.Lock()
		seen = nil
		mu.Unlock()
		status, err := exchangeRaw(f.Listener.Addr().String(), c.send)
		mu.Lock()
		got := strings.Join(seen, "; ")
		mu.Unlock()
		if got != c.want || (c.want == "") != (status == 400 || status == 501) || err != nil {
			t.Errorf("%s: status %d, %v; the member saw %s; want %s", name, status, err, got, c.want)
		}
	}
}

// exchangeRaw sends text, and returns the status of the first answer when the server has closed the connection.
func exchangeRaw(address, text string) (int, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return 0, err
	}
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, in)
	return res.StatusCode, err
}
