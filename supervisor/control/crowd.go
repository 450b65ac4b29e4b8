package control

import (
	fifo "container/list"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Errors of Crowd.Admit: there is no room, and no idle guest could make some.
var (
	ErrFull      = errors.New("too many connections")
	ErrFullOfOne = errors.New("too many connections of one process")
)

// Crowd bounds the connections of an http.Server, and makes idle ones give way: at the
// bound a new connection takes the place of the one that has waited longest without a
// request. Many clients that connect and say nothing do not keep a client out that asks.
//
//	fresh   accepted, no whole request head has been read; gives way first, oldest first
//	idle    answered, kept alive; gives way next, the longest idle first
//	busy    a request is under way; never gives way
//
// Its State is to be the server's ConnState, and each connection that the server accepts
// has to come through Admit or Listener. All methods may be called by several goroutines.
type Crowd struct {
	most      int
	mostOfOne int // 0: no bound of its own

	mu      sync.Mutex
	guests  map[net.Conn]*guest
	byOwner map[int]int
	fresh   fifo.List     // of *guest, in the order of their arrival
	idle    fifo.List     // of *guest, in the order in which they began to idle
	none    chan struct{} // closed when no guest is fresh or busy; nil: no goroutine waits
}

// guest is one open connection. It is in none of the lists while it is busy.
type guest struct {
	conn  net.Conn
	owner int
	in    *fifo.List // nil: busy
	at    *fifo.Element
}

// NewCrowd has room for most connections, mostOfOne of them of one owner; 0: as many as
// there is room for.
func NewCrowd(most, mostOfOne int) *Crowd {
	return &Crowd{most: most, mostOfOne: mostOfOne, guests: map[net.Conn]*guest{}, byOwner: map[int]int{}}
}

// Admit takes in a connection that was just accepted. Owner is what its share is counted
// by, such as a PID. At the bound an idle connection is closed in its favour: one of the
// same owner where that one has its full share. The error is ErrFull or ErrFullOfOne; the
// caller then closes conn.
func (c *Crowd) Admit(conn net.Conn, owner int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mostOfOne > 0 && c.byOwner[owner] >= c.mostOfOne && !c.evict(func(g *guest) bool { return g.owner == owner }) {
		return ErrFullOfOne
	}
	if len(c.guests) >= c.most && !c.evict(func(*guest) bool { return true }) {
		return ErrFull
	}
	g := &guest{conn: conn, owner: owner, in: &c.fresh}
	g.at = c.fresh.PushBack(g)
	c.guests[conn] = g
	c.byOwner[owner]++
	return nil
}

// evict closes the connection that has waited longest of those that may give way.
func (c *Crowd) evict(may func(*guest) bool) bool {
	for _, waiting := range []*fifo.List{&c.fresh, &c.idle} {
		for e := waiting.Front(); e != nil; e = e.Next() {
			if g := e.Value.(*guest); may(g) {
				c.remove(g)
				g.conn.Close() // its goroutine in the server sees that, and ends
				return true
			}
		}
	}
	return false
}

func (c *Crowd) remove(g *guest) {
	c.move(g, nil)
	delete(c.guests, g.conn)
	if c.byOwner[g.owner]--; c.byOwner[g.owner] == 0 {
		delete(c.byOwner, g.owner)
	}
}

// move puts a guest at the end of a list; nil: in none.
func (c *Crowd) move(g *guest, to *fifo.List) {
	if g.in != nil {
		g.in.Remove(g.at)
	}
	g.in, g.at = to, nil
	if to != nil {
		g.at = to.PushBack(g)
	}
}

// State notes what has become of a connection. It is called by http.Server.
func (c *Crowd) State(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.guests[conn]
	if g == nil {
		return // it has given way
	}
	switch state {
	case http.StateNew:
	case http.StateActive:
		c.move(g, nil)
	case http.StateIdle:
		c.move(g, &c.idle)
	case http.StateHijacked, http.StateClosed:
		c.remove(g)
	}
	if c.none != nil && !c.awaited() {
		close(c.none)
		c.none = nil
	}
}

// awaited says whether an answer is under way, or a first request may be on its way.
func (c *Crowd) awaited() bool { return len(c.guests) > c.idle.Len() }

// Wait returns when each connection idles that is open, or after a while. It is called
// once, when no more are accepted: http.Server.Shutdown closes a connection without an
// answer whose first request it has not read yet, so that a server which hands its listener
// on waits for them before.
func (c *Crowd) Wait(within time.Duration) {
	c.mu.Lock()
	if !c.awaited() {
		c.mu.Unlock()
		return
	}
	none := make(chan struct{})
	c.none = none
	c.mu.Unlock()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-none:
	case <-late.C:
	}
}

// Listener accepts from l whom there is room for, and closes the others.
func (c *Crowd) Listener(l net.Listener) net.Listener { return &crowdListener{l, c} }

type crowdListener struct {
	net.Listener
	crowd *Crowd
}

func (l *crowdListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.crowd.Admit(conn, 0) == nil {
			return conn, nil
		}
		conn.Close()
	}
}
