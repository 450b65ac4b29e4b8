package worker

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// seat is the master's view of where a worker counts.
type seat struct {
	t     *testing.T
	board *ipc.Board
	line  *ipc.Line
	row   *ipc.Row
}

const testSeat = 1

// withBoard adds a board to an assignment of the test's master.
func withBoard(t *testing.T, f *ipc.Assign) *seat {
	t.Helper()
	b, err := ipc.NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	hot, rows, err := b.Share()
	if err != nil {
		t.Fatal(err)
	}
	f.Seat, f.Board, f.Hot, f.Rows = testSeat, true, hot, rows
	s := &seat{t, b, b.Line(f.Slot), b.Row(f.Slot, testSeat)}
	s.row.Reset(7)
	return s
}

// holds waits until the seat holds this many busy and idle connections.
func (s *seat) holds(busy, idle int64) {
	s.t.Helper()
	want := busy*ipc.Weight + idle
	eventually.NoError(s.t, "the connections are counted", func() error {
		if got := s.line.Held(testSeat); got != want {
			return fmt.Errorf("the seat holds %d busy and %d idle, want %d and %d", got/ipc.Weight, got%ipc.Weight, busy, idle)
		}
		return nil
	})
}

// empty waits until everything that was accepted was given back, and nothing else was written.
func (s *seat) empty(conns uint64) {
	s.t.Helper()
	s.holds(0, 0)
	eventually.True(s.t, "closed connections", func() bool { return s.row.Closed.Load() == conns })
	if a, o := s.line.Accepted[testSeat].Load(), s.row.Opened.Load(); a != conns || o != conns {
		s.t.Errorf("accepted %d, opened %d, want %d", a, o, conns)
	}
	if s.line.Accepted[0].Load() != 0 || s.line.Released[0].Load() != 0 || s.line.Assigned.Load() != 0 {
		s.t.Error("another's counter was written")
	}
}

// counting is a worker that serves srv with a board.
func counting(t *testing.T, srv *http.Server) (*served, *seat) {
	t.Helper()
	w, m := withMaster(t, nil)
	f := m.assignment()
	b := withBoard(t, &f)
	m.send(f)
	s := &served{Worker: w, m: m, addr: f.Listeners[0].Address, ret: make(chan error, 1)}
	go func() { s.ret <- w.ServeServer(srv) }()
	expect[ipc.Ready](m)
	eventually.Receive(t, "assigned", w.assigned)
	return s, b
}

func plain(h http.HandlerFunc) *http.Server { return &http.Server{Handler: h} }

func TestConnKeptAliveIsBusyAndIdleInTurns(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	s, b := counting(t, plain(func(rw http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		<-out
	}))
	before := ipc.Monotonic()
	c := dial(t, s.addr)
	b.holds(1, 0) // accepted: a request is on its way
	if at := b.line.AcceptedAt.Load(); at < before || at > ipc.Monotonic() {
		t.Errorf("accepted at %d, not after %d", at, before)
	}
	for range 3 {
		c.write(hi)
		eventually.Receive(t, "request runs", in)
		b.holds(1, 0)
		out <- struct{}{}
		c.answer()
		b.holds(0, 1)
	}
	c.Close() // by the client, while idle
	b.empty(1)
}

func TestConnClosedWithoutARequest(t *testing.T) {
	s, b := counting(t, plain(hello200))
	c := dial(t, s.addr)
	b.holds(1, 0)
	c.Close()
	b.empty(1)
}

func TestConnClosedByTheClientDuringARequest(t *testing.T) {
	in := make(chan struct{})
	s, b := counting(t, plain(func(rw http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
	}))
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "request runs", in)
	c.Close()
	b.empty(1)
}

func TestConnHijackedIsBusyUntilClosed(t *testing.T) {
	hijacked := make(chan net.Conn, 1)
	s, b := counting(t, plain(func(rw http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "raw")
		hijacked <- c
	}))
	c := dial(t, s.addr)
	c.write(hi)
	raw := eventually.Receive(t, "hijacked", hijacked)
	eventually.True(t, "handler returns", func() bool { return b.row.Requests() == 1 })
	b.holds(1, 0)
	if n := b.row.Classes[ipc.ClassUnknown].Load(); n != 1 {
		t.Errorf("%d of unknown class", n)
	}
	raw.Close()
	raw.Close() // counts once
	b.empty(1)
}

func TestConnTLSHandshakeFails(t *testing.T) {
	srv := plain(hello200)
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	srv.ErrorLog = nowhere()
	s, b := counting(t, srv)
	c := dial(t, s.addr)
	c.write(hi) // plain text: net/http answers below TLS
	c.answer()
	b.empty(1)
	c = dial(t, s.addr)
	c.write("garbage\r\n\r\n")
	b.empty(2)
}

func TestConnTLSKeptAlive(t *testing.T) {
	srv := plain(hello200)
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	s, b := counting(t, srv)
	c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, hi)
	b.holds(0, 1)
	c.Close()
	b.empty(1)
}

// TestConnHTTP2IsBusyWhileAStreamIsOpen: a connection of many streams weighs as one.
func TestConnHTTP2IsBusyWhileAStreamIsOpen(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	srv := plain(func(rw http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		<-out
		rw.WriteHeader(http.StatusTeapot)
	})
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	s, b := counting(t, srv)
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: eventually.Patience()}
	answered := make(chan error, 2)
	ask := func() {
		res, err := client.Get("https://" + s.addr)
		if err == nil {
			res.Body.Close()
			if res.ProtoMajor != 2 {
				err = fmt.Errorf("protocol %s", res.Proto)
			}
		}
		answered <- err
	}
	for range 2 {
		go ask()
		eventually.Receive(t, "first stream", in) // the second must find the connection
		go ask()
		eventually.Receive(t, "second stream", in)
		b.holds(1, 0)
		out <- struct{}{}
		if err := eventually.Receive(t, "one answer", answered); err != nil {
			t.Fatal(err)
		}
		b.holds(1, 0)
		out <- struct{}{}
		if err := eventually.Receive(t, "other answer", answered); err != nil {
			t.Fatal(err)
		}
		b.holds(0, 1)
	}
	tr.CloseIdleConnections()
	b.empty(1)
	if n := b.row.Classes[3].Load(); n != 4 {
		t.Errorf("%d answers of class 4xx over HTTP/2", n)
	}
}

func TestConnUnencryptedHTTP2(t *testing.T) {
	srv := plain(hello200)
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetUnencryptedHTTP2(true)
	s, b := counting(t, srv)
	tr := &http.Transport{Protocols: srv.Protocols}
	defer tr.CloseIdleConnections()
	if res := get(t, &http.Client{Transport: tr, Timeout: eventually.Patience()}, "http://"+s.addr); res.ProtoMajor != 2 {
		t.Fatal(res.Proto)
	}
	b.holds(0, 1)
	if n := b.row.Classes[1].Load(); n != 1 {
		t.Errorf("%d answers of class 2xx", n)
	}
	tr.CloseIdleConnections()
	b.empty(1)
}

func TestConnShutdownClosesIdleOnes(t *testing.T) {
	s, b := counting(t, plain(hello200))
	for range 3 {
		c := dial(t, s.addr)
		c.write(hi)
		c.answer()
	}
	fresh := dial(t, s.addr)
	b.holds(1, 3)
	s.m.send(ipc.Drain{Handover: true, Delay: time.Millisecond, Timeout: eventually.Patience()})
	fresh.write(hi)
	s.returned()
	b.empty(4)
}

func TestConnCutAtTheEndOfADrain(t *testing.T) {
	in := make(chan struct{})
	s, b := counting(t, plain(func(rw http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
	}))
	c := dial(t, s.addr)
	c.write(hi)
	eventually.Receive(t, "request runs", in)
	s.m.send(ipc.Drain{Handover: true, Timeout: 10 * time.Millisecond})
	s.returned()
	b.empty(1)
}

func TestConnKeepAlivesDisabled(t *testing.T) {
	srv := plain(hello200)
	s, b := counting(t, srv)
	c := dial(t, s.addr)
	c.write(hi)
	c.answer()
	b.holds(0, 1)
	srv.SetKeepAlivesEnabled(false) // closes what is idle
	b.empty(1)
	c = dial(t, s.addr)
	c.write(hi)
	if res, _ := c.answer(); !res.Close {
		t.Error("kept alive")
	}
	b.empty(2)
}

// TestConnStatesRace has closing, by anybody, meet every state that the server tells.
func TestConnStatesRace(t *testing.T) {
	var line ipc.Line
	var row ipc.Row
	ta := newTally(&line, &row, testSeat, closedNow(), alwaysAwake())
	const n = 200
	for range n {
		ta.accepted()
		h := &held{tally: ta}
		h.state(http.StateNew)
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.close()
			h.close()
		}()
		for range 8 {
			h.state(http.StateActive)
			h.state(http.StateIdle)
			h.state(http.StateIdle)
		}
		h.state(http.StateClosed)
		h.close()
		<-done
		if w := line.Held(testSeat); w != 0 {
			t.Fatalf("%d is held", w)
		}
	}
	if row.Opened.Load() != n || row.Closed.Load() != n {
		t.Errorf("opened %d, closed %d", row.Opened.Load(), row.Closed.Load())
	}
}

func closedNow() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// own gives a worker with a board its listener, without a server.
func own(t *testing.T, network string) (*Worker, *master, *seat, net.Listener) {
	t.Helper()
	w, m := withMaster(t, nil)
	f := m.assignment()
	if network == "unix" {
		ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		f.Files[0].Close()
		f.Files[0] = os.NewFile(uintptr(duplicate(t, ln.(syscall.Conn))), "slot")
		f.Listeners[0] = ipc.Listener{Network: "unix", Address: ln.Addr().String()}
	}
	b := withBoard(t, &f)
	m.send(f)
	ln, err := w.Listener()
	if err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m)
	return w, m, b, ln
}

// TestConnKeepsItsAbilities: what net/http, io.Copy and protocols of one's own look for is there.
func TestConnKeepsItsAbilities(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			_, _, b, ln := own(t, network)
			d, ok := ln.(interface {
				syscall.Conn
				SetDeadline(time.Time) error
			})
			if !ok {
				t.Fatalf("%T has no SetDeadline or SyscallConn", ln)
			}
			if readable(ln) {
				t.Error("a connection waits before the first")
			}
			if err := d.SetDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			var ne net.Error
			if _, err := ln.Accept(); !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("accept: %v", err)
			}
			d.SetDeadline(time.Time{})

			client, err := net.Dial(network, ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			eventually.True(t, "a connection waits", func() bool { return readable(ln) })
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b.holds(1, 0) // an unknown protocol: busy until closed
			cw, ok := c.(interface {
				syscall.Conn
				CloseWrite() error
			})
			if !ok {
				t.Fatalf("%T has no CloseWrite or SyscallConn", c)
			}
			io.WriteString(c, "hello ")
			sent := uint64(11)
			if network == "tcp" {
				path := filepath.Join(t.TempDir(), "f")
				os.WriteFile(path, []byte("world"), 0o600)
				f, _ := os.Open(path)
				defer f.Close()
				if n, err := c.(io.ReaderFrom).ReadFrom(f); n != 5 || err != nil { // sendfile
					t.Errorf("ReadFrom: %d %v", n, err)
				}
				if _, ok := c.(io.WriterTo); !ok {
					t.Errorf("%T has no WriteTo", c)
				}
			} else {
				io.WriteString(c, "world")
			}
			cw.CloseWrite()
			if got, err := io.ReadAll(client); string(got) != "hello world" || err != nil {
				t.Errorf("%q %v", got, err)
			}
			if n := b.row.Sent.Load(); n != sent {
				t.Errorf("sent %d bytes, want %d", n, sent)
			}
			c.Close()
			if err := c.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("second close: %v", err)
			}
			b.empty(1)
			ln.Close()
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("accept after close: %v", err)
			}
		})
	}
}

// TestConnAcceptedPastTheCounting: AcceptTCP and AcceptUnix give what cannot be followed, and nothing stays behind.
func TestConnAcceptedPastTheCounting(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		_, _, b, ln := own(t, network)
		client, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var c io.Closer
		switch l := ln.(type) {
		case interface{ AcceptTCP() (*net.TCPConn, error) }:
			c, err = l.AcceptTCP()
		case interface{ AcceptUnix() (*net.UnixConn, error) }:
			c, err = l.AcceptUnix()
		default:
			t.Fatalf("%T", ln)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		b.empty(1)
	}
}

// TestConnPlainWithoutABoard: who does not count does not wrap.
func TestConnPlainWithoutABoard(t *testing.T) {
	w, m := withMaster(t, nil)
	m.assign()
	ln, err := w.Listener()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := ln.(*net.TCPListener); !ok {
		t.Errorf("listener is a %T", ln)
	}
}

// TestConnAllThatIsTakenIsGivenBack after clients of every kind, all at the same time.
func TestConnAllThatIsTakenIsGivenBack(t *testing.T) {
	srv := plain(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hijack":
			if c, _, err := http.NewResponseController(rw).Hijack(); err == nil {
				c.Close()
			}
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/wait":
			select {
			case <-r.Context().Done():
			case <-time.After(time.Millisecond):
			}
		default:
			io.WriteString(rw, "hello")
		}
	})
	srv.ErrorLog = nowhere()
	s, b := counting(t, srv)
	const clients, each = 16, 25
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			for i := range each {
				c, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(eventually.Patience()))
				r := bufio.NewReader(c)
				path := []string{"", "/", "/hijack", "/panic", "/wait", "/gone"}[(n+i)%6]
				for range 1 + i%3 {
					if path == "" {
						break
					}
					fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
					if path == "/gone" {
						break // without the answer
					}
					res, err := http.ReadResponse(r, nil)
					if err != nil {
						break
					}
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	b.empty(clients * each)
	eventually.True(t, "no request is in flight", func() bool { return b.row.InFlight() == 0 })
	if n, o := b.line.Accepted[testSeat].Load()*ipc.Weight, b.line.Released[testSeat].Load(); n != o {
		t.Errorf("taken %d, given back %d", n, o)
	}
}
