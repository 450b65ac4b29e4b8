package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/eventually"
	"golang.org/x/net/http2"
)

func plainHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

// memberHTTP2 is a member that speaks HTTP/2 at a listener.
func memberHTTP2(t *testing.T, ln net.Listener, h http.HandlerFunc) *http.Server {
	t.Helper()
	srv := &http.Server{Handler: h, Protocols: plainHTTP2()}
	//lint:ignore SA1019 as package worker does
	if err := http2.ConfigureServer(srv, nil); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return srv
}

func listen(t *testing.T, network, at string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// frontHTTP2 is a front that speaks HTTP/2 to its clients and to the members.
func frontHTTP2(t *testing.T, change func(*Options), addresses ...string) *front {
	t.Helper()
	f := frontOf(t, func(o *Options) {
		o.HTTP2 = true
		if change != nil {
			change(o)
		}
	}, addresses...)
	f.Close()
	f.Server = httptest.NewUnstartedServer(f.proxy)
	f.Config.Protocols = plainHTTP2()
	//lint:ignore SA1019 as package worker does
	if err := http2.ConfigureServer(f.Config, nil); err != nil {
		t.Fatal(err)
	}
	f.Start()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	f.Client().Transport = tr
	t.Cleanup(func() { tr.CloseIdleConnections(); f.Close() })
	return f
}

// TestHTTP2Calls: a call as those of gRPC passes: headers first, then messages of both sides in turn, then trailers that nothing has
// announced. The client's connection serves the next call, and neither side is served by the copy of HTTP/2 in Go.
func TestHTTP2Calls(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		at := "127.0.0.1:0"
		if network == "unix" {
			at = filepath.Join(t.TempDir(), "m.sock")
		}
		ln := listen(t, network, at)
		memberHTTP2(t, ln, func(w http.ResponseWriter, r *http.Request) {
			if got := reflect.TypeOf(w).Elem().PkgPath(); got != "golang.org/x/net/http2" || r.ProtoMajor != 2 {
				t.Errorf("the member is asked in %s, by %s", r.Proto, got)
			}
			if r.Header.Get("Te") != "trailers" || r.URL.RequestURI() != "/a%2Fb/Call?x=1" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
				t.Errorf("%s %v", r.URL.RequestURI(), r.Header)
			}
			w.Header().Set("Content-Type", "application/grpc")
			w.WriteHeader(200)
			flush := http.NewResponseController(w)
			_ = flush.Flush()
			b := make([]byte, 10)
			for {
				n, err := r.Body.Read(b)
				if n > 0 {
					fmt.Fprintf(w, "<%s>", b[:n])
					_ = flush.Flush()
				}
				if err != nil {
					break
				}
			}
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", "end of "+r.Trailer.Get("X-Sum"))
		})
		f := frontHTTP2(t, nil, ln.Addr().String())
		from := ""
		for range 2 {
			in, out := io.Pipe()
			r := request(t, "POST", f.URL+"/a%2Fb/Call?x=1", in)
			r.Header.Set("Te", "trailers")
			r.Header.Set("Content-Type", "application/grpc")
			r.Trailer = http.Header{"X-Sum": nil}
			got := ""
			res, err := f.Client().Do(traced(r, &got))
			if err != nil {
				t.Fatal(err)
			}
			if from != "" && got != from {
				t.Errorf("the second call comes by another connection: %s, %s", from, got)
			}
			from = got
			answers := bufio.NewReader(res.Body)
			for _, m := range []string{"one", "two"} {
				_, _ = io.WriteString(out, m)
				if got, err := answers.ReadString('>'); got != "<"+m+">" {
					t.Fatalf("%q, %v", got, err)
				}
			}
			r.Trailer.Set("X-Sum", "7")
			out.Close()
			if _, err := io.ReadAll(answers); err != nil {
				t.Error(err)
			}
			if fmt.Sprint(res.Trailer) != "map[Grpc-Message:[end of 7] Grpc-Status:[0]]" {
				t.Errorf("%s: trailers %v", network, res.Trailer)
			}
			res.Body.Close()
			if a := <-f.log; a.Status != 200 || a.Err != nil {
				t.Errorf("%+v", a)
			}
		}
	}
}

// TestHTTP2Failures: a member that refuses is passed over, whatever the method; what it may have begun is not sent again by a POST; and
// one that does not answer is not waited for.
func TestHTTP2Failures(t *testing.T) {
	t.Parallel()
	ln := listen(t, "tcp", "127.0.0.1:0")
	memberHTTP2(t, ln, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s of %d", r.Method, len(b))
	})
	at := ln.Addr().String()
	post := func(f *front) (int, string) {
		res, text := f.do(t, request(t, "POST", f.URL, strings.NewReader("body")))
		return res.StatusCode, text
	}
	if status, text := post(frontHTTP2(t, nil, closed(t), at)); status != 200 || text != "POST of 4" {
		t.Errorf("refused: %d %q", status, text)
	}
	dies := raw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		_, _ = io.CopyN(io.Discard, in, int64(len(http2.ClientPreface)))
		fr := http2.NewFramer(c, in)
		_ = fr.WriteSettings()
		for {
			h, err := fr.ReadFrame()
			if _, ok := h.(*http2.HeadersFrame); ok || err != nil {
				return
			}
		}
	})
	if status, _ := post(frontHTTP2(t, nil, dies, at)); status != 502 {
		t.Errorf("a POST that may have begun: %d", status)
	}
	f := frontHTTP2(t, nil, dies, at)
	if res, text := f.do(t, request(t, "GET", f.URL, nil)); res.StatusCode != 200 || text != "GET of 0" {
		t.Errorf("a GET that may have begun: %d %q", res.StatusCode, text)
	}
	refusing := raw(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		_, _ = io.CopyN(io.Discard, in, int64(len(http2.ClientPreface)))
		fr := http2.NewFramer(c, in)
		_ = fr.WriteSettings()
		for {
			h, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if _, ok := h.(*http2.HeadersFrame); ok {
				_ = fr.WriteGoAway(0, http2.ErrCodeNo, nil)
				return
			}
		}
	})
	if status, text := post(frontHTTP2(t, nil, refusing, at)); status != 200 || text != "POST of 4" {
		t.Errorf("a member that goes away: %d %q", status, text)
	}
	silent := make(chan struct{})
	slow := listen(t, "tcp", "127.0.0.1:0")
	memberHTTP2(t, slow, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(silent)
	})
	if status, _ := post(frontHTTP2(t, func(o *Options) { o.AnswerTimeout = 50 * time.Millisecond }, slow.Addr().String(), at)); status != 504 {
		t.Errorf("silent: %d", status)
	}
	eventually.Receive(t, "the member is told", silent)
}

// TestHTTP2Drain: calls over the drain of a member, which tells its clients by GOAWAY, all succeed.
func TestHTTP2Drain(t *testing.T) {
	t.Parallel()
	ln, other := listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "127.0.0.1:0")
	h := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	first := memberHTTP2(t, ln, h)
	memberHTTP2(t, other, h)
	f := frontHTTP2(t, nil, ln.Addr().String(), other.Addr().String())
	down := make(chan error, 1)
	for i := range 200 {
		if i == 100 {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), eventually.Patience())
				defer cancel()
				down <- first.Shutdown(ctx)
			}()
		}
		if res, text := f.do(t, request(t, "POST", f.URL, strings.NewReader("body"))); res.StatusCode != 200 || text != "body" {
			t.Fatalf("call %d: %d %q", i, res.StatusCode, text)
		}
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// TestHTTP2ClientGoes: the member's request ends with the client's.
func TestHTTP2ClientGoes(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan struct{})
	ln := listen(t, "tcp", "127.0.0.1:0")
	memberHTTP2(t, ln, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	})
	f := frontHTTP2(t, nil, ln.Addr().String())
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-begun; cancel() }()
	if _, err := f.Client().Do(request(t, "GET", f.URL, nil).WithContext(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	eventually.Receive(t, "the member is told", ended)
}

// traced notes the client's address of the connection by which r is sent.
func traced(r *http.Request, local *string) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { *local = i.Conn.LocalAddr().String() }}))
}
