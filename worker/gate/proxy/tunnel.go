package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tunnel passes bytes both ways once the member has agreed to change the protocol, until both sides have ended theirs. It takes over
// the client's connection.
//
// Neither direction holds a buffer while there is nothing to read: it waits for the socket to be readable, takes a buffer, reads and
// writes, and gives the buffer back. So an idle tunnel costs two goroutines and two sockets.
func (f *forwarding) tunnel(u *upstream, res *http.Response) error {
	asked := upgradeOf(f.r)
	if got := res.Header.Get("Upgrade"); !slices.ContainsFunc(tokens(asked), func(one string) bool { return strings.EqualFold(one, got) }) {
		return &unanswered{err: fmt.Errorf("it changes the protocol to %q, and %q was asked for", got, asked), sent: true}
	}
	held, both, err := http.NewResponseController(f.w).Hijack()
	if err != nil {
		return &unanswered{err: fmt.Errorf("this connection of the client cannot change its protocol: %w", err), sent: true, client: true}
	}
	defer held.Close()
	client := bare(held)
	f.access.Status = res.StatusCode
	f.learn()
	f.mark(res.Header, res.StatusCode)
	if err := errors.Join(client.SetDeadline(time.Time{}), u.SetDeadline(time.Time{}), f.agree(both.Writer, res)); err != nil {
		return nil // the client is gone; nothing can be answered on a connection that was taken over
	}
	// What was read together with the heads belongs to the new protocol.
	fromClient, fromMember := rest(both.Reader), rest(u.in)
	both, u.in = nil, nil
	var wg sync.WaitGroup
	wg.Go(func() { pump(u.Conn, client, fromClient) })
	pump(client, u.Conn, fromMember)
	wg.Wait()
	return nil
}

// bare is the connection that a tunnel waits at: below wrappers that have nothing of it in hand, such as that of package edge, but not
// below TLS.
func bare(c net.Conn) net.Conn {
	for {
		below, ok := c.(interface{ NetConn() net.Conn })
		if _, encrypted := c.(*tls.Conn); !ok || encrypted {
			return c
		}
		c = below.NetConn()
	}
}

// agree writes the member's answer to the client.
func (f *forwarding) agree(out *bufio.Writer, res *http.Response) error {
	out.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	connection := named(res.Header)
	for name, values := range res.Header {
		if ofOneConnection[name] || connection[name] || name == "X-Request-Id" || name == "Content-Length" {
			continue
		}
		for _, v := range values {
			header(out, name, v)
		}
	}
	header(out, "X-Request-Id", f.access.ID)
	header(out, "Connection", "Upgrade")
	header(out, "Upgrade", res.Header.Get("Upgrade"))
	out.WriteString("\r\n")
	return out.Flush()
}

// rest is what a reader has read ahead.
func rest(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return append([]byte(nil), b...)
}

// pump copies one direction until its end, and tells the other side of it. After an error both sides are closed.
func pump(to, from net.Conn, first []byte) {
	err := copyParked(to, from, first)
	half, ok := to.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		to.Close()
		from.Close()
	}
}

func copyParked(to, from net.Conn, first []byte) error {
	if len(first) > 0 {
		if _, err := to.Write(first); err != nil {
			return err
		}
	}
	c, ok := from.(syscall.Conn)
	if !ok { // TLS has a buffer of its own
		_, err := io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for {
		b := (*[]byte)(nil)
		n, read := 0, error(nil)
		err := raw.Read(func(fd uintptr) bool {
			if b == nil {
				b = buffers.Get().(*[]byte)
			}
			for {
				n, read = syscall.Read(int(fd), *b)
				if read != syscall.EINTR {
					break
				}
			}
			if read == syscall.EAGAIN {
				buffers.Put(b)
				b = nil
				return false // to wait, without a buffer
			}
			return true
		})
		if err == nil {
			err = read
		}
		if err == nil && n > 0 {
			_, err = to.Write((*b)[:n])
		}
		if b != nil {
			buffers.Put(b)
		}
		if err != nil || n == 0 {
			return err
		}
	}
}
