package listen

import (
	"net"
	"net/netip"
)

// Reach is where this host reaches what listens on a, for a connection: host:port, or the path of a socket. All addresses of the machine
// are reached at the loopback.
func (a Address) Reach() string {
	host, port, err := net.SplitHostPort(a.Addr)
	if a.Network == "unix" || err != nil {
		return a.Addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if a.Network == "tcp6" || ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}
