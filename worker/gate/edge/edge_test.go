package edge

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shown serves h at an edge, and returns its address.
func shown(t *testing.T, e *Edge, encrypted bool, h http.HandlerFunc) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := e.Server(h)
	//lint:ignore SA1019 as package worker does
	if err := http2.ConfigureServer(srv, nil); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(e.Listen(ln, encrypted)) }()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return ln.Addr().String()
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func dial(t *testing.T, to string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(eventually.Patience()))
	return c
}

// write writes a certificate for a name, and its key, to files.
func write(t *testing.T, f Files, name string) Files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl := &x509.Certificate{SerialNumber: serial, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if f.Certificate == "" {
		f.Certificate, f.Key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	}
	for path, block := range map[string]*pem.Block{f.Certificate: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestProtocols: HTTP/2 is spoken over TLS and, by a client that knows, without; and it is that of golang.org/x/net.
func TestProtocols(t *testing.T) {
	t.Parallel()
	certs, err := LoadCertificates([]Files{write(t, Files{}, "localhost")}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	implementation := func(w http.ResponseWriter, r *http.Request) {
		if s, ok := w.(*stream); ok {
			w = s.ResponseWriter
		}
		fmt.Fprint(w, r.Proto, " ", reflect.TypeOf(w).Elem().PkgPath())
	}
	ask := func(set func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		set(p, true)
		return p
	}
	for name, c := range map[string]struct {
		encrypted, http2 bool
		ask              *http.Protocols
		want             string
	}{
		"HTTP/2 over TLS":    {true, true, nil, "HTTP/2.0 golang.org/x/net/http2"},
		"HTTP/2 without TLS": {false, true, ask((*http.Protocols).SetUnencryptedHTTP2), "HTTP/2.0 golang.org/x/net/http2"},
		"HTTP/1.1 over TLS":  {true, false, nil, "HTTP/1.1 net/http"},
		"HTTP/1.1":           {false, true, ask((*http.Protocols).SetHTTP1), "HTTP/1.1 net/http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := shown(t, New(Options{Certificates: certs, HTTP2: c.http2, Log: quiet()}), c.encrypted, implementation)
			tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, Protocols: c.ask}
			t.Cleanup(tr.CloseIdleConnections)
			scheme := "http://"
			if c.encrypted {
				scheme = "https://"
			}
			res, err := (&http.Client{Transport: tr}).Get(scheme + to)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if got, _ := io.ReadAll(res.Body); string(got) != c.want {
				t.Errorf("served by %s, want %s", got, c.want)
			}
		})
	}
}

// TestNoOldTLS: a client that knows no TLS from 1.2 on is refused.
func TestNoOldTLS(t *testing.T) {
	t.Parallel()
	certs, err := LoadCertificates([]Files{write(t, Files{}, "localhost")}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	to := shown(t, New(Options{Certificates: certs, Log: quiet()}), true, func(http.ResponseWriter, *http.Request) {})
	if _, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// TestSlowBody: a body that stalls, and one that comes too slowly, end; the handler learns why.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"stalled":          "Content-Length: 100\r\n\r\nbegin",
		"stalled at once":  "Content-Length: 100\r\n\r\n",
		"stalled in chunk": "Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			e := New(Options{Limits: Limits{Rate: 10000}, Log: quiet()})
			e.grace = 20 * time.Millisecond
			to := shown(t, e, false, func(w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				ended <- err
			})
			c := dial(t, to)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\n"+body)
			if err := eventually.Receive(t, "the body ends", ended); !errors.Is(err, ErrSlow) {
				t.Errorf("got %v", err)
			}
			if _, err := io.ReadAll(c); err != nil {
				t.Errorf("the connection stays: %v", err)
			}
		})
	}
}

// TestCredit: silence is taken from the credit, bytes add to it, and there is a bound to it.
func TestCredit(t *testing.T) {
	t.Parallel()
	b := &body{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))), rate: 240, credit: grace, late: newAlarm(func(time.Time) error { return nil })}
	p := make([]byte, 2400)
	if n, err := b.Read(p); n != 2400 || err != nil || b.credit <= 14*time.Second || b.credit > 15*time.Second {
		t.Errorf("%d bytes, %v, credit %s", n, err, b.credit)
	}
	_, _ = io.Copy(io.Discard, b)
	if b.credit > mostCredit {
		t.Errorf("credit %s", b.credit)
	}
}

// TestSlowReader: an answer that the client does not read ends, with TLS too, and on one stream of HTTP/2 alone.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	certs, err := LoadCertificates([]Files{write(t, Files{}, "localhost")}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for _, encrypted := range []bool{false, true} {
		ended := make(chan error, 1)
		e := New(Options{Certificates: certs, Log: quiet()})
		e.grace = 20 * time.Millisecond
		to := shown(t, e, encrypted, func(w http.ResponseWriter, r *http.Request) {
			b := make([]byte, 64<<10)
			for {
				if _, err := w.Write(b); err != nil {
					ended <- err
					return
				}
			}
		})
		c := dial(t, to)
		if encrypted {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if err := eventually.Receive(t, "the answer ends", ended); !errors.Is(err, ErrSlow) {
			t.Errorf("TLS %t: %v", encrypted, err)
		}
	}
}

// TestSlowStream: a client of HTTP/2 that does not read one answer loses that one, and its connection serves on.
func TestSlowStream(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	e := New(Options{HTTP2: true, Limits: Limits{Rate: 1 << 20}, Log: quiet()})
	e.grace = 20 * time.Millisecond
	to := shown(t, e, false, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			fmt.Fprint(w, r.RemoteAddr)
			return
		}
		b := make([]byte, 64<<10)
		for {
			if _, err := w.Write(b); err != nil {
				ended <- err
				return
			}
		}
	})
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	client := &http.Client{Transport: tr}
	short := func() string {
		res, err := client.Get("http://" + to + "/short")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return string(b)
	}
	before := short()
	res, err := client.Get("http://" + to + "/long")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := eventually.Receive(t, "the answer ends", ended); err == nil {
		t.Error("no error")
	}
	if after := short(); after != before {
		t.Errorf("the connection was lost: %s, %s", before, after)
	}
}

// TestFast: what a client has taken counts, whether it was written before or just now.
func TestFast(t *testing.T) {
	t.Parallel()
	c := &conn{edge: New(Options{})}
	for _, one := range []struct {
		n, before, after int
		want             bool
	}{
		{0, 5000, 5000, false}, {0, 5000, 3800, true}, {0, 5000, 3801, false}, {1200, 5000, 5000, true}, {1199, 5000, 6198, false},
		{1, -1, -1, true}, {0, -1, -1, false},
	} {
		if got := c.fast(240, one.n, one.before, one.after); got != one.want {
			t.Errorf("%+v: %t", one, got)
		}
	}
}

func TestLongBody(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	to := shown(t, New(Options{Limits: Limits{Body: 10}, Log: quiet()}), false, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if len(b) > 10 {
			t.Errorf("%d bytes", len(b))
		}
		got <- err
	})
	for _, c := range []struct {
		body    string
		status  int
		handled bool
		long    bool
	}{
		{"Content-Length: 11\r\n\r\n12345678901", 413, false, true},
		{"Content-Length: 10\r\n\r\n1234567890", 200, true, false},
		{"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n6\r\n123456\r\n0\r\n\r\n", 200, true, true},
		{"Transfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n", 200, true, false},
	} {
		conn := dial(t, to)
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\n"+c.body)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != c.status || !c.handled && !res.Close {
			t.Errorf("%q: %v, %v", c.body, res, err)
		}
		if c.handled {
			long := (*http.MaxBytesError)(nil)
			if err := <-got; errors.As(err, &long) != c.long {
				t.Errorf("%q: %v", c.body, err)
			}
		}
		conn.Close()
	}
}

// TestConnections: above a bound a connection is closed, and one that has ended makes room.
func TestConnections(t *testing.T) {
	t.Parallel()
	for _, l := range []Limits{{Connections: 2}, {PerClient: 2}} {
		e := New(Options{Limits: l, Log: quiet()})
		to := shown(t, e, false, func(w http.ResponseWriter, r *http.Request) {})
		served := func(c net.Conn) bool {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			_, err := http.ReadResponse(bufio.NewReader(c), nil)
			return err == nil
		}
		one, two := dial(t, to), dial(t, to)
		if !served(one) || !served(two) {
			t.Fatalf("%+v: not served", l)
		}
		if served(dial(t, to)) {
			t.Errorf("%+v: a third is served", l)
		}
		one.Close()
		eventually.True(t, "there is room again", func() bool { return served(dial(t, to)) })
	}
}

func TestClientOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.1:80": "10.0.0.1", "[::ffff:10.0.0.1]:80": "10.0.0.1", "[2001:db8:1:2:3::4%eth0]:80": "2001:db8:1:2::",
	} {
		at, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := clientOf(at).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if clientOf(&net.UnixAddr{}).IsValid() {
		t.Error("a Unix socket has an address")
	}
}

// TestCertificates: the name that the client asks for chooses; files that change count, and broken ones do not.
func TestCertificates(t *testing.T) {
	t.Parallel()
	a, b := write(t, Files{}, "a.test"), write(t, Files{}, "b.test")
	certs, err := LoadCertificates([]Files{a, b}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{Certificates: certs, Log: quiet()})
	to := shown(t, e, true, func(http.ResponseWriter, *http.Request) {})
	serial := func(name string) (string, []string) {
		c, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true, ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		leaf := c.ConnectionState().PeerCertificates[0]
		return leaf.SerialNumber.String(), leaf.DNSNames
	}
	for name, want := range map[string]string{"a.test": "a.test", "b.test": "b.test", "other.test": "a.test"} {
		if _, got := serial(name); got[0] != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	before, _ := serial("b.test")
	if err := os.WriteFile(b.Key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	certs.last.Store(0)
	if after, _ := serial("b.test"); after != before {
		t.Error("a broken file counts")
	}
	write(t, b, "b.test")
	certs.last.Store(0)
	if after, _ := serial("b.test"); after == before {
		t.Error("a file that has changed does not count")
	}
	if _, err := LoadCertificates([]Files{{"/none", "/none"}}, quiet()); err == nil || !strings.HasPrefix(err.Error(), "cannot read the certificate /none") {
		t.Errorf("got %v", err)
	}
}
