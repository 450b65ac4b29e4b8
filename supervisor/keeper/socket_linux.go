package keeper

import (
	"crypto/rand"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFilesInMessage is the kernel's SCM_MAX_FD.
const maxFilesInMessage = 253

// socket is where notifications arrive. It never blocks.
//
// Its address is abstract: that needs no folder that can be written, and nothing is left behind. So every process in the
// same network namespace can send there, and what counts is the sender that the kernel names.
type socket struct {
	fd   int
	name string // as in NOTIFY_SOCKET
	text [maxMessage + 1]byte
	oob  []byte
}

func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket for notifications: %w", err)
	}
	name := fmt.Sprintf("@tine-keeper-%d-%s", unix.Getpid(), strings.ToLower(rand.Text()))
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) // before there is an address
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot make the socket %s for notifications: %w", name, err)
	}
	return &socket{fd: fd, name: name, oob: make([]byte, unix.CmsgSpace(maxFilesInMessage*4)+unix.CmsgSpace(unix.SizeofUcred)+64)}, nil
}

// datagram is a notification as it came. The text is valid until the next one is received; the files are the receiver's.
type datagram struct {
	sender   unix.Ucred // pid 0: not known
	text     []byte
	fds      []int
	complete bool // no file was lost on the way
}

// receive returns the next notification, or unix.EAGAIN.
func (s *socket) receive() (d datagram, err error) {
	n, oobn, flags, _, err := unix.Recvmsg(s.fd, s.text[:], s.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return d, err
	}
	d.text, d.complete = s.text[:n], flags&unix.MSG_CTRUNC == 0
	messages, err := unix.ParseSocketControlMessage(s.oob[:oobn])
	if err != nil {
		d.complete = false
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SCM_RIGHTS:
			if fds, err := unix.ParseUnixRights(m); err == nil {
				d.fds = append(d.fds, fds...)
			}
		case unix.SCM_CREDENTIALS:
			if cred, err := unix.ParseUnixCredentials(m); err == nil {
				d.sender = *cred
			}
		}
	}
	return d, nil
}

// upstream is the socket of what supervises the keeper, such as systemd. nil: none wants to be told.
type upstream struct {
	fd int
	to unix.SockaddrUnix
}

func openUpstream(name string) (*upstream, error) {
	if name == "" {
		return nil, nil
	}
	if name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("cannot use NOTIFY_SOCKET=%s: a path or @NAME is needed", printable(name))
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket for NOTIFY_SOCKET=%s: %w", printable(name), err)
	}
	return &upstream{fd, unix.SockaddrUnix{Name: name}}, nil
}

// tell never waits: a supervisor that does not read is not told.
func (u *upstream) tell(state string) {
	if u != nil {
		_ = unix.Sendto(u.fd, []byte(state), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &u.to)
	}
}

func (u *upstream) close() {
	if u != nil {
		unix.Close(u.fd)
	}
}
