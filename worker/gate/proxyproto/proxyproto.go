// Package proxyproto reads and writes the head by which a proxy says of whom a TCP connection is: HAProxy's PROXY protocol, of versions 1
// and 2. The head itself is read and written by github.com/pires/go-proxyproto. It is a package of its own, so that only a gateway
// links that.
package proxyproto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
)

// headTime bounds how long a proxy takes for the head.
const headTime = 5 * time.Second

// Listen has the connections that come from the networks begin with a head: their RemoteAddr is the client's, and one without a head, or
// with a broken one, ends at its first read. Those from elsewhere are as they are: a head that they send is data.
func Listen(ln net.Listener, from []netip.Prefix) net.Listener { return &listener{ln, from} }

type listener struct {
	net.Listener
	from []netip.Prefix
}

// Accept returns a connection. It does not wait for the head.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	at, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return c, nil
	}
	addr := at.AddrPort().Addr().Unmap()
	for _, p := range l.from {
		if p.Contains(addr) {
			return &conn{Conn: c}, nil
		}
	}
	return c, nil
}

// conn is a connection that begins with a head. Not a byte behind the head is read ahead, so that NetConn is the rest of it once RemoteAddr,
// Read or Wait has returned.
type conn struct {
	net.Conn
	once   sync.Once
	err    error
	client net.Addr
}

// NetConn is the connection below. It does not wait.
func (c *conn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends what is written.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Wait waits for the head of a connection that Listen has given, also below wrappers, and says what is wrong with it.
func Wait(c net.Conn) error {
	for {
		switch x := c.(type) {
		case *conn:
			x.once.Do(x.head)
			return x.err
		case interface{ NetConn() net.Conn }:
			c = x.NetConn()
		default:
			return nil
		}
	}
}

// SyscallConn gives access to the socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return s.SyscallConn()
}

// Read reads what is behind the head.
func (c *conn) Read(p []byte) (int, error) {
	if c.once.Do(c.head); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// RemoteAddr is the client's address, as the head says it. It waits for the head.
func (c *conn) RemoteAddr() net.Addr {
	if c.once.Do(c.head); c.client != nil {
		return c.client
	}
	return c.Conn.RemoteAddr()
}

func (c *conn) head() {
	_ = c.Conn.SetReadDeadline(time.Now().Add(headTime))
	b, err := readHead(c.Conn)
	_ = c.Conn.SetReadDeadline(time.Time{})
	if err == nil {
		var h *proxyproto.Header
		if h, err = proxyproto.Read(bufio.NewReader(bytes.NewReader(b))); err == nil {
			if !h.Command.IsLocal() && h.SourceAddr != nil {
				c.client = h.SourceAddr
			}
			return
		}
	}
	c.err = fmt.Errorf("cannot read the head of the PROXY protocol from %s: %w", c.Conn.RemoteAddr(), err)
	c.Conn.Close()
}

const (
	// mostLine is how long a head of version 1 may be, and mostHead one of version 2, in bytes.
	mostLine = 107
	mostHead = 4 << 10
	// fixed is the part of version 2 that says how long the rest is.
	fixed = 16
)

var errHead = errors.New("the connection does not begin with one")

// readHead reads a head, and not a byte more.
func readHead(r io.Reader) ([]byte, error) {
	b := make([]byte, 1, mostLine)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if b[0] == 'P' {
		for b[len(b)-1] != '\n' {
			if len(b) == mostLine {
				return nil, errHead
			}
			b = b[:len(b)+1]
			if _, err := io.ReadFull(r, b[len(b)-1:]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	b = b[:fixed]
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte("\r\n\r\n\x00\r\nQUIT\n")) {
		return nil, errHead
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if n > mostHead {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are taken", n, mostHead)
	}
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(r, b[fixed:])
	return b, err
}

// Head is the head of version 2 that tells a member of a client.
func Head(client net.Conn) ([]byte, error) {
	b, err := proxyproto.HeaderProxyFromAddrs(2, client.RemoteAddr(), client.LocalAddr()).Format()
	if err != nil {
		return nil, fmt.Errorf("cannot write the head of the PROXY protocol: %w", err)
	}
	return b, nil
}
