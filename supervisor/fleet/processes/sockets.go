package processes

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// network is the sockets of one moment. An address is host:port without a zone, or the path of a Unix socket.
type network struct {
	listening   map[uint64]string // the addresses, by inode
	connections map[string]int    // how many are established, by the address at this end
}

// users are the established connections by the address on which their socket listens: one on just the address at this end, or one on all of its port.
func (n network) users() map[string]int {
	users := make(map[string]int, len(n.listening))
	for _, a := range n.listening {
		users[a] = 0
	}
	for to, count := range n.connections {
		at, err := netip.ParseAddrPort(to)
		candidates := []string{to}
		if err == nil && at.Addr().Is4() {
			candidates = append(candidates, netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()).String())
		}
		if err == nil {
			candidates = append(candidates, netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port()).String())
		}
		for _, c := range candidates {
			if _, listens := users[c]; listens {
				users[c] += count
				break
			}
		}
	}
	return users
}

// of are the addresses on which one of some sockets listens, each once, in order.
func (n network) of(sockets []uint64) (all []string) {
	for _, inode := range sockets {
		if a, listens := n.listening[inode]; listens && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	slices.Sort(all)
	return all
}

// reachable is an address at which a client of this host reaches a socket that listens.
func reachable(address string) string {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil:
		return address
	case at.Addr() == netip.IPv4Unspecified():
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	case at.Addr() == netip.IPv6Unspecified():
		at = netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	}
	return at.String()
}

// compare orders names by their letters, and by the numbers in them: app_2 comes before app_10.
func compare(a, b string) int {
	for a != "" && b != "" {
		n, m := digits(a), digits(b)
		if n == 0 || m == 0 {
			if c := cmp.Compare(a[0], b[0]); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y := strings.TrimLeft(a[:n], "0"), strings.TrimLeft(b[:m], "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(a, b)
}

func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
