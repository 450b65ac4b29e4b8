package ipc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxWorkerFDs is the most descriptors of one frame of a worker: none has more than one by now. What a master holds of frames
// that a worker never ends is little.
const maxWorkerFDs = 4

// A Conn reads into a small buffer of its own and borrows a large one only while a frame needs it, so that an idle channel
// costs little.
const (
	smallBuffer = 8 << 10
	largeBuffer = headerLen + MaxFrame
)

// batchBytes is how much an Outbox puts into one write.
const batchBytes = 64 << 10

var (
	readBuffers  = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}
	writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, largeBuffer+4<<10); return &b }}
)

// Conn is one end of a channel: a Unix stream socket in the runtime's poller. One goroutine may read while others write and
// while any closes it.
type Conn struct {
	sock  *net.UnixConn
	raw   syscall.RawConn // of sock
	close func() error
	most  int // descriptors that one message of the peer may have

	wmu   sync.Mutex // a frame is never written into the middle of another
	timed bool       // a write deadline is left from an Outbox

	rmu   sync.Mutex
	rerr  error // what ended reading
	small []byte
	large *[]byte
	buf   []byte // small or *large
	r, w  int    // unread bytes are buf[r:w]
	fds   []int  // received, first in first out
	oob   []byte
}

// newConn is a worker's end, unless most is set to less than a master may send.
func newConn(f *os.File) (*Conn, error) {
	sock, err := unixConn(f)
	if err != nil {
		return nil, err
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		sock.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	conn := &Conn{sock: sock, raw: raw, most: MaxFDs}
	conn.close = sync.OnceValue(conn.closeOnce)
	return conn, nil
}

// unixConn duplicates f.
func unixConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	sock, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s is a %s socket, a Unix stream socket is needed", f.Name(), c.LocalAddr().Network())
	}
	return sock, nil
}

// Read returns the next frame, whose payload and files are the caller's. Frames of unknown types are skipped.
//
// At the end of the peer it returns io.EOF, within a frame an error that wraps io.ErrUnexpectedEOF, after Close one that
// wraps net.ErrClosed, after a deadline that SetReadDeadline has set one that wraps os.ErrDeadlineExceeded, and when the peer
// broke the protocol a *ProtocolError. After any error no more can be read.
func (c *Conn) Read() (Frame, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if c.rerr != nil {
		return nil, c.rerr
	}
	for {
		f, err := c.next()
		if f != nil {
			return f, nil
		}
		if err == nil {
			err = c.fill()
		}
		if err != nil {
			c.endRead(err)
			return nil, err
		}
	}
}

// SetReadDeadline has a Read that waits, and those to come, fail at t with an error that wraps os.ErrDeadlineExceeded, however
// slowly a frame arrives. The zero time lets them wait.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.sock.SetReadDeadline(t) }

// next takes a known frame from the buffer; nil without an error means that more bytes are needed.
func (c *Conn) next() (Frame, error) {
	for c.w-c.r >= headerLen {
		h, err := parseHeader(c.buf[c.r:])
		if err != nil {
			return nil, err
		}
		// Descriptors come with the first byte of their frame, so they must be here by now.
		if h.fds > len(c.fds) {
			return nil, violation(h.typ.String(), "header announces %d descriptors, %d came", h.fds, len(c.fds))
		}
		end := c.r + headerLen + h.length
		if c.w < end {
			return nil, nil
		}
		var fds []int
		if h.fds > 0 {
			fds = append(fds, c.fds[:h.fds]...)
			c.fds = append(c.fds[:0], c.fds[h.fds:]...)
		}
		body := c.buf[c.r+headerLen : end]
		c.r = end
		f, err := decode(h.typ, body, fds)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// fill receives once. It is called only when the buffer holds no complete frame.
func (c *Conn) fill() error {
	if c.r == c.w {
		if len(c.fds) > 0 {
			return violation("stream", "%d descriptors that no frame announced", len(c.fds))
		}
		c.r, c.w = 0, 0
		c.shrink()
	} else if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.grow()
	}
	if c.oob == nil {
		c.oob = make([]byte, unix.CmsgSpace(4*c.most))
	}
	queued := len(c.fds)
	n, oobn, flags, _, err := c.sock.ReadMsgUnix(c.buf[c.w:], c.oob)
	if oobn > 0 {
		if ferr := c.takeFDs(c.oob[:oobn]); ferr != nil {
			return ferr
		}
	}
	if flags&unix.MSG_CTRUNC != 0 {
		if len(c.fds)-queued >= c.most {
			return violation("stream", "descriptors were lost: more than %d came at once", c.most)
		}
		return newLostFilesError()
	}
	if n > 0 {
		c.w += n
		return nil
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return fmt.Errorf("cannot read frame: %w", net.ErrClosed)
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("cannot read frame: %w", err)
	case c.w > 0: // A reset is how a Unix socket says that the peer ended without reading everything.
		return fmt.Errorf("cannot read frame: the peer ended %d bytes into it: %w", c.w, io.ErrUnexpectedEOF)
	}
	return io.EOF
}

// takeFDs owns every descriptor in oob from here on, also when it refuses them.
func (c *Conn) takeFDs(oob []byte) error {
	fds, err := received(oob)
	c.fds = append(c.fds, fds...)
	if err != nil {
		return fmt.Errorf("cannot read frame: %w", err)
	}
	// Those of the frame that is coming in, and those of the next one, whose first bytes may have come with its end.
	if most := 2 * c.most; len(c.fds) > most {
		return violation("stream", "%d descriptors before the frames that announce them, at most %d", len(c.fds), most)
	}
	return nil
}

func (c *Conn) shrink() {
	if c.large != nil {
		readBuffers.Put(c.large)
		c.large = nil
	}
	if c.small == nil {
		c.small = make([]byte, smallBuffer)
	}
	c.buf = c.small
}

// grow goes to the final size at once; it is called only when a small buffer has been filled with real bytes.
func (c *Conn) grow() {
	c.large = readBuffers.Get().(*[]byte)
	copy(*c.large, c.buf[:c.w])
	c.buf = *c.large
}

func (c *Conn) endRead(err error) {
	if c.rerr == nil {
		c.rerr = err
	}
	closeAll(c.fds)
	c.fds = nil
	if c.large != nil {
		readBuffers.Put(c.large)
		c.large = nil
	}
	c.buf, c.small, c.oob, c.r, c.w = nil, nil, nil, 0, 0
}

// Write writes the whole frame. The payload and the files stay the caller's. When the peer does not read, only Close ends
// it: who must not wait uses an Outbox.
func (c *Conn) Write(f Frame) error {
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	b, err := appendFrame((*buf)[:0], f)
	if err != nil {
		return err
	}
	fds, err := descriptors(f)
	if err != nil {
		return err
	}
	return c.send(b, fds, 0, nil)
}

// send writes b with fds on its first byte. If nothing of it goes out for as long as stuck, it calls onStuck once and then
// waits on.
func (c *Conn) send(b []byte, fds []int, stuck time.Duration, onStuck func(time.Duration)) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	n, err := c.attempt(b, fds)
	if err != nil || n == len(b) {
		return err
	}
	// Only what has to wait pays for a timer.
	var oob []byte
	if len(fds) > 0 && n == 0 {
		oob = unix.UnixRights(fds...)
	}
	b = b[n:]
	watch := stuck > 0 && onStuck != nil
	since := time.Now()
	for len(b) > 0 {
		if watch {
			c.timed = true
			_ = c.sock.SetWriteDeadline(time.Now().Add(stuck))
		}
		var n int
		var err error
		if oob != nil {
			n, _, err = c.sock.WriteMsgUnix(b, oob, nil)
		} else {
			n, err = c.sock.Write(b)
		}
		if n > 0 {
			b, oob, since = b[n:], nil, time.Now()
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("cannot write frame: %w", err)
		case n <= 0 && watch:
			watch, c.timed = false, false
			_ = c.sock.SetWriteDeadline(time.Time{})
			onStuck(time.Since(since))
		}
	}
	return nil
}

// attempt makes one sendmsg, with wmu held. 0 without an error: there is no room.
func (c *Conn) attempt(b []byte, fds []int) (n int, err error) {
	if c.timed {
		c.timed = false
		_ = c.sock.SetWriteDeadline(time.Time{})
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	cerr := c.raw.Write(func(fd uintptr) bool {
		for {
			n, err = unix.SendmsgN(int(fd), b, oob, nil, 0)
			if err != unix.EINTR {
				return true
			}
		}
	})
	switch {
	case cerr != nil:
		return 0, fmt.Errorf("cannot write frame: %w", cerr)
	case err == unix.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("cannot write frame: %w", os.NewSyscallError("sendmsg", err))
	}
	return n, nil
}

// CloseWrite ends this direction: the peer reads what was written, and then the end. What the peer writes can still be
// read.
func (c *Conn) CloseWrite() error {
	if err := c.sock.CloseWrite(); err != nil {
		return fmt.Errorf("cannot end channel: %w", err)
	}
	return nil
}

// Close ends both directions at once; a Read or Write that waits returns. What came but was not read is dropped, with its
// descriptors. Calling it again does nothing more; when any call has returned, all is closed.
func (c *Conn) Close() error { return c.close() }

func (c *Conn) closeOnce() error {
	err := c.sock.Close()
	c.rmu.Lock()
	defer c.rmu.Unlock()
	c.endRead(fmt.Errorf("cannot read frame: %w", net.ErrClosed))
	return err
}
