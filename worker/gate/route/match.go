package route

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tinehq/tine/ipc/policy"
)

// matcher finds the route of a request: by host first, so that many virtual hosts cost no more than a few.
type matcher struct {
	byName   map[string][]int32 // the routes that may be for a host, in order, and
	byParent map[string][]int32 // for the names below one
	rest     []int32            // for all others
	routes   []policy.Route
}

func newMatcher(routes []policy.Route) *matcher {
	m := &matcher{byName: map[string][]int32{}, byParent: map[string][]int32{}, routes: routes}
	for _, r := range routes {
		for _, host := range r.Hosts {
			if parent, below := strings.CutPrefix(host, "*."); below {
				m.byParent[parent] = nil
			} else {
				m.byName[host] = nil
			}
		}
	}
	fitting := func(host string) (all []int32) {
		for i, r := range routes {
			if len(r.Hosts) == 0 || slices.ContainsFunc(r.Hosts, func(of string) bool { return fits(host, of) }) {
				all = append(all, int32(i))
			}
		}
		return all
	}
	for host := range m.byName {
		m.byName[host] = fitting(host)
	}
	for parent := range m.byParent {
		m.byParent[parent] = fitting("any." + parent)
	}
	m.rest = fitting("")
	return m
}

// fits reports whether a host is one of a route's.
func fits(host, of string) bool {
	if parent, below := strings.CutPrefix(of, "*"); below {
		return len(host) > len(parent) && strings.HasSuffix(host, parent)
	}
	return host == of
}

// match is the index of the first route that is for r; -1: none is.
func (m *matcher) match(r *http.Request) int {
	for _, i := range m.candidates(hostOf(r.Host)) {
		route := &m.routes[i]
		if (route.Path == "" || below(r.URL.Path, route.Path)) && (len(route.Methods) == 0 || slices.Contains(route.Methods, r.Method)) {
			return int(i)
		}
	}
	return -1
}

func (m *matcher) candidates(host string) []int32 {
	if all, ok := m.byName[host]; ok {
		return all
	}
	if len(m.byParent) > 0 {
		for rest := host; ; {
			_, parent, more := strings.Cut(rest, ".")
			if !more {
				break
			}
			if all, ok := m.byParent[parent]; ok {
				return all
			}
			rest = parent
		}
	}
	return m.rest
}

// hostOf is the name of a host, in lower case, without port and last dot. It allocates only where a name is not in lower case.
func hostOf(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.TrimSuffix(host, ".")
	if len(host) > 2 && host[0] == '[' {
		host = strings.Trim(host, "[]")
	}
	return strings.ToLower(host)
}

// below reports whether a path begins with prefix, by whole segments.
func below(path, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// stripped is the path and query of r without the prefix, which it begins with.
func stripped(r *http.Request, prefix string) string {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, plain := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	if !plain || rest != "" && rest[0] != '/' { // the prefix is written with escapes
		rest = (&url.URL{Path: r.URL.Path[len(prefix):]}).EscapedPath()
	}
	if rest == "" {
		rest = "/"
	}
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		rest += "?" + r.URL.RawQuery
	}
	return rest
}
