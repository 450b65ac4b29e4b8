package supervisor

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// claim is what a listening address takes for itself, so that two that collide are found before any is opened.
type claim struct {
	unix       string // path; empty for TCP
	host       string // an address, a host name, or "" for all
	port       uint16
	ip4, ip6   bool
	text, app  string
	ephemeral  bool // port 0: the kernel picks one that is free
	isWildcard bool
}

const wantAddress = `write ":7000", "127.0.0.1:7000", "[::1]:7000", "tcp4://:7000", "tcp6://:7000" or "unix:/run/app.sock"`

// parseClaim reads an address as package listen does.
func parseClaim(text string) (claim, error) {
	bad := func(why string) (claim, error) {
		return claim{}, fmt.Errorf("%s is no address (%s): %s", shorten(text), why, wantAddress)
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		switch {
		case path == "" || path == "@":
			return bad("no path")
		case len(path) > 107:
			return bad("the path has " + strconv.Itoa(len(path)) + " bytes, the most is 107")
		}
		return claim{unix: filepath.Clean(path)}, nil
	}
	c := claim{ip4: true, ip6: true}
	rest := text
	if scheme, after, ok := strings.Cut(text, "://"); ok {
		switch scheme {
		case "tcp":
		case "tcp4":
			c.ip6 = false
		case "tcp6":
			c.ip4 = false
		case "http", "https":
			return bad("it is no URL")
		default:
			return bad("unknown network " + scheme)
		}
		rest = after
	}
	colon := strings.LastIndexByte(rest, ':')
	if colon < 0 {
		if _, err := strconv.ParseUint(rest, 10, 16); err == nil {
			return bad("a port begins with a colon: \":" + rest + "\"")
		}
		return bad("no port")
	}
	host, port := rest[:colon], rest[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return bad("the port must be 0 to 65535")
	}
	c.port, c.ephemeral = uint16(n), n == 0
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(host, ":") {
			return bad("[ ] hold an IPv6 address")
		}
	} else if strings.Contains(host, ":") {
		return bad("an IPv6 address needs [ ]")
	}
	if host == "" {
		c.isWildcard = true
		return c, nil
	}
	if host == "localhost" {
		c.host = "localhost"
		return c, nil
	}
	if strings.ContainsAny(host, " /@") {
		return bad("no such host")
	}
	c.host = strings.ToLower(host)
	addr, err := netip.ParseAddr(host)
	if err != nil {
		if strings.Contains(host, ":") || looksNumeric(host) {
			return bad(host + " is no IP address")
		}
		return c, nil // a host name
	}
	addr = addr.Unmap()
	if addr.Is4() && !c.ip4 || addr.Is6() && !c.ip6 {
		return bad("the network and the IP address are of different versions")
	}
	c.host, c.isWildcard = addr.String(), addr.IsUnspecified()
	if addr.Is4() {
		c.ip6 = false
	} else if !c.isWildcard {
		c.ip4 = false
	}
	return c, nil
}

// looksNumeric tells a mistyped IPv4 address from a host name.
func looksNumeric(host string) bool { return strings.Trim(host, "0123456789.") == "" }

// overlaps tells whether two sockets cannot both be opened, or would take each other's connections.
func (c claim) overlaps(o claim) bool {
	if c.unix != "" || o.unix != "" {
		return c.unix == o.unix
	}
	if c.port != o.port || c.ephemeral {
		return false
	}
	if !(c.ip4 && o.ip4 || c.ip6 && o.ip6) {
		return false
	}
	if c.isWildcard || o.isWildcard || c.host == o.host {
		return true
	}
	return c.isLoopback() && o.isLoopback()
}

// isLoopback tells whether the address is what localhost means.
func (c claim) isLoopback() bool {
	return c.host == "localhost" || c.host == "127.0.0.1" || c.host == "::1"
}
