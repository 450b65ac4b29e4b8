package worker

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/tinehq/tine/ipc"
)

// load counts what a drain waits for. Requests are those in a handler. The one counter also tells a starting request
// whether the worker drains, so that a request costs two atomic additions and nothing else.
type load struct {
	requests atomic.Int64 // plus drainingBit
	conns    atomic.Int64
	early    atomic.Int64  // requests that began before the drain, whose answers could not ask the client to go
	earlyEnd atomic.Int64  // when the last of them ended, by ipc.Monotonic
	changed  chan struct{} // poked when one of them falls to zero in a drain
}

const drainingBit = 1 << 62

func (l *load) poke() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// beginDrain makes every answer from here on ask its client to go.
func (l *load) beginDrain() {
	l.early.Add(l.requests.Add(drainingBit) &^ drainingBit)
}

func (l *load) inFlight() int { return int(l.requests.Load() &^ drainingBit) }
func (l *load) open() int     { return int(l.conns.Load()) }

// server is an http.Server that this worker runs, and the handler around the program's own.
type server struct {
	srv   *http.Server
	next  http.Handler
	tls   bool   // decided once: net/http writes to the TLSConfig when it serves
	err   error  // of its HTTP/2; nothing is served then
	tally *tally // written before the first connection is accepted; nil: nothing is counted
	books *books // likewise; nil: there are no tickets
	load  load
}

func (s *server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	early := s.load.requests.Add(1)&drainingBit == 0
	if !early {
		// The client takes its next request elsewhere. HTTP/2 makes a GOAWAY of it.
		rw.Header().Set("Connection", "close")
	}
	k := stub{}
	if s.books != nil {
		var run bool
		if k, run = s.books.admit(rw, r); !run {
			s.done(early)
			return
		}
	}
	if s.tally == nil {
		defer func() {
			k.end()
			s.done(early)
		}()
		s.next.ServeHTTP(rw, r)
		return
	}
	returned := false
	p := s.tally.begin()
	defer func() {
		s.tally.end(p, rw, returned)
		k.end()
		s.done(early)
	}()
	s.next.ServeHTTP(rw, r)
	returned = true
}

func (s *server) done(early bool) {
	left := s.load.requests.Add(-1)
	if left&drainingBit == 0 {
		return
	}
	if early {
		s.load.earlyEnd.Store(ipc.Monotonic())
		s.load.early.Add(-1)
	}
	if early || left == drainingBit {
		s.load.poke()
	}
}

// Serve answers requests with h on all listeners. It returns nil when a drain is over, ordered by the master or by
// SIGTERM or SIGINT; main should then return. Use [Worker.ServeServer] to set time limits, TLS and the like.
func (w *Worker) Serve(h http.Handler) error {
	return w.ServeServer(&http.Server{Handler: h})
}

// ServeServer is Serve with a server of the program's own, on the given listeners (out of [Worker.Listeners]), or on
// all without any. Of several calls the first without any, or with the first of them, also serves the gateways of the master. It speaks TLS, and with it HTTP/2, when the TLSConfig has certificates; HTTP/2 is that of
// golang.org/x/net. It takes srv over: Handler
// and ConnState are wrapped. It may be called several times with different servers and listeners.
//
// What srv.RegisterOnShutdown was given runs late in a drain, after up to half its timeout. Streams that shall end early
// end by [Worker.Draining] or [Worker.OnDrain].
func (w *Worker) ServeServer(srv *http.Server, on ...net.Listener) error {
	s := newServer(srv) // before the wait: a standby that gets a slot has a client waiting
	if s.err != nil {
		return fmt.Errorf("cannot serve: %w", s.err)
	}
	lns, err := w.Listeners()
	switch {
	case errors.Is(err, ErrDraining):
		<-w.drain.done
		return nil
	case err != nil:
		return fmt.Errorf("cannot serve: %w", err)
	}
	if len(on) > 0 {
		lns = on
	}
	if len(lns) == 0 && !w.inner.given() {
		w.opts.logger.Warn("serving on no address: give the app one with tine run -l, or with listen in its config", "app", w.app)
	}
	s.tally, s.books = w.tally, &w.books
	loopEnded, ok := w.drain.add(s, len(lns))
	if !ok {
		<-w.drain.done
		return nil
	}
	ended := make(chan error, len(lns))
	for _, ln := range lns {
		go func() {
			err := s.accept(ln)
			loopEnded()
			ended <- err
		}()
	}
	if len(on) == 0 || len(w.listeners) > 0 && slices.Contains(on, w.listeners[0]) {
		w.serveInner(s)
	}
	w.autoReady()
	select {
	case <-w.drain.done:
		return nil
	case err := <-ended:
		select {
		case <-w.drain.begun:
			<-w.drain.done
			return nil
		default:
		}
		return fmt.Errorf("cannot serve: %w", err)
	}
}

func newServer(srv *http.Server) *server {
	s := &server{srv: srv}
	if c := srv.TLSConfig; c != nil {
		s.tls = len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil
	}
	s.err = setHTTP2(srv, s.tls)
	s.load.changed = make(chan struct{}, 1)
	s.next = srv.Handler
	if s.next == nil {
		s.next = http.DefaultServeMux
	}
	srv.Handler = s
	markInner(srv)
	hook := srv.ConnState
	srv.ConnState = func(c net.Conn, st http.ConnState) {
		if s.tally != nil {
			if h := heldOf(c); h != nil {
				h.state(st)
			}
		}
		switch st {
		case http.StateNew:
			s.load.conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			if s.load.conns.Add(-1) == 0 && s.load.requests.Load()&drainingBit != 0 {
				s.load.poke()
			}
		}
		if hook != nil {
			hook(c, st)
		}
	}
	return s
}

// accept hands the listener to the server as it is: nothing but the counting sits between a connection and net/http.
func (s *server) accept(ln net.Listener) error {
	if s.tls {
		return s.srv.ServeTLS(ln, "", "")
	}
	return s.srv.Serve(ln)
}
