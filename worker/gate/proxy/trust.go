package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Trust are the networks of proxies before this one, which are believed in what they say of clients.
type Trust []netip.Prefix

// Has reports whether a request comes from one of them.
func (t Trust) Has(r *http.Request) bool {
	if len(t) == 0 {
		return false
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && t.contains(at.Addr())
}

func (t Trust) contains(a netip.Addr) bool {
	for _, prefix := range t {
		if prefix.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// ClientIP is the address of the client: that of the connection or, where a proxy that is trusted has made it, the last one in
// X-Forwarded-For that is not of such a proxy.
func (t Trust) ClientIP(r *http.Request) string {
	if !t.Has(r) {
		return ClientIP(r)
	}
	found := ClientIP(r)
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != ""; {
			last := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, last = rest[:comma], rest[comma+1:]
			} else {
				rest = ""
			}
			a, err := netip.ParseAddr(strings.TrimSpace(last))
			if err != nil {
				return found // what stands before it was not said by a proxy that is trusted
			}
			if found = a.Unmap().String(); !t.contains(a) {
				return found
			}
		}
	}
	return found
}

// Secure reports whether the client has come by TLS: to this proxy, or to one that is trusted.
func (t Trust) Secure(r *http.Request) bool {
	return r.TLS != nil || t.Has(r) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// ClientIP is the address from which the connection of a request comes, without its port.
func ClientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
