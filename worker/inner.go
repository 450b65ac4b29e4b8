package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"

	"github.com/tinehq/tine/ipc"
)

// inner is the worker's end of its slot's inner socket: a listener beside those of the app, by which gateways of the same master reach
// this very worker. The master gives it, gives another one, or takes it away, at any time; a server takes it over when the program calls
// [Worker.ServeServer]. A program that accepts from its listeners itself has no server, and leaves it alone: then the master, which is
// told of a server only, has no gateway connect there.
//
//	         given          served           drain
//	nothing ───────▶ held ──────────▶ taken ───────▶ closed
//	                   (a server there already: at once)
//
// Requests that came by it are marked in their context: see fromInner.
type inner struct {
	mu      sync.Mutex
	address string
	ln      *net.UnixListener // nil: there is none
	id      socketID          // of ln
	server  *server           // that serves; nil: none does yet
	taken   bool              // by an accept loop of server
	closed  bool              // a drain accepts no more
}

// socketID tells sockets apart, however often their descriptors are duplicated.
type socketID struct{ dev, ino uint64 }

func idOf(f *os.File) (id socketID) {
	if info, err := f.Stat(); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			id = socketID{uint64(st.Dev), st.Ino}
		}
	}
	return id
}

// takeInner takes in what the master says of the inner socket. It is called by the goroutine that reads the channel.
func (w *Worker) takeInner(f ipc.Inner) {
	defer ipc.Discard(f)
	n := &w.inner
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	if f.File != nil && n.ln != nil && n.id == idOf(f.File) {
		n.address = f.Address // another master, or another name: it is the same socket
		if n.taken {
			n.say(w)
		}
		return
	}
	n.drop()
	if f.File == nil {
		return
	}
	ln, err := net.FileListener(f.File)
	unix, ok := ln.(*net.UnixListener)
	if err == nil && !ok {
		ln.Close()
		err = fmt.Errorf("it is a %s socket", ln.Addr().Network())
	}
	if err != nil {
		w.opts.logger.Warn("gateways reach this worker by its addresses only: cannot listen on the inner socket", "path", f.Address, "error", err)
		return
	}
	n.address, n.ln, n.id = f.Address, unix, idOf(f.File)
	n.serve(w)
}

// serveInner has a server serve the inner socket, now or when it is given, unless another one does.
func (w *Worker) serveInner(s *server) {
	n := &w.inner
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server == nil {
		n.server = s
		n.serve(w)
	}
}

// serve is called with mu held.
func (n *inner) serve(w *Worker) {
	if n.ln == nil || n.server == nil || n.taken || n.closed {
		return
	}
	ended, ok := w.drain.join()
	if !ok {
		return // the drain closes it
	}
	n.taken = true
	ln, srv := n.ln, n.server.srv
	go func() {
		defer ended()
		err := srv.Serve(innerListener{ln, w.tally}) // without TLS: the gateway is on this machine
		n.failed(w, ln, err)
	}()
	n.say(w)
}

// say tells the master that the socket is served. It is called with mu held.
func (n *inner) say(w *Worker) { _ = w.send(ipc.Inner{Address: n.address}) } // it fails only without a master, and the next one asks anew

// failed tells the master that a listener is served no more, unless it was closed here.
func (n *inner) failed(w *Worker, ln *net.UnixListener, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ln != ln || n.closed || errors.Is(err, http.ErrServerClosed) {
		return
	}
	w.opts.logger.Warn("gateways reach this worker by its addresses only: cannot accept on the inner socket", "path", n.address, "error", err)
	n.drop()
	_ = w.send(ipc.Inner{})
}

// drop closes the listener. Its accept loop ends by that. It is called with mu held.
func (n *inner) drop() {
	if n.ln != nil {
		n.ln.Close()
	}
	n.ln, n.id, n.address, n.taken = nil, socketID{}, "", false
}

// close is for a drain that accepts no more.
func (n *inner) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.drop()
}

// given reports whether there is an inner socket.
func (n *inner) given() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ln != nil
}

// waits reports whether a connection waits for a server that accepts it.
func (n *inner) waits() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.taken && readable(n.ln)
}

// innerListener marks the connections of the inner socket, which count on the scoreboard as all others do.
type innerListener struct {
	*net.UnixListener
	tally *tally // nil: nothing is counted
}

func (l innerListener) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	if l.tally == nil {
		return &innerConn{c}, nil
	}
	l.tally.accepted()
	return &unixConn{UnixConn: c, inner: true, held: held{tally: l.tally}}, nil
}

// innerConn is a connection of the inner socket that is not counted.
type innerConn struct{ *net.UnixConn }

// innerKey marks the context of requests that came by the inner socket.
type innerKey struct{}

// fromInner reports whether a request came by the inner socket: from a gateway of the same master.
func fromInner(ctx context.Context) bool { return ctx.Value(innerKey{}) != nil }

// markInner has a server mark the requests of the inner socket.
func markInner(srv *http.Server) {
	hook := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if hook != nil {
			ctx = hook(ctx, c)
		}
		switch c := c.(type) {
		case *innerConn:
			return context.WithValue(ctx, innerKey{}, true)
		case *unixConn:
			if c.inner {
				return context.WithValue(ctx, innerKey{}, true)
			}
		}
		return ctx
	}
}
