package control

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// The connections at a time: see Crowd for what becomes of one more.
const (
	maxConns     = 512
	maxPeerConns = 128 // of one process, so that one that forgets to close them leaves room for others
)

// peerCrowd has room for so many, and for a quarter of them of one process; 0: for maxConns.
func peerCrowd(conns int) *Crowd {
	if conns <= 0 {
		conns = maxConns
	}
	return NewCrowd(conns, min(maxPeerConns, max(conns/4, 1)))
}

// guard accepts connections of those who may ask, and closes all others.
type guard struct {
	*socket
	log   zerolog.Logger
	crowd *Crowd
	quiet time.Time // until then no refused peer is logged
}

// guardedConn is one connection of a known peer.
type guardedConn struct {
	*net.UnixConn
	peer peer
}

func (g *guard) Accept() (net.Conn, error) {
	for {
		accepted, err := g.socket.Accept()
		if err != nil {
			return nil, err
		}
		conn := accepted.(*net.UnixConn)
		p, err := peerOf(conn)
		if err != nil || !p.mayAsk() {
			g.refused(p, err, "a process of another user was refused at the control socket")
			conn.Close()
			continue
		}
		guarded := &guardedConn{UnixConn: conn, peer: p}
		if err := g.crowd.Admit(guarded, p.pid); err != nil { // PID 0: those whose process is not known, together
			g.refused(p, nil, fmt.Sprintf("%v at the control socket", err))
			conn.Close()
			continue
		}
		return guarded, nil
	}
}

// refused tells of it once a second at most: the other side says how often it comes.
func (g *guard) refused(p peer, err error, message string) {
	now := time.Now()
	if now.Before(g.quiet) {
		return
	}
	g.quiet = now.Add(time.Second)
	e := g.log.Warn()
	if err != nil {
		e = e.Err(err)
	} else {
		e = e.Int("peer_uid", p.uid).Int("peer_pid", p.pid)
	}
	e.Msg(message)
}

type peerKey struct{}

// withPeer keeps the connection's peer for its requests.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*guardedConn); ok {
		return context.WithValue(ctx, peerKey{}, c.peer)
	}
	return ctx
}
