package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc/members"
)

const (
	// mostIdle bounds the idle connections to one member.
	mostIdle = 128
	// idleTime is how long one is kept: less than servers usually do, so that they seldom close one that is about to be used.
	idleTime = 4 * time.Second
)

// upstream is a connection to a member.
type upstream struct {
	net.Conn
	limit  *io.LimitedReader // of what is read from it; what it is about sets it
	in     *bufio.Reader
	out    *bufio.Writer
	pool   *pool
	to     string
	idleAt time.Time
	reused bool
}

// pool has the idle connections, by address.
type pool struct {
	mu     sync.Mutex
	idle   map[string][]*upstream // the one that was used last is the last
	closed bool
	sweeps *time.Timer // runs while there are idle connections
}

// take is an idle connection to an address, or a new one.
func (p *pool) take(ctx context.Context, to string, timeout time.Duration) (*upstream, error) {
	for {
		u := p.last(to)
		if u == nil {
			break
		}
		if time.Since(u.idleAt) < idleTime && u.alive() {
			u.reused = true
			return u, nil
		}
		u.Close()
	}
	return p.dial(ctx, to, timeout)
}

func (p *pool) dial(ctx context.Context, to string, timeout time.Duration) (*upstream, error) {
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, members.Network(to), to)
	if err != nil {
		return nil, err
	}
	limit := &io.LimitedReader{R: conn, N: mostHead}
	return &upstream{Conn: conn, limit: limit, in: bufio.NewReader(limit), out: bufio.NewWriter(conn), pool: p, to: to}, nil
}

func (p *pool) last(to string) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.idle[to]
	if len(all) == 0 {
		return nil
	}
	u := all[len(all)-1]
	p.idle[to] = all[:len(all)-1]
	return u
}

// put gives a connection back. There are at most mostIdle of a member: the one that waits longest is closed for a new one.
func (u *upstream) put() {
	p := u.pool
	var old []*upstream
	p.mu.Lock()
	if u.idleAt = time.Now(); p.closed {
		old = []*upstream{u}
	} else {
		if p.idle == nil {
			p.idle = map[string][]*upstream{}
		}
		all := p.idle[u.to]
		for len(all) > 0 && (len(all) >= mostIdle || u.idleAt.Sub(all[0].idleAt) > idleTime) {
			old, all = append(old, all[0]), slices.Delete(all, 0, 1)
		}
		p.idle[u.to] = append(all, u)
		if p.sweeps == nil {
			p.sweeps = time.AfterFunc(idleTime, p.sweep)
		}
	}
	p.mu.Unlock()
	for _, u := range old {
		u.Close()
	}
}

// sweep closes the connections that were idle for too long, also those to members that are not picked any more.
func (p *pool) sweep() {
	var old []*upstream
	p.mu.Lock()
	p.sweeps = nil
	for to, all := range p.idle {
		n := 0
		for n < len(all) && time.Since(all[n].idleAt) >= idleTime {
			n++
		}
		old = append(old, all[:n]...)
		if p.idle[to] = slices.Delete(all, 0, n); len(p.idle[to]) == 0 {
			delete(p.idle, to)
		}
	}
	if len(p.idle) > 0 {
		p.sweeps = time.AfterFunc(idleTime, p.sweep)
	}
	p.mu.Unlock()
	for _, u := range old {
		u.Close()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
	all := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, of := range all {
		for _, u := range of {
			u.Close()
		}
	}
}

// alive reports whether an idle connection is still open and silent. A member that has closed it, or says something unasked, is found
// out here, before a request is lost on it.
func (u *upstream) alive() bool {
	if u.in.Buffered() > 0 {
		return false
	}
	c, ok := u.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN
		return true
	})
	return err == nil && silent
}
