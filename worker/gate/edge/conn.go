package edge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a client's connection. A write to it ends when the client reads too slowly. Whoever takes the connection over has the bare
// one by NetConn, which knows no rate; the count ends when either is closed by way of conn.
type conn struct {
	net.Conn
	edge   *Edge
	client netip.Addr
	once   sync.Once

	until atomic.Pointer[time.Time] // the deadline for writing that a user of the connection has set; nil: none
	armed atomic.Int64              // the deadline that is set below, in nanoseconds of the wall clock
}

// ErrSlow is why a body or a connection has ended: the client sends or reads less than Limits.Rate. It is an os.ErrDeadlineExceeded.
var ErrSlow = fmt.Errorf("the client is too slow: %w", os.ErrDeadlineExceeded)

// NetConn is the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// SyscallConn gives access to the socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// CloseWrite ends what is written.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection, and makes room for another one.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.edge.open.remove(c.client) })
	return err
}

// SetDeadline sets the deadline for reading and writing.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline sets a deadline for writing, beside the one by the client's rate. That one stays when t is zero, so that a write that
// waits always ends.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.edge.options.Limits.Rate < 0 {
		return c.Conn.SetWriteDeadline(t)
	}
	own := &t
	if t.IsZero() {
		own = nil
	}
	c.until.Store(own)
	return c.arm(own, 2*c.edge.grace)
}

// arm sets the deadline for writing: the user's own, or that by the client's rate, which is at the end of a wait.
func (c *conn) arm(own *time.Time, wait time.Duration) error {
	at := time.Now().Add(wait)
	if own != nil && own.Before(at) {
		at = *own
	}
	c.armed.Store(at.UnixNano())
	return c.Conn.SetWriteDeadline(at)
}

// Write writes all of p. It ends with ErrSlow when the client takes less than the rate in a time of grace, of p and of what was written
// before; that is seen after two to three times of grace. Calls do not overlap, as with net/http and crypto/tls.
func (c *conn) Write(p []byte) (int, error) {
	rate := c.edge.options.Limits.Rate
	if rate < 0 {
		return c.Conn.Write(p)
	}
	written, waiting, wait := 0, 0, 2*c.edge.grace
	for first := true; ; first, wait = false, c.edge.grace {
		own := c.until.Load()
		// The deadline of one write serves for those that follow soon: to move it costs more than to look at the clock.
		if !first || time.Duration(c.armed.Load()-time.Now().UnixNano()) < c.edge.grace {
			if err := c.arm(own, wait); err != nil {
				return written, err
			}
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) || own != nil && !own.After(time.Now()) {
			return written, err
		}
		before := waiting
		if waiting = unsent(c.Conn); !first && !c.fast(rate, n, before, waiting) {
			return written, ErrSlow
		}
	}
}

// fast reports whether a client has taken enough in a time of grace in which n bytes were written to the socket's buffer. before and
// after are the bytes in the buffer; -1: that is not known, and then each byte is enough.
func (c *conn) fast(rate, n, before, after int) bool {
	if before < 0 || after < 0 {
		return n > 0
	}
	return float64(n+before-after) >= float64(rate)*c.edge.grace.Seconds()
}
