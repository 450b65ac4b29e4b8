//go:build unix

package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type kind byte

const (
	prepared kind = 'p'
	file     kind = 'f'
	proceed  kind = 'g'
	abort    kind = 'x'
	refused  kind = 'r'
)

func (k kind) String() string { return string(rune(k)) }

// packet is what one message carries. Files that are received are the reader's.
type packet struct {
	kind  kind
	text  string
	files []*os.File
}

const (
	maxText  = 1 << 10
	maxFiles = 253 // SCM_MAX_FD
)

// socket is one end of a SOCK_SEQPACKET pair: packets come whole.
type socket struct{ conn *net.UnixConn }

// newPair is the two ends, and the file of the second.
func newPair() (near, far *socket, farFile *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, packetSocket, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, nil, os.NewSyscallError("socketpair", err)
	}
	nearFile := os.NewFile(uintptr(fds[0]), "to the new master")
	defer nearFile.Close()
	farFile = os.NewFile(uintptr(fds[1]), "to the old master")
	if near, err = newSocket(nearFile); err == nil {
		if far, err = newSocket(farFile); err == nil {
			return near, far, farFile, nil
		}
		near.close()
	}
	farFile.Close()
	return nil, nil, nil, err
}

// newSocket duplicates f.
func newSocket(f *os.File) (*socket, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s is not a Unix socket", f.Name())
	}
	return &socket{conn}, nil
}

func (s *socket) close() { s.conn.Close() }

// within bounds what is done until the function that it returns is called.
func (s *socket) within(ctx context.Context) (end func()) {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Unix(1, 0)) })
	return func() {
		stop()
		_ = s.conn.SetDeadline(time.Time{})
	}
}

func (s *socket) send(p packet) error {
	if len(p.text) > maxText || len(p.files) > maxFiles {
		return fmt.Errorf("cannot send %q: name of %d bytes and %d files, at most %d and %d", p.kind, len(p.text), len(p.files), maxText, maxFiles)
	}
	fds := make([]int, 0, len(p.files))
	for _, f := range p.files {
		// f.Fd() may clear O_NONBLOCK on the description, for all who share it.
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return fmt.Errorf("cannot send %s: %w", f.Name(), err)
		}
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := s.conn.WriteMsgUnix(append([]byte{byte(p.kind)}, p.text...), oob, nil); err != nil {
		return fmt.Errorf("cannot send %q: %w", p.kind, err)
	}
	return nil
}

func (s *socket) receive() (p packet, err error) {
	b, oob := make([]byte, maxText+1), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, flags, _, err := s.conn.ReadMsgUnix(b, oob)
	if oobn > 0 {
		if msgs, perr := unix.ParseSocketControlMessage(oob[:oobn]); perr == nil {
			for i := range msgs {
				fds, _ := unix.ParseUnixRights(&msgs[i])
				for _, fd := range fds {
					p.files = append(p.files, os.NewFile(uintptr(fd), "handed over"))
				}
			}
		}
	}
	switch {
	case err == nil && n == 0:
		err = errors.New("it has ended")
	case err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.New("a packet has not come whole: RLIMIT_NOFILE?")
	}
	if err != nil {
		for _, f := range p.files {
			f.Close()
		}
		return packet{}, err
	}
	p.kind, p.text = kind(b[0]), string(b[1:n])
	return p, nil
}

// drain drops the packets that were not read.
func (s *socket) drain() {
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	defer s.conn.SetReadDeadline(time.Time{})
	for {
		p, err := s.receive()
		if err != nil {
			return
		}
		for _, f := range p.files {
			f.Close()
		}
	}
}

// process is the new master, which has said that it is prepared.
func (p packet) process() (*os.Process, error) {
	pid, err := strconv.Atoi(p.text)
	if p.kind != prepared || err != nil || pid <= 1 {
		return nil, fmt.Errorf("the new master has said %q %q", p.kind, p.text)
	}
	return os.FindProcess(pid)
}
