package worker

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

func get(t *testing.T, c *http.Client, url string) *http.Response {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// client is a raw HTTP/1.1 client with one connection, which sees every byte and never tries again.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, eventually.Patience())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(eventually.Patience()))
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("answer is cut: %v", err)
	}
	return res, string(b)
}

// closed waits until the server has closed the connection, and fails if it says anything more.
func (c *client) closed() {
	c.t.Helper()
	if n, err := c.r.Read(make([]byte, 1)); n != 0 || err == nil {
		c.t.Fatalf("got %d bytes, %v instead of the end", n, err)
	}
}

const hi = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// served is a worker that serves h.
type served struct {
	*Worker
	m    *master
	addr string
	ret  chan error
}

func serving(t *testing.T, h http.HandlerFunc, opts ...Option) *served {
	t.Helper()
	w, m := withMaster(t, nil, opts...)
	s := &served{Worker: w, m: m, addr: m.assign(), ret: make(chan error, 1)}
	go func() { s.ret <- w.Serve(h) }()
	expect[ipc.Ready](m)
	return s
}

// returned waits for the end of Serve and gives the last words.
func (s *served) returned() ipc.Bye {
	s.m.t.Helper()
	bye := expect[ipc.Bye](s.m)
	if err := eventually.Receive(s.m.t, "Serve returns", s.ret); err != nil {
		s.m.t.Error(err)
	}
	return bye
}

func hello200(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, "hello") }

func TestDrainClosesKeptAliveConnectionsPolitely(t *testing.T) {
	s := serving(t, hello200)
	c := dial(t, s.addr)
	c.write(hi)
	if res, _ := c.answer(); res.Close {
		t.Error("closed before the drain")
	}
	s.m.send(ipc.Drain{Reason: "rollout", Handover: true, Delay: eventually.Patience(), Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	// Idle, and yet not closed: the client may be about to write.
	c.write(hi)
	res, body := c.answer()
	if !res.Close || body != "hello" {
		t.Errorf("close %v, body %q", res.Close, body)
	}
	c.closed()
	// No connection is left, so the delay is over early.
	if bye := s.returned(); bye.Cut != 0 || bye.Reason != "rollout" {
		t.Errorf("bye is %+v", bye)
	}
}

func TestDrainClosesIdleConnectionsAfterTheDelay(t *testing.T) {
	s := serving(t, hello200)
	c := dial(t, s.addr)
	c.write(hi)
	c.answer()
	start := time.Now()
	s.m.send(ipc.Drain{Handover: true, Delay: 50 * time.Millisecond, Timeout: eventually.Patience()})
	c.closed()
	if d := time.Since(start); d < 40*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	s.returned()
}

func TestDrainHandoverLeavesTheQueueToTheMaster(t *testing.T) {
	s := serving(t, hello200)
	keep := dial(t, s.addr) // keeps the worker in phase one
	keep.write(hi)
	keep.answer()
	s.m.send(ipc.Drain{Handover: true, Delay: eventually.Patience(), Timeout: eventually.Patience()})
	eventually.True(t, "accepting stops", func() bool {
		c := dial(t, s.addr)
		c.write(hi)
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.r.Peek(1)
		if err == nil {
			c.Close() // accepted before the order came
			return false
		}
		return err.(net.Error).Timeout() // not reset
	})
	// What waits in the queue is there for the next worker.
	c := dial(t, s.addr)
	c.write(hi)
	s.m.ln.SetDeadline(time.Now().Add(eventually.Patience()))
	for {
		next, err := s.m.ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if next.RemoteAddr().String() == c.LocalAddr().String() {
			break
		}
	}
	keep.write(hi)
	keep.answer()
	s.returned()
}

func TestDrainWithoutHandoverEndsWithTheLastConnection(t *testing.T) {
	s := serving(t, hello200)
	idle := dial(t, s.addr)
	idle.write(hi)
	if _, body := idle.answer(); body != "hello" {
		t.Fatal(body)
	}
	s.m.send(ipc.Drain{Delay: time.Hour, Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	// As long as one connection is open, others are accepted.
	other := dial(t, s.addr)
	other.write(hi)
	if _, body := other.answer(); body != "hello" {
		t.Fatal(body)
	}
	idle.write(hi)
	if res, _ := idle.answer(); !res.Close {
		t.Error("the kept-alive connection was not asked to close")
	}
	s.returned() // long before the hour is over
}

func TestDrainLingersForTheDelay(t *testing.T) {
	s := serving(t, hello200)
	s.m.send(ipc.Drain{Linger: true, Delay: 200 * time.Millisecond, Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	c := dial(t, s.addr)
	c.write(hi)
	if res, body := c.answer(); body != "hello" || !res.Close {
		t.Errorf("%q, close %v", body, res.Close)
	}
	s.returned()
}

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	s := serving(t, func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(rw, "%d %v", n, err)
	})
	c := dial(t, s.addr)
	c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if line, err := c.r.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q %v", line, err)
	}
	c.r.ReadString('\n')
	c.write("12345")
	s.m.send(ipc.Drain{Handover: true, Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	c.write("67890")
	if _, body := c.answer(); body != "10 <nil>" {
		t.Errorf("body %q", body)
	}
	c.closed()
	if bye := s.returned(); bye.Cut != 0 {
		t.Errorf("cut %d", bye.Cut)
	}
}

func TestDrainCutsAndCountsWhatIsTooLate(t *testing.T) {
	in := make(chan struct{}, 2)
	s := serving(t, func(rw http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		io.Copy(io.Discard, r.Body)
	})
	for range 2 {
		c := dial(t, s.addr)
		c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
		eventually.Receive(t, "request runs", in)
		defer c.closed()
	}
	dial(t, s.addr) // a client that never sends: not a request
	s.m.send(ipc.Drain{Handover: true, Delay: 10 * time.Millisecond, Timeout: 50 * time.Millisecond})
	if bye := s.returned(); bye.Cut != 2 {
		t.Errorf("cut %d", bye.Cut)
	}
	if log := s.m.log.String(); !strings.Contains(log, "cut=2") {
		t.Errorf("log is %s", log)
	}
}

func TestDrainLaterOrderShortens(t *testing.T) {
	in := make(chan struct{})
	s := serving(t, func(rw http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
	})
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "request runs", in)
	s.m.send(ipc.Drain{Reason: "rollout", Handover: true, Delay: time.Hour, Timeout: time.Hour},
		ipc.Drain{Reason: "stop", Delay: time.Millisecond, Timeout: time.Millisecond})
	if bye := s.returned(); bye.Cut != 1 {
		t.Errorf("cut %d", bye.Cut)
	}
}

func TestDrainEndsStreamsAndHijacked(t *testing.T) {
	var s *served
	ready := make(chan struct{})
	s = serving(t, func(rw http.ResponseWriter, r *http.Request) {
		<-ready
		if r.URL.Path == "/raw" {
			c, _, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, "raw\n")
			<-s.Draining()
			io.WriteString(c, "bye\n")
			return
		}
		io.WriteString(rw, "data: 1\n\n")
		http.NewResponseController(rw).Flush()
		<-s.Draining()
		io.WriteString(rw, "event: bye\n\n")
	})
	close(ready)
	hooked := make(chan struct{})
	s.OnDrain(func(ctx context.Context) { close(hooked) })
	raw := dial(t, s.addr)
	raw.write("GET /raw HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, _ := raw.r.ReadString('\n'); line != "raw\n" {
		t.Fatalf("got %q", line)
	}
	events := dial(t, s.addr)
	events.write(hi)
	if _, err := events.r.Peek(20); err != nil {
		t.Fatal(err)
	}
	s.m.send(ipc.Drain{Handover: true, Delay: 10 * time.Millisecond, Timeout: eventually.Patience()})
	if _, body := events.answer(); body != "data: 1\n\nevent: bye\n\n" {
		t.Errorf("stream was %q", body)
	}
	if line, _ := raw.r.ReadString('\n'); line != "bye\n" {
		t.Errorf("got %q", line)
	}
	if bye := s.returned(); bye.Cut != 0 {
		t.Errorf("cut %d", bye.Cut)
	}
	eventually.Receive(t, "hook", hooked)
}

func TestDrainWaitsForHooksButNotForEver(t *testing.T) {
	s := serving(t, hello200)
	s.OnDrain(func(ctx context.Context) { <-ctx.Done() })
	s.m.send(ipc.Drain{Handover: true, Timeout: 20 * time.Millisecond})
	s.returned()
}

func TestDrainBeforeServe(t *testing.T) {
	w, m := withMaster(t, nil)
	m.send(ipc.Drain{Handover: true, Timeout: eventually.Patience()})
	expect[ipc.Bye](m)
	if code := eventually.Receive(t, "exit", m.exits); code != 0 {
		t.Errorf("code %d", code)
	}
	if err := w.Serve(nil); err != nil {
		t.Error(err)
	}
}

func TestDrainOfPlainListener(t *testing.T) {
	w, m := withMaster(t, nil)
	addr := m.assign()
	ln, err := w.Listener()
	if err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m)
	accepted := make(chan net.Conn, 1)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	w.OnDrain(func(context.Context) {
		c := <-accepted
		io.WriteString(c, "bye")
		c.Close()
	})
	c := dial(t, addr)
	m.send(ipc.Drain{Delay: 10 * time.Millisecond, Timeout: eventually.Patience()})
	if b, err := io.ReadAll(c); string(b) != "bye" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	eventually.Receive(t, "accept ends", ended)
	eventually.Receive(t, "done", w.Done())
	expect[ipc.Bye](m)
	if len(m.exits) != 0 {
		t.Error("the process was ended under the program")
	}
}

func TestUnaskedSignalTellsTheMasterFirst(t *testing.T) {
	in := make(chan struct{})
	s := serving(t, func(rw http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
	})
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "request runs", in)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if bye := expect[ipc.Bye](s.m); bye.Reason != "SIGTERM" {
		t.Errorf("bye is %+v", bye)
	}
	eventually.Receive(t, "draining", s.Draining())
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil { // once more: now
		t.Fatal(err)
	}
	if bye := s.returned(); bye.Cut != 1 {
		t.Errorf("cut %d", bye.Cut)
	}
	if code := eventually.Receive(t, "exit when main does not return", s.m.exits); code != 1 {
		t.Errorf("code %d", code)
	}
}

// TestSIGTERMDuringAnOrderedDrain: an operator's kill and a rollout meet. The request in flight is answered all the same.
func TestSIGTERMDuringAnOrderedDrain(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	s := serving(t, func(rw http.ResponseWriter, _ *http.Request) {
		close(in)
		<-out
		fmt.Fprint(rw, "finished")
	})
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "request runs", in)
	s.m.send(ipc.Drain{Reason: "rollout", Handover: true, Delay: time.Millisecond, Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.drain.cutting:
		t.Fatal("the first signal cut the drain")
	case <-time.After(50 * time.Millisecond):
	}
	close(out)
	if _, body := c.answer(); body != "finished" {
		t.Errorf("got %q", body)
	}
	if bye := s.returned(); bye.Cut != 0 {
		t.Errorf("cut %d", bye.Cut)
	}
}

// TestDrainAfterALongAnswer: an answer that began before the drain and outlasts its first phase is followed, on the same
// connection, by a request whose answer then says that it was the last.
func TestDrainAfterALongAnswer(t *testing.T) {
	in, out := make(chan struct{}, 1), make(chan struct{})
	s := serving(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			rw.WriteHeader(200)
			rw.(http.Flusher).Flush() // the head is gone: it cannot announce anything any more
			in <- struct{}{}
			<-out
		}
		io.WriteString(rw, "hello")
	})
	c := dial(t, s.addr)
	c.write("GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually.Receive(t, "request runs", in)
	const delay = time.Second // the client's second request has so long, on a busy machine too
	s.m.send(ipc.Drain{Handover: true, Delay: delay, Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	eventually.Receive(t, "the end of the first phase", s.drain.closing)
	close(out)
	if res, _ := c.answer(); res.Close {
		t.Error("the answer that began before the drain knew of it")
	}
	c.write(hi)
	if res, body := c.answer(); body != "hello" || !res.Close {
		t.Errorf("%q, close %v", body, res.Close)
	}
	s.returned()
}

// TestDrainWaitsForTheFirstRequest: net/http drops a request that it reads after Shutdown was called, so a connection
// that was accepted last is given time to send one.
func TestDrainWaitsForTheFirstRequest(t *testing.T) {
	s := serving(t, hello200)
	c := dial(t, s.addr)
	s.drain.mu.Lock()
	load := &s.drain.servers[0].load
	s.drain.mu.Unlock()
	eventually.True(t, "the connection is accepted", func() bool { return load.open() > 0 })
	s.m.send(ipc.Drain{Handover: true, Delay: time.Millisecond, Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", s.Draining())
	eventually.Receive(t, "the end of the first phase", s.drain.closing) // the client's request comes after it
	c.write(hi)
	if res, body := c.answer(); body != "hello" || !res.Close {
		t.Errorf("%q, close %v", body, res.Close)
	}
	s.returned()
}

func TestServerOfTheProgram(t *testing.T) {
	w, m := withMaster(t, nil)
	addr := m.assign()
	states := make(chan http.ConnState, 16)
	srv := &http.Server{
		Handler:   http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.Proto) }),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t)}},
		ConnState: func(c net.Conn, s http.ConnState) { states <- s },
	}
	ret := make(chan error, 1)
	go func() { ret <- w.ServeServer(srv) }()
	expect[ipc.Ready](m)

	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: eventually.Patience()}
	if res := get(t, c, "https://"+addr); res.ProtoMajor != 2 {
		t.Errorf("protocol %s", res.Proto)
	}
	if s := eventually.Receive(t, "hook of the program", states); s != http.StateNew {
		t.Errorf("state %v", s)
	}
	m.send(ipc.Drain{Handover: true, Delay: eventually.Patience(), Timeout: eventually.Patience()})
	eventually.Receive(t, "draining", w.Draining())
	// The answer carries a GOAWAY: the connection ends though the delay is long.
	get(t, c, "https://"+addr)
	expect[ipc.Bye](m)
	if err := eventually.Receive(t, "Serve returns", ret); err != nil {
		t.Error(err)
	}
}

// TestDrainHTTP2IsBounded has a stream that never ends.
func TestDrainHTTP2IsBounded(t *testing.T) {
	w, m := withMaster(t, nil)
	addr := m.assign()
	in := make(chan struct{})
	srv := &http.Server{
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			close(in)
			<-r.Context().Done()
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate(t)}},
	}
	ret := make(chan error, 1)
	go func() { ret <- w.ServeServer(srv) }()
	expect[ipc.Ready](m)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	failed := make(chan error, 1)
	go func() {
		res, err := (&http.Client{Transport: tr, Timeout: eventually.Patience()}).Get("https://" + addr)
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	eventually.Receive(t, "request runs", in)
	m.send(ipc.Drain{Handover: true, Delay: 10 * time.Millisecond, Timeout: 50 * time.Millisecond})
	if bye := expect[ipc.Bye](m); bye.Cut != 1 {
		t.Errorf("cut %d", bye.Cut)
	}
	eventually.Receive(t, "Serve returns", ret)
	eventually.Receive(t, "client", failed)
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
