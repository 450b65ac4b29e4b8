package dashboard

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
)

// Limits of what clients can do to the master. Those of a single answer are the
// control API's.
const (
	headerTimeout = 2 * time.Second  // for the head of a request
	fileTimeout   = 30 * time.Second // for one file of the page to be read
	idleTimeout   = 1 * time.Minute  // between two requests of a connection
	maxHeader     = 16 << 10         // bytes
	maxBody       = 4 << 10          // bytes of an order
	maxConns      = 256              // at a time: see control.Crowd
	maxStreams    = 64               // events and logs that are followed at a time; one more gets 503

	closeGrace = 2 * time.Second // for requests under way when the server is closed
)

// Options are those of a Server.
type Options struct {
	Listen string // TCP address, such as 127.0.0.1:7077
	// Open listens there; nil: as net.Listen does.
	Open      func(address string) (net.Listener, error)
	TokenFile string         // holds the token for orders, see [Server.Listen]; "": there are none
	Names     []string       // further names, without port, that a browser may know this server by
	Version   string         // of tine, in the header Server
	Logger    zerolog.Logger // requests that were refused, and clients that behave badly
}

// Server serves the page. Its order is New, Listen, Serve, Close.
type Server struct {
	api     http.Handler
	options Options
	log     zerolog.Logger
	names   map[string]bool // that Host may be
	token   *token          // nil: there are no orders
	http    *http.Server
	streams chan struct{} // holds one for each

	streaming   context.Context // of requests that do not end by themselves
	stopStreams context.CancelFunc
	base        context.Context // of all requests
	cancelBase  context.CancelFunc

	crowd *control.Crowd

	mu       sync.Mutex
	listener net.Listener
	closing  bool
}

// New makes a server that listens nowhere yet. What it lets through is answered by
// api, which is that of a [control.Server].
func New(api http.Handler, o Options) *Server {
	if o.Open == nil {
		o.Open = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	s := &Server{api: api, options: o, log: o.Logger, crowd: control.NewCrowd(maxConns, 0), streams: make(chan struct{}, maxStreams)}
	s.names = namesOf(o.Listen, o.Names)
	s.base, s.cancelBase = context.WithCancel(context.Background())
	s.streaming, s.stopStreams = context.WithCancel(s.base)
	s.http = control.HTTP1(&http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ErrorLog:          stdlog.New(debugLines{o.Logger}, "", 0),
		ConnState:         s.crowd.State,
	})
	return s
}

// Listen reads the token and takes the address. The token file must be readable by its
// owner alone (0600), and hold one line of at least 16 printable ASCII characters. An
// error is one that the master can live with: it has changed nothing.
func (s *Server) Listen() error {
	var t *token
	if s.options.TokenFile != "" {
		var err error
		if t, err = readToken(s.options.TokenFile); err != nil {
			return err
		}
	}
	listener, err := s.options.Open(s.options.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen for the dashboard: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		listener.Close()
		return http.ErrServerClosed
	}
	s.token, s.listener = t, s.crowd.Listener(listener)
	if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		s.log.Warn().Stringer("address", a).Msg("every client that reaches the dashboard's address can read status, events and logs")
	}
	return nil
}

// Address is where it listens, with the real port; empty before Listen.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Serve answers until Close, and returns nil then.
func (s *Server) Serve() error {
	s.mu.Lock()
	listener, closing := s.listener, s.closing
	s.mu.Unlock()
	if closing {
		return nil
	}
	if listener == nil {
		return errors.New("cannot serve: the dashboard does not listen")
	}
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot accept at %s: %w", listener.Addr(), err)
	}
	return nil
}

// Drain is for a server whose listener another process has too, and accepts at: it ends
// the streams, and waits until what was accepted here is answered, two seconds at most.
// Close comes next.
func (s *Server) Drain() {
	s.stopStreams()
	s.http.SetKeepAlivesEnabled(false)
	s.crowd.Wait(closeGrace)
}

// Close ends the streams, lets the other requests end for two seconds, and then ends
// them. It may be called at any time, more than once, and from several goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	listener := s.listener
	s.mu.Unlock()
	s.stopStreams()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	s.cancelBase()
	if listener != nil {
		listener.Close() // one that was never served
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot close the dashboard: %w", err)
	}
	return nil
}

// debugLines takes what net/http has to say of clients that behave badly.
type debugLines struct{ log zerolog.Logger }

func (d debugLines) Write(p []byte) (int, error) {
	d.log.Debug().Msg(strings.TrimSpace(string(p)))
	return len(p), nil
}
