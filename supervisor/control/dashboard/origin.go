package dashboard

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// namesOf are the names without port that the server is known by: those of loopback,
// that of the address, and more. A wildcard is not a name: see knows.
func namesOf(listen string, more []string) map[string]bool {
	names := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		more = append([]string{host}, more...)
	}
	for _, name := range more {
		if name = canonical(name); name != "" && !isWildcard(name) {
			names[name] = true
		}
	}
	return names
}

func isWildcard(name string) bool {
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsUnspecified()
}

// canonical makes names comparable: no brackets, no zone, no last dot, lower case.
func canonical(name string) string {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return name
}

// knows says whether Host is a name of this server. A page that rebinds its own name to
// our address still sends its own name. The port does not matter: it is another one
// behind a tunnel. An address, which cannot be rebound, is good when the connection
// came to it.
func (s *Server) knows(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = canonical(host)
	if s.names[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return err == nil && ok && local.AddrPort().Addr().Unmap().WithZone("") == ip
}

// ownOrigin says whether the request comes from the page itself, or from no page at
// all. A browser sends Origin with everything but a GET of the same origin, and
// Sec-Fetch-Site with everything; a program that is not a browser sends neither, and has
// no user whose rights it could borrow.
func ownOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	all, given := r.Header["Origin"]
	if !given {
		return true
	}
	if len(all) != 1 {
		return false
	}
	origin, err := url.Parse(all[0])
	return err == nil && (origin.Scheme == "http" || origin.Scheme == "https") && strings.EqualFold(origin.Host, r.Host)
}
