package claim

import (
	"encoding/binary"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of linux/unix_diag.h: how the table of Unix-domain sockets is asked for, and what it says of each.
const (
	diagRequestBytes = 24
	diagAnswerBytes  = 16
	diagShow         = 1 | 1<<6 // UDIAG_SHOW_NAME, UDIAG_SHOW_UID (Linux 5.3)
	diagName         = 0        // UNIX_DIAG_NAME
	diagUID          = 7        // UNIX_DIAG_UID
	diagListen       = 10       // TCP_LISTEN
)

// listenerOf returns the user whose process listens at an abstract address, for when a connection is refused and so tells
// nothing. ok is false where none listens, or the kernel does not tell.
func listenerOf(address string) (uid int, ok bool) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	order := binary.NativeEndian
	rq := make([]byte, unix.SizeofNlMsghdr+diagRequestBytes)
	order.PutUint32(rq[0:], uint32(len(rq)))
	order.PutUint16(rq[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(rq[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	rq[unix.SizeofNlMsghdr] = unix.AF_UNIX
	order.PutUint32(rq[unix.SizeofNlMsghdr+4:], 1<<diagListen)
	order.PutUint32(rq[unix.SizeofNlMsghdr+12:], diagShow)
	if err := unix.Sendto(fd, rq, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false
	}
	name := "\x00" + address[1:]
	for buf := make([]byte, 64<<10); ; {
		// The kernel writes each part of a table when the one before is read: there is nothing to wait for.
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, false
		}
		all, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return 0, false
		}
		for _, m := range all {
			if m.Header.Type != unix.SOCK_DIAG_BY_FAMILY || len(m.Data) < diagAnswerBytes {
				return 0, false // the end, or an error
			}
			if uid, ok := listenerNamed(m.Data[diagAnswerBytes:], name); ok {
				return uid, true
			}
		}
	}
}

// listenerNamed is the user of a socket by its attributes, if that has the name.
func listenerNamed(attributes []byte, name string) (uid int, ok bool) {
	named := false
	for len(attributes) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(attributes))
		if size < unix.SizeofRtAttr || size > len(attributes) {
			return 0, false
		}
		value := attributes[unix.SizeofRtAttr:size]
		switch binary.NativeEndian.Uint16(attributes[2:]) {
		case diagName:
			named = string(value) == name
		case diagUID:
			if len(value) == 4 {
				uid, ok = int(binary.NativeEndian.Uint32(value)), true
			}
		}
		attributes = attributes[min((size+3)&^3, len(attributes)):]
	}
	return uid, named && ok
}
