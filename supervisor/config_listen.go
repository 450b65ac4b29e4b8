package supervisor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/tinehq/tine/supervisor/listen"
)

// claim is what a listening address takes for itself, so that two that collide are found before any is opened.
type claim struct {
	unix     string // path; empty for TCP
	host     string // an IP address, a host name, or "" for all
	port     string
	ip4, ip6 bool
	text     string // as the config has it
	who      string // takes it: "app web", "the dashboard"
}

// parseClaim reads an address as [listen.Parse] does. The user and group of a socket have to exist. Host names are not looked up: a config is not more or less valid
// for what a name server says.
func parseClaim(text string) (claim, error) {
	a, err := listen.Parse(text)
	if unknown := (*listen.UnknownOptionError)(nil); errors.As(err, &unknown) {
		if s := suggest(unknown.Option, unknown.Known); s != "" {
			return claim{}, fmt.Errorf("%w; did you mean %s?", err, s)
		}
	}
	if err == nil {
		err = a.CheckOwner()
	}
	if err != nil {
		return claim{}, err
	}
	if a.Network == "unix" {
		return claim{unix: a.Addr, text: text}, nil
	}
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return claim{}, err
	}
	c := claim{host: strings.ToLower(host), port: port, ip4: a.Network != "tcp6", ip6: a.Network != "tcp4", text: text}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		c.host = ip.String()
		switch {
		case ip.Is4():
			c.ip6 = false
		case ip != netip.IPv6Unspecified():
			c.ip4 = false
		}
		if ip.IsUnspecified() {
			c.host = ""
		}
	}
	return c, nil
}

// overlaps tells whether two sockets cannot both be opened, or would take each other's connections.
func (c claim) overlaps(o claim) bool {
	switch {
	case c.unix != "" || o.unix != "":
		return c.unix == o.unix
	case c.port != o.port || c.port == "0": // 0: the kernel picks one that is free
		return false
	case !(c.ip4 && o.ip4 || c.ip6 && o.ip6):
		return false
	}
	return c.host == "" || o.host == "" || c.host == o.host || c.isLoopback() && o.isLoopback()
}

// isLoopback tells whether the address is one that localhost may mean.
func (c claim) isLoopback() bool {
	return c.host == "localhost" || c.host == "127.0.0.1" || c.host == "::1"
}
