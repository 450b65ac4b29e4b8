package control

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// maxConns bounds the connections at a time. One more is closed at once.
const maxConns = 512

// guard accepts connections of those who may ask, and closes all others.
type guard struct {
	*socket
	log   zerolog.Logger
	open  atomic.Int64
	quiet time.Time // until then nothing is logged of who is refused
}

// guardedConn is one connection of a known peer.
type guardedConn struct {
	*net.UnixConn
	peer  peer
	close sync.Once
	open  *atomic.Int64
}

func (c *guardedConn) Close() error {
	c.close.Do(func() { c.open.Add(-1) })
	return c.UnixConn.Close()
}

func (g *guard) Accept() (net.Conn, error) {
	for {
		conn, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := peerOf(conn)
		switch {
		case err != nil || !p.mayAsk():
			g.refused(p, err, "a process of another user was refused at the control socket")
		case g.open.Load() >= maxConns:
			g.refused(p, nil, "too many connections at the control socket")
		default:
			g.open.Add(1)
			return &guardedConn{UnixConn: conn, peer: p, open: &g.open}, nil
		}
		conn.Close()
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
