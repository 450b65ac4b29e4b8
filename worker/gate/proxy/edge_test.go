package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRestOfBody: where a member answers before the client has sent its body, what the client sends of it later is not taken for a
// request.
func TestRestOfBody(t *testing.T) {
	t.Parallel()
	requests := make(chan string, 10)
	at := raw(t, func(c net.Conn) {
		in := bufio.NewReaderSize(c, 16)
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		requests <- line
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = io.Copy(io.Discard, in)
	})
	f := frontOf(t, nil, at)
	const n = inlineBody + 1000
	const inner = "GET /inner HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, head := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n", n), "Transfer-Encoding: chunked\r\n\r\n4000\r\n"} {
		c, err := net.Dial("tcp", f.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "POST /a HTTP/1.1\r\nHost: h\r\n"+head+"beginning")
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		<-f.log
		_, _ = io.WriteString(c, inner)
		if res, err := http.ReadResponse(in, nil); err == nil {
			t.Errorf("the rest of a body was answered: %s", res.Status)
		}
		if got := <-requests; !strings.HasPrefix(got, "POST /a ") || len(requests) > 0 {
			t.Errorf("the member saw %q, and %d more", got, len(requests))
		}
	}
}

// TestTargets: a member gets paths alone, whatever the client writes for a target, and no CONNECT.
func TestTargets(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	at := raw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		line, _ := in.ReadString('\n')
		seen <- line
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	f := frontOf(t, nil, at)
	for line, status := range map[string]int{
		"GET a:http://inside/secret": 400, "GET http:secret": 400, "GET *": 400, "CONNECT inside:80": 501, "CONNECT /a": 501, "GET //inside/a": 200,
	} {
		got, err := exchangeRaw(f.Listener.Addr().String(), line+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if got != status || err != nil {
			t.Errorf("%s: %d, %v; want %d", line, got, err, status)
		}
		if (status == 200) != (len(seen) == 1) {
			t.Errorf("%s: %d requests reach the member: %q", line, len(seen), <-seen)
		} else if status == 200 {
			if got := <-seen; got != line+" HTTP/1.1\r\n" {
				t.Errorf("%s: the member saw %q", line, got)
			}
		}
	}
}

// TestTrailers: each trailer arrives once, and none that would count as a header of the request or of the connection.
func TestTrailers(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	at := server(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
		w.Header().Set(http.TrailerPrefix+"Connection", "X-Sum")
	})
	f := frontOf(t, nil, at)
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"+
		"X-Client: end\r\nHost: other\r\nContent-Length: 7\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: x\r\nConnection: close\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if h := <-got; fmt.Sprint(h) != "map[X-Client:[end]]" {
		t.Errorf("of the client: %v", h)
	}
	if fmt.Sprint(res.Trailer) != "map[X-More:[2] X-Sum:[1]]" {
		t.Errorf("of the member: %v", res.Trailer)
	}
}

// TestRetryAtOnce: an answer that is not wanted is not waited for.
func TestRetryAtOnce(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	slow := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	at := server(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	f := frontOf(t, func(o *Options) { o.RetryStatus = []int{503} }, slow, at)
	late := time.AfterFunc(5*time.Second, func() { close(end) })
	if res, text := f.do(t, request(t, "GET", f.URL, nil)); res.StatusCode != 200 || text != "ok" {
		t.Errorf("%s %q", res.Status, text)
	}
	if !late.Stop() {
		t.Error("the proxy has waited for the end of an answer that it does not pass on")
	}
}

// TestDiesInBody: a client that still sends its body when the member dies is told so.
func TestDiesInBody(t *testing.T) {
	t.Parallel()
	at := raw(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.CopyN(io.Discard, c, 100)
	})
	f := frontOf(t, nil, at)
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 502 || !res.Close {
		t.Errorf("%+v, %v", res, err)
	}
	if a := <-f.log; a.Status != 502 {
		t.Errorf("%+v", a)
	}
}

// TestChangesEarly: a member that changes the protocol before it has the body of the request gets no tunnel.
func TestChangesEarly(t *testing.T) {
	t.Parallel()
	at := raw(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	f := frontOf(t, nil, at)
	got, err := exchangeRaw(f.Listener.Addr().String(),
		"POST /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	if got != 502 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

// TestNotPassedOn: what a client says with headers that it must not say reaches no member.
func TestNotPassedOn(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	at := server(t, func(_ http.ResponseWriter, r *http.Request) { got <- r })
	f := frontOf(t, nil, at)
	status, err := exchangeRaw(f.Listener.Addr().String(), "GET / HTTP/1.0\r\nX_Forwarded_For: 1.2.3.4\r\nX_Request-Id: mine\r\nX_own: 1\r\n\r\n")
	if err != nil || status != 200 {
		t.Fatalf("%d, %v", status, err)
	}
	r := <-got
	if r.Host != at || r.Header["X_forwarded_for"] != nil || r.Header["X_request-Id"] != nil || r.Header.Get("X_own") != "1" {
		t.Errorf("%s %v", r.Host, r.Header)
	}
	in := request(t, "GET", f.URL, nil)
	in.Header = http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAMAAABkAAQAAP__"}}
	f.do(t, in)
	if r := <-got; r.Header["Upgrade"] != nil || r.Header["Http2-Settings"] != nil || r.Header["Connection"] != nil {
		t.Errorf("%v", r.Header)
	}
}

// TestNoRetryOfSlow: a request that a member has for too long is not begun at another one.
func TestNoRetryOfSlow(t *testing.T) {
	t.Parallel()
	silent := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	at := server(t, func(w http.ResponseWriter, r *http.Request) {})
	f := frontOf(t, func(o *Options) { o.AnswerTimeout = 50 * time.Millisecond }, silent, at)
	if res, _ := f.do(t, request(t, "GET", f.URL, nil)); res.StatusCode != 504 {
		t.Errorf("%s", res.Status)
	}
	if a := <-f.log; a.Tries != 1 {
		t.Errorf("%+v", a)
	}
}

// TestGoneBeforeSent: a client that has gone before its request is sent is not waited for.
func TestGoneBeforeSent(t *testing.T) {
	t.Parallel()
	silent := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	f := frontOf(t, nil, silent)
	u, err := f.proxy.pool.dial(context.Background(), silent, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	of := &forwarding{proxy: f.proxy, r: request(t, "GET", f.URL, nil).WithContext(ctx)}
	_ = u.SetDeadline(time.Unix(1, 0)) // as exchange does when the client goes
	s := of.send(u)
	began := time.Now()
	if _, err := of.answer(u, s); err == nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// TestSweep: idle connections to a member that gets no request any more are closed, and its address is forgotten.
func TestSweep(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	at := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c); close(ended) })
	var p pool
	t.Cleanup(p.close)
	u, err := p.dial(context.Background(), at, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	u.put()
	p.mu.Lock()
	set := p.sweeps != nil
	u.idleAt = time.Now().Add(-idleTime)
	p.mu.Unlock()
	p.sweep()
	<-ended
	if p.mu.Lock(); !set || len(p.idle) != 0 || p.sweeps != nil {
		t.Errorf("a sweep is set: %t; %d addresses after it", set, len(p.idle))
	}
	p.mu.Unlock()
}
