package worker

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/tinehq/tine/ipc"
)

// tcpConn is an accepted TCP connection that is counted. It has all that *net.TCPConn has: net/http and io.Copy find
// its ReadFrom (sendfile, splice), its CloseWrite and its SyscallConn. Reads are not touched. Bytes that are written
// past it, by net.Buffers or by the descriptor, are not counted as sent.
type tcpConn struct {
	*net.TCPConn
	held
}

func (c *tcpConn) Write(b []byte) (int, error) {
	n, err := c.TCPConn.Write(b)
	c.sent(int64(n))
	return n, err
}

func (c *tcpConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	c.sent(n)
	return n, err
}

func (c *tcpConn) Close() error {
	err := c.TCPConn.Close()
	c.held.close()
	return err
}

// unixConn is an accepted Unix-domain connection that is counted.
type unixConn struct {
	*net.UnixConn
	inner bool // it came by the inner socket
	held
}

func (c *unixConn) Write(b []byte) (int, error) {
	n, err := c.UnixConn.Write(b)
	c.sent(int64(n))
	return n, err
}

func (c *unixConn) Close() error {
	err := c.UnixConn.Close()
	c.held.close()
	return err
}

// held is what one connection weighs on the scoreboard. All of it is taken when the connection is accepted. A
// connection that an http.Server serves gives most of it back whenever it idles, and what is left when the server is
// through with it. Any other gives all of it back when it is closed.
//
// The server tells of one connection's states one after the other, from the goroutine that serves it; so idle needs
// no atomic access, which every request would pay for. Close may be called by any goroutine at any time, and
// leaves idle alone.
type held struct {
	tally    *tally
	followed atomic.Bool // a server tells of its states
	released atomic.Bool // all is given back
	idle     bool        // the server's goroutine only: kept alive, between requests
}

// state takes in what the server tells.
func (h *held) state(st http.ConnState) {
	switch st {
	case http.StateNew:
		h.followed.Store(true)
	case http.StateActive:
		if h.idle {
			h.idle = false
			h.tally.line.Released[h.tally.seat].Add(^uint64(ipc.Busy - 1)) // minus Busy
		}
	case http.StateIdle:
		if !h.idle && h.followed.Load() {
			h.idle = true
			h.tally.line.Released[h.tally.seat].Add(ipc.Busy)
		}
	case http.StateHijacked: // in a request; from here on the states of another server mean nothing
		h.followed.Store(false)
	case http.StateClosed:
		weight := uint64(ipc.Weight)
		if h.idle {
			weight = 1
		}
		h.release(weight)
	}
}

// close is called behind the closing of the connection itself.
func (h *held) close() {
	if !h.followed.Load() {
		h.release(ipc.Weight)
	}
}

func (h *held) release(weight uint64) {
	if !h.released.Swap(true) {
		h.tally.closed(weight)
	}
}

func (h *held) sent(n int64) {
	if n > 0 {
		h.tally.row.Sent.Add(uint64(n))
	}
}

// heldOf finds the counted connection under c: under TLS, and under wrappers of the program that have the same NetConn
// method. Nil: there is none, or it cannot be found, and then a connection is busy until it is closed.
func heldOf(c net.Conn) *held {
	for range 8 { // no stack of wrappers is higher, and none goes round for ever
		switch x := c.(type) {
		case *tcpConn:
			return &x.held
		case *tls.Conn:
			c = x.NetConn()
		case *unixConn:
			return &x.held
		case interface{ NetConn() net.Conn }:
			c = x.NetConn()
		default:
			return nil
		}
	}
	return nil
}
