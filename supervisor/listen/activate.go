package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// Given is a listening socket that another process has opened, as systemd does for socket activation: [Options.Given].
type Given struct {
	address Address
	at      endpoint   // of TCP
	grouped bool       // others may join it
	file    *os.File   // not in the poller
	name    socketFile // of a Unix-domain one: the file that was at its path when it was taken
}

// TakeGiven makes a Given of a socket, which it then closes: the Given has its own descriptor of it. What is not a TCP or
// Unix-domain socket that listens is refused, and left as it is. The socket becomes non-blocking.
func TakeGiven(f *os.File) (*Given, error) {
	g := &Given{}
	var reuse bool
	err := ipc.Control(f, func(fd int) error {
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil {
			return err
		} else if listens == 0 {
			return errors.New("it does not listen")
		}
		if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
			return err
		} else if kind != unix.SOCK_STREAM {
			return fmt.Errorf("it is of type %d, a stream is needed", kind)
		}
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
		reuse = err == nil && n != 0 && !multipath(fd)
		return g.locate(fd)
	})
	if err == nil {
		g.file, err = duplicate(f)
	}
	if err == nil {
		if err = ipc.Control(g.file, func(fd int) error { return unix.SetNonblock(fd, true) }); err != nil {
			g.file.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen with %s: %w", f.Name(), err)
	}
	f.Close()
	g.grouped = reuse && g.address.Network != "unix" && mayJoin(g.at)
	return g, nil
}

// locate reads where the socket is bound.
func (g *Given) locate(fd int) error {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrUnix:
		if sa.Name == "" || sa.Name[0] == '@' {
			return errors.New("abstract and unnamed sockets are not supported")
		}
		g.address = Address{Network: "unix", Addr: filepath.Clean(sa.Name)}
		g.name = identify(g.address.Addr)
		return nil
	case *unix.SockaddrInet4:
		g.at = endpoint{ip: netip.AddrFrom4(sa.Addr), port: uint16(sa.Port)}
	case *unix.SockaddrInet6:
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err != nil {
			return err
		}
		g.at = endpoint{ip: netip.AddrFrom16(sa.Addr), port: uint16(sa.Port), dual: only == 0}
		if sa.ZoneId != 0 {
			g.at.ip = g.at.ip.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
	default:
		return fmt.Errorf("unexpected kind of address %T", sa)
	}
	port := strconv.Itoa(int(g.at.port))
	g.address = Address{Network: "tcp", Addr: g.at.String()}
	switch {
	case !g.at.ip.IsUnspecified():
	case g.at.ip.Is4():
		g.address = Address{Network: "tcp4", Addr: net.JoinHostPort("", port)}
	case g.at.dual:
		g.address.Addr = net.JoinHostPort("", port)
	default:
		g.address = Address{Network: "tcp6", Addr: net.JoinHostPort("", port)}
	}
	return nil
}

// mayJoin reports whether this process could open another socket beside one with SO_REUSEPORT: not, if that was opened by
// another user. A socket that is bound and does not listen is in no group yet, so no connection is affected.
func mayJoin(ep endpoint) bool {
	f, err := tcpSocket(ep)
	if err != nil {
		return false
	}
	defer f.Close()
	return ipc.Control(f, func(fd int) error {
		if err := setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
			return err
		}
		return bindTCP(fd, ep)
	}) == nil
}

// Address is where it listens.
func (g *Given) Address() Address { return g.address }

// File is the socket. It stays the Given's.
func (g *Given) File() *os.File { return g.file }

// Close gives the socket up. The process that has opened it goes on holding it.
func (g *Given) Close() { g.file.Close() }

// Serves reports whether it is the socket for an address: the same path, whatever leads to it, or port and host. An address for all hosts is served
// by a socket for all, also where that is one of IPv4 or IPv6 only.
func (g *Given) Serves(a Address) bool {
	if a.Network == "unix" || g.address.Network == "unix" {
		return a.Network == g.address.Network && a.Place() == g.address.Place()
	}
	ep, err := a.resolve()
	if err != nil || ep.port == 0 || ep.port != g.at.port {
		return false
	}
	return ep.ip == g.at.ip.Unmap() || ep.ip.IsUnspecified() && g.at.ip.IsUnspecified()
}

// take prepares a group for the socket that was given for its address, if there is one. The one that is bound just as the
// address says goes first.
func (g *group) take(given []*Given) {
	var fit []*Given
	for _, one := range given {
		if one.Serves(g.address) {
			fit = append(fit, one)
		}
	}
	if len(fit) == 0 {
		return
	}
	g.given = fit[0]
	if ep, err := g.address.resolve(); err == nil {
		if i := slices.IndexFunc(fit, func(one *Given) bool { return one.at == ep }); i > 0 {
			g.given = fit[i]
		}
	}
	g.at = g.given.at
	g.shared = g.shared || !g.given.grouped
}
