package rawhttp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// maxBody bounds the part of an answer's body that is kept.
const maxBody = 1 << 20

// Request is what Do sends.
type Request struct {
	Method, Path string
	Header       string // further lines, each ending in \r\n
	Body         []byte
	Close        bool // asks the server to close the connection after the answer

	// A body that is sent in Pieces > 1 parts has a pause of Pause before each but
	// the first.
	Pieces int
	Pause  time.Duration
}

// Answer is what became of a Request.
type Answer struct {
	Outcome   Outcome
	Err       error // what the kernel or the parser said; nil for OK
	Status    int
	Body      []byte
	Close     bool      // the connection cannot be used again
	Sent      time.Time // the last byte of the request was handed to the kernel
	FirstByte time.Time // of the answer
	Done      time.Time
}

// Conn is one connection.
type Conn struct {
	tcp   *net.TCPConn
	r     *bufio.Reader
	local netip.AddrPort
	head  []byte
	ended error // of the last read that failed
}

// Read makes parsers, which have errors of their own for an answer that is cut,
// unable to hide how the connection ended.
func (c *tap) Read(b []byte) (int, error) {
	n, err := c.tcp.Read(b)
	if err != nil {
		c.ended = err
	}
	return n, err
}

// tap is the Conn as its own reader sees it.
type tap Conn

// Dial connects from the address local (the zero one: any) to addr, in time for
// deadline. The Outcome says why there is no Conn.
func Dial(local netip.Addr, addr string, deadline time.Time) (*Conn, Outcome, error) {
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	if local.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: local.AsSlice()}
	}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, dialOutcome(err), err
	}
	tcp := c.(*net.TCPConn)
	conn := &Conn{tcp: tcp, local: tcp.LocalAddr().(*net.TCPAddr).AddrPort()}
	conn.r = bufio.NewReaderSize((*tap)(conn), 8<<10)
	return conn, OK, nil
}

// Local is the client's end of the connection.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Close closes the connection.
func (c *Conn) Close() { c.tcp.Close() }

// Closed reports whether the connection cannot take another request: the server
// has closed or reset it, or sent bytes that answer no request. It does not wait.
func (c *Conn) Closed() bool {
	if c.r.Buffered() > 0 {
		return true
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return true
	}
	var one [1]byte
	var peek error
	err = raw.Control(func(fd uintptr) {
		_, _, peek = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err != nil || peek != syscall.EAGAIN
}

// Do sends r and reads the whole answer, in time for deadline. After an Outcome
// other than OK, or if Close is set, the connection is of no more use.
func (c *Conn) Do(r Request, deadline time.Time) (a Answer) {
	_ = c.tcp.SetDeadline(deadline) // a connection that has ended says so in the write
	began := false
	fail := func(err error) Answer {
		if c.ended != nil && began {
			err = c.ended
		}
		a.Outcome, a.Err, a.Close, a.Done = failure(err, began), err, true, time.Now()
		return a
	}
	// A server that answers and closes before it has read all makes the write
	// fail, and its answer is still to be read: so the write's error counts only if
	// there is none.
	sendErr := c.send(r)
	a.Sent = time.Now()
	if _, err := c.r.Peek(1); err != nil {
		if sendErr != nil && !isTimeout(err) {
			err = sendErr
		}
		return fail(err)
	}
	began = true
	a.FirstByte = time.Now()
	res, err := http.ReadResponse(c.r, &http.Request{Method: r.Method})
	if err != nil {
		return fail(err)
	}
	a.Status = res.StatusCode
	a.Body, err = io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	if err != nil {
		return fail(err)
	}
	a.Close = res.Close || r.Close || sendErr != nil
	a.Done = time.Now()
	if a.Status != http.StatusOK {
		a.Outcome, a.Err = BadStatus, errors.New(res.Status)
	}
	return a
}

// End waits for the end of a connection that the server has said it closes. OK: the end came in order, with nothing before it.
func (c *Conn) End(deadline time.Time) (Outcome, error) {
	_ = c.tcp.SetDeadline(deadline)
	_, err := c.r.ReadByte()
	switch {
	case err == nil:
		return Malformed, errors.New("a byte follows the last answer")
	case errors.Is(err, io.EOF):
		return OK, nil
	}
	return failure(err, true), err
}

func (c *Conn) send(r Request) error {
	h := append(c.head[:0], r.Method...)
	h = append(h, ' ')
	h = append(h, r.Path...)
	h = append(h, " HTTP/1.1\r\nHost: localhost\r\n"...)
	if r.Close {
		h = append(h, "Connection: close\r\n"...)
	}
	if r.Body != nil {
		h = append(h, "Content-Length: "...)
		h = strconv.AppendInt(h, int64(len(r.Body)), 10)
		h = append(h, "\r\n"...)
	}
	h = append(h, r.Header...)
	h = append(h, "\r\n"...)
	c.head = h

	body := r.Body
	pieces := max(1, r.Pieces)
	size := (len(body) + pieces - 1) / pieces
	if size <= 4<<10 { // one packet, as clients send small requests
		h = append(h, body[:size]...)
		c.head = h
		body = body[size:]
	}
	if _, err := c.tcp.Write(h); err != nil {
		return err
	}
	for first := len(body) == len(r.Body); len(body) > 0; first = false {
		if !first {
			time.Sleep(r.Pause)
		}
		n := min(size, len(body))
		if _, err := c.tcp.Write(body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}
