package listen

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultMode is the file mode of a Unix-domain socket: only the user of the supervisor can connect.
	DefaultMode fs.FileMode = 0o600
	// groupMode is the default where a group or another user is to connect.
	groupMode fs.FileMode = 0o660
	// maxPath is the longest path of a Unix-domain socket that both Linux (107) and macOS (103) take.
	maxPath = 103
	// resolveTimeout bounds the look-up of a host name: an address that is wrong must be told at once.
	resolveTimeout = 800 * time.Millisecond
)

// Address is one place to listen on.
type Address struct {
	Network string      // tcp, tcp4, tcp6, unix
	Addr    string      // host:port, or the path
	Mode    fs.FileMode // of a Unix-domain socket; 0: DefaultMode, or 0660 with a User or Group
	User    string      // who owns a Unix-domain socket: a name or an id; empty: the supervisor's own
	Group   string      // likewise
}

// String is the address as [Parse] reads it.
func (a Address) String() string {
	switch a.Network {
	case "tcp":
		return a.Addr
	case "unix":
		return "unix:" + a.Addr + a.unixOptions()
	}
	return a.Network + "://" + a.Addr
}

// Parse reads an address:
//
//	:7000               all addresses of this machine, IPv4 and IPv6
//	127.0.0.1:7000      one address; also [::1]:7000 and localhost:7000
//	:0                  a free port, the same for all slots
//	tcp4://:7000        IPv4 only; tcp6://:7000 IPv6 only
//	unix:/run/web.sock  a Unix-domain socket that only this user can connect to; for others
//	                    unix:/run/web.sock?mode=0660&user=NAME&group=NAME, each optional, names or ids
//
// Whether there is such a user or group is seen by [Address.CheckOwner].
func Parse(s string) (Address, error) {
	a, err := parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("bad address %q: %w; expected :PORT, HOST:PORT, [IPv6]:PORT, tcp4://..., tcp6://... or unix:/PATH", s, err)
	}
	return a, nil
}

func parse(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return parseUnix(path)
	}
	a := Address{Network: "tcp", Addr: s}
	if network, rest, ok := strings.Cut(s, "://"); ok {
		switch network {
		case "tcp", "tcp4", "tcp6":
			a = Address{Network: network, Addr: rest}
		default:
			return Address{}, fmt.Errorf("unknown network %q", network)
		}
	}
	host, port, err := splitHostPort(a.Addr)
	if err != nil {
		return Address{}, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if a.Network == "tcp4" && !ip.Is4() {
			return Address{}, fmt.Errorf("%s is not an IPv4 address", host)
		}
		if a.Network == "tcp6" && (!ip.Is6() || ip.Is4In6()) {
			return Address{}, fmt.Errorf("%s is not an IPv6 address", host)
		}
	} else if strings.ContainsAny(host, "/ \t*?@%:[]") {
		return Address{}, fmt.Errorf("%q is neither an IP address nor a host name", host)
	}
	a.Addr = net.JoinHostPort(host, strconv.Itoa(int(port)))
	return a, nil
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		if _, e := strconv.ParseUint(s, 10, 16); e == nil {
			return "", 0, fmt.Errorf("a port needs a colon before it: \":%s\"", s)
		}
		if e, ok := err.(*net.AddrError); ok {
			return "", 0, fmt.Errorf("%s", e.Err)
		}
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", text)
	}
	return host, uint16(n), nil
}

// endpoint is where a TCP socket is bound.
type endpoint struct {
	ip   netip.Addr // unspecified: all
	dual bool       // IPv6 socket that takes IPv4 as well
	port uint16
}

// resolve turns a TCP address into an endpoint. A host name gives one address, IPv4 if it has one: what the name means to
// most clients.
func (a Address) resolve() (endpoint, error) {
	host, port, err := splitHostPort(a.Addr)
	if err != nil {
		return endpoint{}, err
	}
	ep := endpoint{port: port}
	if host == "" {
		switch a.Network {
		case "tcp4":
			ep.ip = netip.IPv4Unspecified()
		case "tcp6":
			ep.ip = netip.IPv6Unspecified()
		default:
			ep.ip, ep.dual = netip.IPv6Unspecified(), true
		}
		return ep, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if a.Network != "tcp6" {
			ip = ip.Unmap()
		}
		ep.ip, ep.dual = ip, a.Network == "tcp" && ip == netip.IPv6Unspecified()
		return ep, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	network := cmp.Or(map[string]string{"tcp4": "ip4", "tcp6": "ip6"}[a.Network], "ip")
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil {
		return endpoint{}, fmt.Errorf("cannot look up host %q: %w", host, err)
	}
	if len(ips) == 0 {
		return endpoint{}, fmt.Errorf("cannot look up host %q: it has no address", host)
	}
	ep.ip = ips[0].Unmap()
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			ep.ip = ip.Unmap()
			break
		}
	}
	return ep, nil
}

// withPort is the address with the port that was really taken.
func (a Address) withPort(port uint16) Address {
	host, _, err := net.SplitHostPort(a.Addr)
	if err == nil {
		a.Addr = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	return a
}
