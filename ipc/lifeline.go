package ipc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lifeline is the masters' end of what ties a worker to its present master. Over it a worker gets a new channel from
// each master that takes over:
//
//	master 1 ══ channel ══════════ worker      what is on a channel may end in mid-frame when its master is killed,
//	keeper   ── lifeline ───────── worker      so that no channel is handed on
//	master 2 ══ new channel ══════ worker      it came over the lifeline
//
// A lifeline carries single bytes, each with one descriptor. A byte comes whole or not at all, so nothing on it is ever
// torn, whenever a master dies. The worker may send one back, without a descriptor: that it is about to end on purpose. A Bye
// says that too, but one that was on its way to a master that died is lost; the byte waits for the next one, also when the
// worker has ended meanwhile. Its file can be given to another process, before or after this one ends. The methods may
// be called from one goroutine at a time, Left and Close from any.
type Lifeline struct {
	file *os.File
	left atomic.Bool
}

// NewLifeline makes one: the masters' end, and the file that becomes the worker's descriptor. The caller closes child after
// the worker has been started.
func NewLifeline() (l *Lifeline, child *os.File, err error) {
	own, child, err := streamPair("lifeline of the master", "lifeline of the worker")
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a lifeline: %w", err)
	}
	return &Lifeline{file: own}, child, nil
}

// OpenLifeline is the lifeline whose File an earlier master has left. It owns f.
func OpenLifeline(f *os.File) (*Lifeline, error) {
	fd, err := Descriptor(f)
	if err == nil {
		err = verifyChannel(fd)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot open lifeline %s: %w", f.Name(), err)
	}
	return &Lifeline{file: f}, nil
}

// File is the lifeline's own file, to be duplicated or sent: it stays the lifeline's.
func (l *Lifeline) File() *os.File { return l.file }

// Renew makes a channel and sends the worker its end of it. The worker ends the channel that it had; its first frame on the
// new one is a Hello. The error is one of the system when descriptors are short, os.ErrDeadlineExceeded when the worker
// does not take what it was sent, and syscall.EPIPE when it is gone.
func (l *Lifeline) Renew() (*Conn, error) {
	parent, child, err := Pair()
	if err != nil {
		return nil, fmt.Errorf("cannot renew channel: %w", err)
	}
	defer child.Close()
	fd, err := Descriptor(child)
	if err == nil {
		err = l.send(fd)
	}
	if err != nil {
		parent.Close()
		return nil, fmt.Errorf("cannot renew channel: %w", err)
	}
	return parent, nil
}

// send never waits: the socket has room for many channels that a worker, stopped perhaps, leaves unread.
func (l *Lifeline) send(fd int) error {
	own, err := Descriptor(l.file)
	if err != nil {
		return err
	}
	for {
		err = unix.Sendmsg(own, []byte{0}, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN, unix.ETOOMANYREFS:
			return fmt.Errorf("the worker leaves its lifeline unread: %w", os.ErrDeadlineExceeded)
		default:
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// Left reports whether the worker has told that it ends on purpose, to this master or an earlier one. It never waits, and
// takes nothing away: the next master is told the same. After Close it is what it was then.
func (l *Lifeline) Left() bool {
	_ = Control(l.file, func(fd int) error {
		var b [1]byte
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err == nil && n > 0 {
			l.left.Store(true)
		}
		return err
	})
	return l.left.Load()
}

// Close closes this process's copy of the end.
func (l *Lifeline) Close() error {
	l.Left()
	return l.file.Close()
}

// Renewals are the worker's end of a Lifeline.
type Renewals struct {
	sock  *net.UnixConn
	close func() error
}

// RenewalsFromEnv opens the lifeline that the master left to this process, as FromEnv does the channel: (nil, nil) when
// there is none.
func RenewalsFromEnv() (*Renewals, error) {
	f, err := inherited(EnvLifeline, "lifeline")
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close() // unixConn duplicates it
	sock, err := unixConn(f)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", EnvLifeline, err)
	}
	return &Renewals{sock: sock, close: sync.OnceValue(sock.Close)}, nil
}

// Next waits for the next channel. io.EOF says that there will be none, since no process holds the other end any more. One
// goroutine may call it, while any calls Close.
func (r *Renewals) Next() (*Conn, error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4*MaxFDs))
	n, oobn, _, _, err := r.sock.ReadMsgUnix(b[:], oob)
	var fds []int
	if oobn > 0 {
		var perr error
		if fds, perr = received(oob[:oobn]); perr != nil && err == nil {
			err = perr
		}
	}
	switch {
	case err == nil && n == 1 && len(fds) == 1:
		return openChannel(fds[0])
	case n == 0 && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		closeAll(fds)
		return nil, io.EOF
	case err == nil:
		err = violation("lifeline", "%d bytes with %d descriptors, 1 with 1 is needed", n, len(fds))
	}
	closeAll(fds)
	return nil, fmt.Errorf("cannot renew channel: %w", err)
}

// openChannel owns fd.
func openChannel(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "channel")
	defer f.Close() // newConn duplicates it
	err := verifyChannel(fd)
	if err == nil {
		var c *Conn
		if c, err = newConn(f); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("cannot renew channel: %w", err)
}

// Leave tells all masters, also those to come, that this process is about to end on purpose: see Lifeline.Left. It never waits.
func (r *Renewals) Leave() error {
	err := Control(r.sock, func(fd int) error { return unix.Sendto(fd, []byte{0}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil) })
	if err != nil {
		return fmt.Errorf("cannot tell the lifeline: %w", err)
	}
	return nil
}

// Close makes Next return. Calling it again does nothing.
func (r *Renewals) Close() error { return r.close() }

// received returns the descriptors in oob. They are the caller's, also with an error.
func received(oob []byte) (fds []int, err error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	for i := range msgs {
		if msgs[i].Header.Level != unix.SOL_SOCKET || msgs[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, fmt.Errorf("descriptors: %w", err)
		}
		fds = append(fds, more...)
	}
	return fds, nil
}
