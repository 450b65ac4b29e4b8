package control

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// The connections at a time. One more is closed at once.
const (
	maxConns     = 512
	maxPeerConns = 128 // of one process, so that one that forgets to close them leaves room for others
)

// guard accepts connections of those who may ask, and closes all others.
type guard struct {
	*socket
	log   zerolog.Logger
	open  openConns
	quiet time.Time // until then nothing is logged of who is refused
}

// guardedConn is one connection of a known peer.
type guardedConn struct {
	*net.UnixConn
	peer  peer
	close sync.Once
	open  *openConns
}

func (c *guardedConn) Close() error {
	c.close.Do(func() { c.open.remove(c.peer) })
	return c.UnixConn.Close()
}

// openConns counts the connections that are open, by process. The zero value has none.
type openConns struct {
	mu    sync.Mutex
	all   int
	byPID map[int]int // 0: those whose process is not known, together
}

// add counts one of p, or says why it may not be.
func (o *openConns) add(p peer) (refusal string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.all >= maxConns:
		return "too many connections at the control socket"
	case o.byPID[p.pid] >= maxPeerConns:
		return "too many connections of one process at the control socket"
	}
	if o.byPID == nil {
		o.byPID = map[int]int{}
	}
	o.all++
	o.byPID[p.pid]++
	return ""
}

func (o *openConns) remove(p peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all--
	if o.byPID[p.pid]--; o.byPID[p.pid] == 0 {
		delete(o.byPID, p.pid)
	}
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
		} else if refusal := g.open.add(p); refusal != "" {
			g.refused(p, nil, refusal)
		} else {
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
