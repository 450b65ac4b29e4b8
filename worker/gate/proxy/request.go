package proxy

import (
	"bufio"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/textproto"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc/tickets"
)

// ofOneConnection are headers that are not sent on: RFC 9110, section 7.6.1.
var ofOneConnection = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Http2-Settings": true,
	replayHeader: true, tickets.NotBegun: true, // a member says it to this proxy alone
	tickets.Header: true,
}

// ofForwarding are headers by which proxies tell of a client: they are sent on only as they are written here.
var ofForwarding = map[string]bool{"X-Forwarded-For": true, "X-Forwarded-Proto": true, "X-Forwarded-Host": true, "Forwarded": true, "X-Real-Ip": true}

// notTrailing are further headers that are not sent on as trailers: a member or a client that adds trailers to the headers would take
// them for what they say there. RFC 9110, section 6.5.1.
var notTrailing = map[string]bool{
	"Authorization": true, "Cache-Control": true, "Content-Encoding": true, "Content-Length": true, "Content-Range": true,
	"Content-Type": true, "Cookie": true, "Expect": true, "Host": true, "Location": true, "Max-Forwards": true, "Range": true,
	"Set-Cookie": true, "X-Request-Id": true,
}

func mayTrail(name string) bool {
	name = dashed(name)
	return !ofOneConnection[name] && !ofForwarding[name] && !notTrailing[name]
}

// dashed is the name of a header as programs see it that take _ for -, as those of CGI and WSGI do.
func dashed(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// named are the headers that Connection names.
func named(h http.Header) map[string]bool {
	var names map[string]bool
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				if names == nil {
					names = map[string]bool{}
				}
				names[textproto.CanonicalMIMEHeaderKey(name)] = true
			}
		}
	}
	return names
}

// upgradeOf are the protocols that a request wants to change to, in a list; "": none. A change to HTTP/2 is not offered to the member:
// requests in it would pass unseen.
func upgradeOf(r *http.Request) string {
	if !r.ProtoAtLeast(1, 1) || !named(r.Header)["Upgrade"] {
		return ""
	}
	all := tokens(strings.Join(r.Header["Upgrade"], ","))
	return strings.Join(slices.DeleteFunc(all, func(one string) bool { return strings.EqualFold(one, "h2c") }), ", ")
}

// tokens are what a list of a header has.
func tokens(list string) (all []string) {
	for one := range strings.SplitSeq(list, ",") {
		if one = textproto.TrimString(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// unfit is why a request is not passed on, whichever the member; 0: it is.
func unfit(r *http.Request) (status int, text string) {
	if r.Method == http.MethodConnect {
		return http.StatusNotImplemented, "CONNECT is not passed on"
	}
	// A target without a scheme that a server knows, as x:http://inside/, would be sent on as http://inside/.
	if to := target(r); !strings.HasPrefix(to, "/") && !(to == "*" && r.Method == http.MethodOptions) {
		return http.StatusBadRequest, "the target of the request is no path"
	}
	return 0, ""
}

// write writes the head of the client's request anew, as it goes to the member at an address.
func (f *forwarding) write(out *bufio.Writer, to string) {
	r := f.r
	out.WriteString(r.Method)
	out.WriteByte(' ')
	out.WriteString(cmp.Or(f.choice.Target, target(r)))
	out.WriteString(" HTTP/1.1\r\n")
	switch {
	case r.Host != "":
		header(out, "Host", r.Host)
	case filepath.IsAbs(to): // a client of HTTP/1.0 need not name one, and servers refuse none in HTTP/1.1
		header(out, "Host", "localhost")
	default:
		header(out, "Host", to)
	}
	f.headers(wire{out})
	if t, ok := f.pick.Ticket(); ok && f.ticketed {
		out.WriteString(tickets.Header + ": ")
		out.Write(t.AppendText(out.AvailableBuffer()))
		out.WriteString("\r\n")
	}
	if protocol := upgradeOf(r); protocol != "" {
		header(out, "Connection", "Upgrade")
		header(out, "Upgrade", protocol)
	}
	switch {
	case r.ContentLength > 0:
		header(out, "Content-Length", strconv.FormatInt(r.ContentLength, 10))
	case r.ContentLength < 0:
		header(out, "Transfer-Encoding", "chunked")
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		header(out, "Content-Length", "0")
	}
	out.WriteString("\r\n")
}

// sink takes headers as they are sent on.
type sink interface{ header(name, value string) }

// wire is a sink that writes HTTP/1.1.
type wire struct{ *bufio.Writer }

func (w wire) header(name, value string) { header(w.Writer, name, value) }

// headers gives the client's headers, but for those of the connection and of the body, and those by which a member knows of whom the
// request is.
func (f *forwarding) headers(out sink) {
	r := f.r
	connection := named(r.Header)
	trusted := f.proxy.trust.Has(r)
	for name, values := range r.Header {
		if ofOneConnection[name] || connection[name] || name == "Expect" || name == "Content-Length" {
			continue
		}
		if seen := dashed(name); seen == "X-Request-Id" || seen == "X-Forwarded-For" || ofForwarding[seen] && !trusted {
			continue
		}
		for _, v := range values {
			out.header(name, v)
		}
	}
	f.forwarded(out, trusted, connection)
	out.header("X-Request-Id", f.access.ID)
}

// target is the path and query of a request, as the client has written them. A member gets no absolute URL: its host is in Host.
func target(r *http.Request) string {
	if r.Method == http.MethodOptions && r.RequestURI == "*" {
		return "*"
	}
	return r.URL.RequestURI()
}

func header(out *bufio.Writer, name, value string) {
	out.WriteString(name)
	out.WriteString(": ")
	out.WriteString(value)
	out.WriteString("\r\n")
}

// forwarded writes of whom the request is. What a proxy that is trusted says was written already, but for what its Connection names.
func (f *forwarding) forwarded(out sink, trusted bool, connection map[string]bool) {
	r := f.r
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = "unknown" // a Unix socket
	}
	if before := r.Header["X-Forwarded-For"]; trusted && len(before) > 0 {
		client = strings.Join(before, ", ") + ", " + client
	}
	out.header("X-Forwarded-For", client)
	said := func(name string) bool { return trusted && !connection[name] && r.Header[name] != nil }
	if r.Host != "" && !said("X-Forwarded-Host") {
		out.header("X-Forwarded-Host", r.Host)
	}
	if !said("X-Forwarded-Proto") {
		proto := "http"
		if r.TLS != nil {
			proto = "https"
		}
		out.header("X-Forwarded-Proto", proto)
	}
}

// mostID bounds the length of a request's ID that a client has given.
const mostID = 128

// requestID is the client's, if it is one that a log can have, or a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id != "" && len(id) <= mostID && strings.IndexFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) < 0 {
		return id
	}
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
