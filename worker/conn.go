package worker

import (
	"crypto/tls"
	"io"
	"net"
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
	c.release()
	return err
}

// unixConn is an accepted Unix-domain connection that is counted.
type unixConn struct {
	*net.UnixConn
	held
}

func (c *unixConn) Write(b []byte) (int, error) {
	n, err := c.UnixConn.Write(b)
	c.sent(int64(n))
	return n, err
}

func (c *unixConn) Close() error {
	err := c.UnixConn.Close()
	c.release()
	return err
}

// held is what one connection weighs on the scoreboard. It is taken when the connection is accepted and given back in
// parts: most of it whenever the connection idles, what is left when it is closed. Each change of the state is one
// compare-and-swap, so whoever closes, and whenever, exactly what was taken is given back.
type held struct {
	tally *tally
	state atomic.Uint32
}

const (
	connBusy   = iota // accepted, or in a request
	connIdle          // kept alive, between requests
	connClosed        // for ever
)

// idles gives the weight of a request back.
func (h *held) idles() {
	if h.state.CompareAndSwap(connBusy, connIdle) {
		h.tally.line.Released[h.tally.seat].Add(ipc.Busy)
	}
}

// works takes the weight of a request again.
func (h *held) works() {
	if h.state.CompareAndSwap(connIdle, connBusy) {
		h.tally.line.Released[h.tally.seat].Add(^uint64(ipc.Busy - 1))
	}
}

// release gives back whatever is left, the first time that it is called.
func (h *held) release() {
	switch h.state.Swap(connClosed) {
	case connBusy:
		h.tally.closed(ipc.Weight)
	case connIdle:
		h.tally.closed(1)
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
