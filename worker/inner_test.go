package worker

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// innerSocket is an inner socket as the master holds it.
type innerSocket struct {
	t    *testing.T
	path string
	ln   *net.UnixListener
}

func newInnerSocket(t *testing.T) *innerSocket {
	t.Helper()
	dir, err := os.MkdirTemp("", "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "web.2.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &innerSocket{t, path, ln}
}

// frame gives the socket to a worker.
func (s *innerSocket) frame() ipc.Inner {
	return ipc.Inner{Address: s.path, File: os.NewFile(uintptr(duplicate(s.t, s.ln)), "inner")}
}

// dial is a gateway that connects to the socket.
func (s *innerSocket) dial() *client {
	s.t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(eventually.Patience()))
	s.t.Cleanup(func() { c.Close() })
	return &client{s.t, c, bufio.NewReader(c)}
}

// whence answers by which socket a request came.
var whence = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, fromInner(r.Context())) })

const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func (c *client) ask() string {
	c.t.Helper()
	c.write(request)
	_, body := c.answer()
	return body
}

// servingOn runs a server, and returns where its end is told.
func servingOn(w *Worker, on ...net.Listener) <-chan error {
	served := make(chan error, 1)
	go func() { served <- w.ServeServer(&http.Server{Handler: whence}, on...) }()
	return served
}

// A worker serves the inner socket beside its listeners, says so before it is ready, and knows which request came by it.
func TestInnerSocketIsServed(t *testing.T) {
	for _, board := range []bool{false, true} {
		t.Run(fmt.Sprintf("board %t", board), func(t *testing.T) {
			w, m := withMaster(t, nil)
			served := servingOn(w)
			s := newInnerSocket(t)
			waits := s.dial()
			waits.write(request)
			assign := m.assignment()
			var row *ipc.Row
			if board {
				b, err := ipc.NewBoard()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { b.Close() })
				row, assign.Board = b.Row(2, 0), true
				if assign.Hot, assign.Rows, err = b.Share(); err != nil {
					t.Fatal(err)
				}
			}
			m.send(s.frame(), assign)
			if said := expect[ipc.Inner](m); said.Address != s.path {
				t.Errorf("the worker serves %q", said.Address)
			}
			expect[ipc.Ready](m)
			if _, body := waits.answer(); body != "true" {
				t.Errorf("a request that waited came by the inner socket: %s", body)
			}
			if got := dial(t, assign.Listeners[0].Address).ask(); got != "false" {
				t.Errorf("a request of a client came by the inner socket: %s", got)
			}
			if board && row.Opened.Load() != 2 {
				t.Errorf("%d connections are counted, 2 were made", row.Opened.Load())
			}
			m.send(ipc.Drain{Reason: "test", Handover: true, Timeout: eventually.Patience()})
			expect[ipc.Bye](m)
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

// An app without an address serves its inner socket alone.
func TestInnerSocketAlone(t *testing.T) {
	w, m := withMaster(t, nil)
	served := servingOn(w)
	s := newInnerSocket(t)
	m.send(s.frame(), ipc.Assign{Slot: 2})
	expect[ipc.Inner](m)
	expect[ipc.Ready](m)
	if got := s.dial().ask(); got != "true" {
		t.Errorf("answered %s", got)
	}
	m.send(ipc.Drain{Reason: "test"})
	expect[ipc.Bye](m)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// The socket may come when the worker serves already, be replaced, come once more by another master, and go.
func TestInnerSocketComesAndGoes(t *testing.T) {
	w, m := withMaster(t, nil)
	served := servingOn(w)
	m.assign()
	expect[ipc.Ready](m)
	first, second := newInnerSocket(t), newInnerSocket(t)
	m.send(first.frame())
	expect[ipc.Inner](m)
	kept := first.dial()
	if got := kept.ask(); got != "true" {
		t.Errorf("the first answers %s", got)
	}
	m.send(first.frame()) // the same
	if said := expect[ipc.Inner](m); said.Address != first.path {
		t.Errorf("of the same socket the worker says %+v", said)
	}
	m.send(second.frame())
	if said := expect[ipc.Inner](m); said.Address != second.path {
		t.Errorf("of another socket the worker says %+v", said)
	}
	if got := second.dial().ask() + kept.ask(); got != "truetrue" {
		t.Errorf("the second, and a connection of the first, answer %s", got)
	}
	m.send(ipc.Inner{}, first.frame())
	if said := expect[ipc.Inner](m); said.Address != first.path {
		t.Errorf("the worker says %+v", said)
	}
	if got := first.dial().ask(); got != "true" {
		t.Errorf("the first answers %s again", got)
	}
	m.send(ipc.Drain{Reason: "test", Handover: true, Timeout: eventually.Patience()})
	expect[ipc.Bye](m)
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A program that serves by itself, or that serves something else by the worker, has nobody on its inner socket, and does not say so.
func TestInnerSocketIsLeftAlone(t *testing.T) {
	w, m := withMaster(t, nil)
	s := newInnerSocket(t)
	m.send(s.frame())
	m.assign()
	ln, err := w.Listener()
	if err != nil {
		t.Fatal(err)
	}
	expect[ipc.Ready](m)
	aside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer aside.Close()
	admin := servingOn(w, aside)
	waits := s.dial()
	waits.write(request)
	if got := dial(t, aside.Addr().String()).ask(); got != "false" {
		t.Errorf("answered %s", got)
	}
	if !readable(s.ln) {
		t.Error("a connection to the inner socket was accepted")
	}
	main := servingOn(w, ln)
	if said := expect[ipc.Inner](m); said.Address != s.path {
		t.Errorf("a server on the app's own listener: the worker says %+v", said)
	}
	if _, body := waits.answer(); body != "true" {
		t.Errorf("answered %s", body)
	}
	aside.Close() // it is the program's
	if err := <-admin; err == nil {
		t.Error("a server whose listener is closed goes on")
	}
	m.send(ipc.Drain{Reason: "test", Handover: true, Timeout: eventually.Patience()})
	expect[ipc.Bye](m)
	if err := <-main; err != nil {
		t.Error(err)
	}
}

// A drain without a successor takes what waits at the inner socket; one with a successor leaves it there.
func TestInnerSocketInADrain(t *testing.T) {
	for _, handover := range []bool{false, true} {
		t.Run(fmt.Sprintf("handover %t", handover), func(t *testing.T) {
			begun, goOn := make(chan struct{}), make(chan struct{})
			w, m := withMaster(t, nil)
			served := make(chan error, 1)
			go func() {
				served <- w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slow" {
						close(begun)
						<-goOn
					}
				}))
			}()
			s := newInnerSocket(t)
			m.send(s.frame())
			m.assign()
			expect[ipc.Inner](m)
			expect[ipc.Ready](m)
			slow := s.dial()
			slow.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
			<-begun
			m.send(ipc.Drain{Reason: "test", Handover: handover, Delay: eventually.Patience(), Timeout: eventually.Patience()})
			<-w.Draining()
			if handover {
				eventually.True(t, "the worker to close its listener", func() bool { return !w.inner.given() })
			}
			late := s.dial()
			late.write(request)
			if !handover {
				if res, _ := late.answer(); !res.Close {
					t.Error("the answer does not ask the gateway to go")
				}
			}
			close(goOn)
			slow.answer()
			slow.Close()
			expect[ipc.Bye](m)
			if err := <-served; err != nil {
				t.Error(err)
			}
			if waits := readable(s.ln); waits != handover {
				t.Errorf("a connection waits for a successor: %t", waits)
			}
		})
	}
}
