package supervisor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Limits of who asks over TCP.
const (
	askHeadTime = 5 * time.Second
	askTime     = 15 * time.Second // for the whole answer
	askIdle     = 2 * time.Minute
	askEnd      = 250 * time.Millisecond // for answers under way at the end of Run
	maxAskers   = 32                     // connections; the next ones wait in the kernel's queue
)

// serveTCP begins to serve h at a TCP address, to whoever can connect; "" is nowhere. Where
// it cannot, that is logged, and nothing else depends on it. what is its
// name in the log.
func (s *Supervisor) serveTCP(what, address string, h http.Handler) (close func()) {
	if address == "" {
		return func() {}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.logs.Warn().Str("address", address).Err(err).Msg("no " + what + " over TCP")
		return func() {}
	}
	s.logs.Info().Str("address", l.Addr().String()).Msg(what)
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: askHeadTime, ReadTimeout: askHeadTime, WriteTimeout: askTime,
		IdleTimeout: askIdle, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan struct{})
	go func() {
		defer func() { ended <- struct{}{} }()
		if err := server.Serve(newLimitedListener(l, maxAskers)); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.logs.Error().Str("address", address).Err(err).Msg(what + " over TCP: ended")
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), askEnd)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-ended
	}
}

// limitedListener has a bounded number of connections at a time.
type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
}

func newLimitedListener(l net.Listener, most int) *limitedListener {
	return &limitedListener{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept is called by one goroutine, Close once: as net/http does.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: conn, places: l.places}, nil
}

func (l *limitedListener) Close() error {
	close(l.closed)
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	places chan struct{}
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	if err == nil { // only the first succeeds
		<-c.places
	}
	return err
}
