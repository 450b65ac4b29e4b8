package tcp

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/tunnel"
)

// Options of a Server. Picker and Tunnels are needed.
type Options struct {
	// Picker is the one that picks a member for the next connection.
	Picker func() *gate.Picker

	// Tunnels has the connections that are passed on.
	Tunnels *tunnel.Set

	// Preface is what a member gets before the client's bytes. nil: nothing.
	Preface func(client net.Conn) ([]byte, error)

	// DialTimeout bounds the making of a connection to a member; 0: 1 s.
	DialTimeout time.Duration

	// Outcome is told how each try at a member ended, by all connections at once. nil: nothing is told.
	Outcome func(member string, how gate.Outcome, why string)

	Log *slog.Logger // nil: slog.Default
}

// Server passes connections on.
type Server struct {
	options Options

	mu     sync.Mutex
	told   time.Time
	closed int // connections that were closed without a line in the log, since told
}

// New makes a Server.
func New(o Options) *Server {
	if o.DialTimeout <= 0 {
		o.DialTimeout = time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Server{options: o}
}

// patience is how long the accepting rests after an error that is not the end of the listener, as where no descriptor is left.
const patience = 50 * time.Millisecond

// Serve accepts connections until the listener is closed, and returns its error. The tunnels go on: see tunnel.Set.Drain.
func (s *Server) Serve(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.options.Log.Error("a connection cannot be accepted", "error", err)
			rest := time.NewTimer(patience)
			<-rest.C
			continue
		}
		go s.serve(c)
	}
}

// serve passes one connection on.
func (s *Server) serve(client net.Conn) {
	defer client.Close()
	var first []byte
	var err error
	if s.options.Preface != nil {
		if first, err = s.options.Preface(client); err != nil {
			s.refuse(client, err)
			return
		}
	}
	var tried []gate.Pick
	var failed error
	for {
		pick, err := s.options.Picker().Pick(gate.Request{Key: ip(client), Now: ipc.Monotonic(), Tried: tried})
		if err != nil {
			s.refuse(client, errors.Join(failed, err))
			return
		}
		member, err := dial(pick.Member().Address, s.options.DialTimeout)
		if err == nil {
			s.learn(pick, gate.Answered, "")
			s.options.Tunnels.Run(tunnel.Info{Member: pick.Member().ID}, tunnel.Bare(client), member, first, nil)
			member.Close()
			pick.Release()
			return
		}
		s.learn(pick, gate.Refused, err.Error())
		pick.Release()
		failed = fmt.Errorf("member %s: %w", pick.Member().ID, err)
		tried = append(tried, pick)
	}
}

func (s *Server) learn(pick gate.Pick, how gate.Outcome, why string) {
	pick.Learn(ipc.Monotonic(), how)
	if s.options.Outcome != nil {
		s.options.Outcome(pick.Member().ID, how, why)
	}
}

// refuse logs why a connection is closed, once a second.
func (s *Server) refuse(client net.Conn, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	if now := time.Now(); now.Sub(s.told) >= time.Second {
		s.options.Log.Error("connections are closed: no member has taken them", "connections", s.closed, "client", client.RemoteAddr().String(), "error", why)
		s.closed, s.told = 0, now
	}
}

func dial(to string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout(members.Network(to), to, timeout)
}

// ip is the address of a client, without its port.
func ip(c net.Conn) string {
	at := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(at); err == nil {
		return host
	}
	return at
}
