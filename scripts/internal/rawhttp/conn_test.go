package rawhttp

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
)

func soon() time.Time { return time.Now().Add(5 * time.Second) }

// peer accepts one connection, reads a request's head and lets act do the rest.
func peer(t *testing.T, act func(c *net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 4096)
		if n, _ := c.Read(buf); !strings.Contains(string(buf[:n]), "\r\n\r\n") {
			t.Error("the head came in several pieces")
		}
		act(c.(*net.TCPConn))
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) *Conn {
	t.Helper()
	c, o, err := Dial(netip.Addr{}, addr, soon())
	if err != nil {
		t.Fatal(o, err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestOutcomes(t *testing.T) {
	const half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
	for _, c := range []struct {
		name string
		act  func(c *net.TCPConn)
		want Outcome
	}{
		{"whole answer", func(c *net.TCPConn) { io.WriteString(c, half+"world") }, OK},
		{"closed at once", func(*net.TCPConn) {}, EOF},
		{"closed in the body", func(c *net.TCPConn) { io.WriteString(c, half) }, Cut},
		{"closed in the head", func(c *net.TCPConn) { io.WriteString(c, half[:20]) }, Cut},
		{"reset", func(c *net.TCPConn) { c.SetLinger(0) }, Reset},
		{"other status", func(c *net.TCPConn) { io.WriteString(c, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n") }, BadStatus},
		{"no HTTP", func(c *net.TCPConn) { io.WriteString(c, "220 smtp.example.org ESMTP\r\n") }, Malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := dial(t, peer(t, c.act)).Do(Request{Method: "GET", Path: "/"}, soon())
			if a.Outcome != c.want {
				t.Errorf("outcome %v (%v), want %v", a.Outcome, a.Err, c.want)
			}
		})
	}
	t.Run("too slow", func(t *testing.T) {
		release := make(chan struct{})
		addr := peer(t, func(*net.TCPConn) { <-release })
		a := dial(t, addr).Do(Request{Method: "GET", Path: "/"}, time.Now().Add(50*time.Millisecond))
		close(release)
		if a.Outcome != Timeout {
			t.Errorf("outcome %v (%v), want %v", a.Outcome, a.Err, Timeout)
		}
	})
	t.Run("no listener", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		if _, o, err := Dial(netip.Addr{}, ln.Addr().String(), soon()); o != Refused {
			t.Errorf("outcome %v (%v), want %v", o, err, Refused)
		}
	})
}

func TestReuse(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(rw, "%s %d %v %s", r.URL, n, err, r.Header.Get("X-Id"))
	}))
	defer s.Close()
	c := dial(t, s.Listener.Addr().String())
	for _, r := range []Request{
		{Method: "GET", Path: "/a", Header: "X-Id: 7\r\n"},
		{Method: "POST", Path: "/b", Body: make([]byte, 100), Header: "X-Id: 7\r\n"},
		{Method: "POST", Path: "/c", Body: make([]byte, 50_000), Pieces: 7, Pause: time.Millisecond, Header: "X-Id: 7\r\n"},
		{Method: "POST", Path: "/d", Body: []byte{}, Header: "X-Id: 7\r\n", Close: true},
	} {
		if c.Closed() {
			t.Fatalf("closed before %s", r.Path)
		}
		a := c.Do(r, soon())
		want := fmt.Sprintf("%s %d <nil> 7", r.Path, len(r.Body))
		if a.Outcome != OK || string(a.Body) != want || a.Close != r.Close {
			t.Errorf("%s: %v %v %q, close %v", r.Path, a.Outcome, a.Err, a.Body, a.Close)
		}
	}
	eventually.True(t, "the server's end of the connection is seen", c.Closed)
	if o, err := c.End(soon()); o != OK {
		t.Errorf("the end is %v (%v), want %v", o, err, OK)
	}
}

func TestEnd(t *testing.T) {
	const whole = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name string
		act  func(c *net.TCPConn)
		want Outcome
	}{
		{"in order", func(c *net.TCPConn) { io.WriteString(c, whole) }, OK},
		{"more bytes", func(c *net.TCPConn) { io.WriteString(c, whole+"x") }, Malformed},
	} {
		conn := dial(t, peer(t, c.act))
		if a := conn.Do(Request{Method: "GET", Path: "/"}, soon()); a.Outcome != OK || !a.Close {
			t.Errorf("%s: the answer is %v (%v), close %v", c.name, a.Outcome, a.Err, a.Close)
		}
		if o, err := conn.End(soon()); o != c.want {
			t.Errorf("%s: the end is %v (%v), want %v", c.name, o, err, c.want)
		}
	}
}
