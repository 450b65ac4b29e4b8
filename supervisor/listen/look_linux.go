package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// home is the network namespace of this process; 0: the kernel does not tell (before Linux 5.14).
var home = sync.OnceValue(func() uint64 {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
})

// tableCookie is how the kernel's tables call a socket. ok is false where they cannot be asked for it from here.
func tableCookie(fd int) (cookie uint64, ok bool) {
	if n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil && n != home() || multipath(fd) {
		return 0, false
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return cookie, err == nil
}

// probes are addresses that stand for an endpoint: one of each family that it takes.
func (ep endpoint) probes() []netip.Addr {
	switch {
	case ep.dual:
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	case ep.ip == netip.IPv4Unspecified():
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	case ep.ip == netip.IPv6Unspecified():
		return []netip.Addr{netip.IPv6Loopback()}
	}
	return []netip.Addr{ep.ip}
}

// whyNotHere says that no interface has an address. Where the system lets programs bind to those of others
// (ip_nonlocal_bind), as for an address that moves between machines, that is not asked. A bind without a port takes nothing.
func whyNotHere(ep endpoint) string {
	if ep.ip.IsUnspecified() {
		return ""
	}
	domain := unix.AF_INET
	if ep.ip.Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return ""
	}
	err = bindTCP(fd, endpoint{ip: ep.ip})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, errNoInterface) {
		return fmt.Sprintf("no network interface here has %s any more", ep.ip)
	}
	return ""
}

// callers are how many ports of a client are tried before another process is taken to get them all: in a group of
// sockets the kernel picks by the port.
const callers = 8

// lookUp says that a connection to an endpoint would be refused, or given to another socket than one of own. mark changes
// with who it is; of what before was, the process is not searched for again.
func (ep endpoint) lookUp(own map[uint64]bool, before Sight) (why, mark string) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return "", ""
	}
	defer unix.Close(fd)
	for _, ip := range ep.probes() {
		other := askWho(fd, netip.AddrPortFrom(ip, ep.port), own)
		switch {
		case other == nil:
		case other.inode == 0:
			return fmt.Sprintf("no process listens on %s", netip.AddrPortFrom(ip, ep.port)), "none"
		default:
			mark := "inode " + strconv.Itoa(int(other.inode))
			if before.mark == mark {
				return before.Why, mark
			}
			e := &InUseError{Address: ep.String(), uids: []int{int(other.uid)}}
			var complete bool
			e.Holders, complete = processes(map[string]bool{strconv.Itoa(int(other.inode)): true})
			e.late = !complete
			return fmt.Sprintf("connections to %s go elsewhere: %v", netip.AddrPortFrom(ip, ep.port), e), mark
		}
	}
	return "", ""
}

// askWho finds the socket that would get a connection instead of one of own. nil: none would, or the kernel cannot be asked. One of
// inode 0: no socket listens there.
func askWho(fd int, to netip.AddrPort, own map[uint64]bool) (other *listener) {
	for n := range callers {
		l, err := lookUp(fd, to.Addr(), to.Port(), uint16(n+1))
		switch {
		case errors.Is(err, unix.ENOENT):
			return &listener{}
		case err != nil || own[l.cookie]:
			return nil
		}
		other = l
	}
	return other
}

// listener is a socket as the kernel's table has it.
type listener struct {
	cookie     uint64
	uid, inode uint32
}

const (
	diagRequestSize = unix.SizeofNlMsghdr + 8 + 48
	diagAnswerSize  = unix.SizeofNlMsghdr + 72
	// noCookie stands for any socket: INET_DIAG_NOCOOKIE.
	noCookie = ^uint64(0)
)

// lookUp asks for the socket that a connection from a client would be given to: ENOENT, none. The client is one on this
// machine with the given port.
func lookUp(fd int, ip netip.Addr, port, client uint16) (*listener, error) {
	var b [diagRequestSize]byte
	order := binary.NativeEndian
	order.PutUint32(b[0:], diagRequestSize)
	order.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(b[6:], unix.NLM_F_REQUEST)
	rq := b[unix.SizeofNlMsghdr:]
	rq[0], rq[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if ip.Is4() {
		rq[0] = unix.AF_INET
	}
	order.PutUint32(rq[4:], ^uint32(0)) // of any state
	id := rq[8:]
	binary.BigEndian.PutUint16(id[0:], port)
	binary.BigEndian.PutUint16(id[2:], client)
	copy(id[4:], ip.AsSlice())
	copy(id[20:], ip.AsSlice())
	if zone, err := zoneIndex(ip); err == nil {
		order.PutUint32(id[36:], zone)
	}
	order.PutUint64(id[40:], noCookie)
	if err := unix.Sendto(fd, b[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	// The kernel has answered when the request was sent.
	var a [512]byte
	n, _, err := unix.Recvfrom(fd, a[:], unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	if n >= unix.SizeofNlMsghdr+4 && order.Uint16(a[4:]) == unix.NLMSG_ERROR {
		if code := -int32(order.Uint32(a[unix.SizeofNlMsghdr:])); code != 0 {
			return nil, unix.Errno(code)
		}
	}
	if n < diagAnswerSize || order.Uint16(a[4:]) != unix.SOCK_DIAG_BY_FAMILY {
		return nil, unix.EPROTO
	}
	msg := a[unix.SizeofNlMsghdr:]
	return &listener{cookie: order.Uint64(msg[44:]), uid: order.Uint32(msg[64:]), inode: order.Uint32(msg[68:])}, nil
}
