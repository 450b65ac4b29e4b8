package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tinehq/tine/ipc"
)

// claimTCP opens the first socket of an address. Up to and including listen it is without SO_REUSEPORT, so that no
// other process can have the address too: bind refuses if one listens, and if two claim it at the same moment, the second listen
// refuses. With grouped, others may join it afterwards.
func claimTCP(ep endpoint, grouped bool) (*os.File, endpoint, error) {
	f, err := tcpSocket(ep)
	if err != nil && ep.dual && noIPv6(err) {
		ep.ip, ep.dual = netip.IPv4Unspecified(), false
		f, err = tcpSocket(ep)
	}
	if err != nil {
		return nil, ep, err
	}
	err = ipc.Control(f, func(fd int) error {
		err := bindTCP(fd, ep)
		if err != nil && ep.dual && noIPv6(err) {
			return err
		}
		if err != nil {
			return inUse(err, ep)
		}
		if grouped {
			found(fd)
		}
		if err := unix.Listen(fd, backlog()); err != nil {
			return inUse(err, ep)
		}
		if grouped {
			if err := setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
				return fmt.Errorf("cannot set SO_REUSEPORT: %w", err)
			}
		}
		ep.port, err = boundPort(fd)
		return err
	})
	if err == nil {
		return f, ep, nil
	}
	f.Close()
	if ep.dual && noIPv6(err) {
		// The kernel knows IPv6 but no address of it may be used.
		ep.ip, ep.dual = netip.IPv4Unspecified(), false
		return claimTCP(ep, grouped)
	}
	return nil, ep, explain(err, ep)
}

// joinTCP opens a further socket of an address. keepOut is called right before it joins, to keep connections from it;
// it fails where the first socket has no group yet, and is then called again right after. Where it cannot be kept out it
// joins all the same.
func joinTCP(ep endpoint, keepOut func() error) (*os.File, error) {
	f, err := tcpSocket(ep)
	if err != nil {
		return nil, err
	}
	err = ipc.Control(f, func(fd int) error {
		if err := setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
			return fmt.Errorf("cannot set SO_REUSEPORT: %w", err)
		}
		if err := bindTCP(fd, ep); err != nil {
			return inUse(err, ep)
		}
		early := keepOut()
		if err := unix.Listen(fd, backlog()); err != nil {
			return inUse(err, ep)
		}
		if early != nil {
			_ = keepOut()
		}
		return nil
	})
	if err != nil {
		f.Close()
		return nil, explain(err, ep)
	}
	return f, nil
}

func tcpSocket(ep endpoint) (*os.File, error) {
	domain := unix.AF_INET
	if ep.ip.Is6() {
		domain = unix.AF_INET6
	}
	f, err := newSocket(domain, "listener "+ep.String())
	if err != nil {
		return nil, err
	}
	err = ipc.Control(f, func(fd int) error {
		// Connections of an earlier run that are in TIME_WAIT must not keep the address; listeners still do.
		if err := setFlag(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, true); err != nil {
			return fmt.Errorf("cannot set SO_REUSEADDR: %w", err)
		}
		if domain == unix.AF_INET6 {
			if err := setFlag(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, !ep.dual); err != nil {
				return fmt.Errorf("cannot set IPV6_V6ONLY: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func bindTCP(fd int, ep endpoint) error {
	if ep.ip.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(ep.port), Addr: ep.ip.As4()})
	}
	sa := &unix.SockaddrInet6{Port: int(ep.port), Addr: ep.ip.As16()}
	zone, err := zoneIndex(ep.ip)
	if err != nil {
		return err
	}
	sa.ZoneId = zone
	return unix.Bind(fd, sa)
}

var errNoInterface = errors.New("there is no such network interface")

// zoneIndex is the number of the interface that an address is of; 0: none is said.
func zoneIndex(ip netip.Addr) (uint32, error) {
	zone := ip.Zone()
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("interface %q: %w", zone, errNoInterface)
	}
	return uint32(i.Index), nil
}

func boundPort(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("cannot read the port: %w", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), nil
	case *unix.SockaddrInet6:
		return uint16(sa.Port), nil
	}
	return 0, fmt.Errorf("cannot read the port: unexpected kind of address %T", sa)
}

func (ep endpoint) String() string {
	return net.JoinHostPort(ep.ip.String(), strconv.Itoa(int(ep.port)))
}

// noIPv6 tells a machine without IPv6 from an address that is wrong.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EPROTONOSUPPORT)
}

func explain(err error, ep endpoint) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (a port below 1024 needs root or CAP_NET_BIND_SERVICE)", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w (no network interface here has %s)", err, ep.ip)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w (RLIMIT_NOFILE)", err)
	}
	return err
}
