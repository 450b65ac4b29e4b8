package proxyproto

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// accepted is what a listener gives for a client that sends these bytes, and its end.
func accepted(t *testing.T, from, sends string) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, sends)
	c.Close()
	got, err := Listen(ln, []netip.Prefix{netip.MustParsePrefix(from)}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { got.Close() })
	_ = got.SetDeadline(time.Now().Add(eventually.Patience()))
	return got
}

func TestHeads(t *testing.T) {
	t.Parallel()
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x07\x0a\x00\x00\x01\x00\x50\x01\xbb"
	for name, c := range map[string]struct{ from, sends, client, rest string }{
		"version 1":        {"127.0.0.0/8", "PROXY TCP4 10.0.0.7 10.0.0.1 80 443\r\nrest", "10.0.0.7:80", "rest"},
		"version 1, IPv6":  {"127.0.0.0/8", "PROXY TCP6 2001:db8::7 2001:db8::1 80 443\r\nrest", "[2001:db8::7]:80", "rest"},
		"version 2":        {"127.0.0.0/8", v2 + "rest", "10.0.0.7:80", "rest"},
		"version 2, local": {"127.0.0.0/8", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00rest", "127.0.0.1:", "rest"},
		"unknown":          {"127.0.0.0/8", "PROXY UNKNOWN\r\nrest", "127.0.0.1:", "rest"},
		"from elsewhere":   {"10.0.0.0/8", v2, "127.0.0.1:", v2},
	} {
		conn := accepted(t, c.from, c.sends)
		if at := conn.RemoteAddr().String(); !strings.HasPrefix(at, c.client) {
			t.Errorf("%s: client %s", name, at)
		}
		if b, err := io.ReadAll(conn); string(b) != c.rest || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for name, sends := range map[string]string{
		"none": "GET / HTTP/1.1\r\n\r\n", "endless": "PROXY " + strings.Repeat("x", 1000), "broken": "PROXY TCP4 a b c d\r\n", "nothing": "",
		"cut": v2[:20], "long": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "not quite": "PROXIED TCP4\r\n",
	} {
		conn := accepted(t, "127.0.0.0/8", sends)
		if n, err := conn.Read(make([]byte, 10)); n != 0 || err == nil || !strings.Contains(err.Error(), "cannot read the head") {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// TestHeadTravels: what Head writes is read.
func TestHeadTravels(t *testing.T) {
	t.Parallel()
	first := accepted(t, "127.0.0.0/8", "PROXY TCP4 10.0.0.7 10.0.0.1 80 443\r\n")
	b, err := Head(first)
	if err != nil {
		t.Fatal(err)
	}
	if next := accepted(t, "127.0.0.0/8", string(b)); next.RemoteAddr().String() != "10.0.0.7:80" {
		t.Errorf("%s", next.RemoteAddr())
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 10.0.0.7 10.0.0.1 80 443\r\nrest"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x07\x0a\x00\x00\x01\x00\x50\x01\xbb"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := strings.NewReader(string(b))
		head, err := readHead(r)
		if err == nil && string(head) != string(b[:len(b)-r.Len()]) {
			t.Fatalf("%d bytes are read for a head of %d", len(b)-r.Len(), len(head))
		}
	})
}
