package listen

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Place is what an address takes, whatever it is written like: two that are equal are the same. A Unix-domain one is a
// name in a folder, by the folder's identity, so that a symlink or a bind mount on the way makes no other of it. Host names
// are compared as they are, but for localhost; no name server is asked for them.
type Place struct {
	file     string // of a Unix-domain address; empty for TCP
	host     string // an IP address, a host name, or "" for all
	port     string
	ip4, ip6 bool
}

// Place may wait for a disk.
func (a Address) Place() Place {
	if a.Network == "unix" {
		return Place{file: PathIdentity(a.Addr)}
	}
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return Place{host: a.Addr}
	}
	p := Place{host: strings.TrimSuffix(strings.ToLower(host), "."), port: port, ip4: a.Network != "tcp6", ip6: a.Network != "tcp4"}
	if p.host == "localhost" {
		// As it is resolved: IPv4, if it may be.
		p.host = "127.0.0.1"
		if !p.ip4 {
			p.host = "::1"
		}
		host = p.host
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return p
	}
	ip = ip.Unmap()
	switch {
	case ip.Is4():
		p.ip6 = false
	case ip != netip.IPv6Unspecified():
		p.ip4 = false
	}
	p.host = canonicalZone(ip).String()
	if ip.IsUnspecified() {
		p.host = ""
	}
	return p
}

// canonicalZone names the interface of a link-local address by its number, and drops it from others, of which the kernel
// ignores it.
func canonicalZone(ip netip.Addr) netip.Addr {
	zone := ip.Zone()
	if zone == "" || !ip.IsLinkLocalUnicast() {
		return ip.WithZone("")
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return ip.WithZone(strconv.Itoa(i.Index))
	}
	return ip
}

// Overlaps reports whether two sockets cannot both be opened, or would take each other's connections. Port 0 overlaps with
// nothing: the kernel picks one that is free.
func (p Place) Overlaps(o Place) bool {
	switch {
	case p.file != "" || o.file != "":
		return p.file == o.file
	case p.port != o.port || p.port == "0":
		return false
	case !(p.ip4 && o.ip4 || p.ip6 && o.ip6):
		return false
	}
	return p.host == "" || o.host == "" || p.host == o.host
}

// WayOut says how two addresses that overlap can both be served, or which of them does for both. It is empty where
// nothing can be said.
func WayOut(a, b Address) string {
	p, o := a.Place(), b.Place()
	switch {
	case !p.Overlaps(o) || p.file != "":
		return ""
	case p == o:
		return "the two are the same"
	case p.width() < o.width():
		a, p, o = b, o, p
	}
	if p.host != "" {
		return ""
	}
	switch {
	case !(p.ip4 && p.ip6):
		return fmt.Sprintf("%s takes it as well; keep that alone, or give one of them another port", a)
	case o.ip6:
		return fmt.Sprintf("%s takes IPv6 as well; keep that alone, or write tcp4://:%s for IPv4 only", a, p.port)
	}
	return fmt.Sprintf("%s takes IPv4 as well; keep that alone, or write tcp6://[::]:%s for IPv6 only", a, p.port)
}

// width orders addresses that overlap by how much they take.
func (p Place) width() (n int) {
	if p.host == "" {
		n += 2
	}
	if p.ip4 && p.ip6 {
		n++
	}
	return n
}

// PathIdentity names a path in the file system by the identity of its folder, so that two names of one path are equal. As far
// as folders are not there yet, it goes by their names. What the path itself is a link to does not count. It may wait for a
// disk.
func PathIdentity(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		full = filepath.Clean(path)
	}
	folder, rest := filepath.Dir(full), filepath.Base(full)
	for {
		if info, err := os.Stat(folder); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				return fmt.Sprintf("%d:%d/%s", st.Dev, st.Ino, rest)
			}
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return full
		}
		folder, rest = parent, filepath.Join(filepath.Base(folder), rest)
	}
}
