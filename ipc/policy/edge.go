package policy

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"time"
)

// Edge says what a gateway shows to clients, and how it speaks to members. The zero value of each field is its default. See package
// worker/gate/edge. A worker goes by the Edge that it was started with: the master replaces the workers when it changes.
type Edge struct {
	HTTP2  string `json:"http2,omitempty"` // "": HTTP2Clients
	TLS    TLS    `json:"tls,omitzero"`
	Limits Limits `json:"limits,omitzero"`

	Protocol  string   `json:"protocol,omitempty"`   // that clients speak; "": ProtocolHTTP
	ProxyFrom []string `json:"proxy_from,omitempty"` // networks whose connections begin with a head of the PROXY protocol
	ProxyTo   bool     `json:"proxy_to,omitempty"`   // connections to members do, of version 2; with ProtocolTCP
}

// The values of Edge.Protocol.
const (
	ProtocolHTTP = "http"
	ProtocolTCP  = "tcp" // each connection is passed on as it is, to one member
)

// ProxiesFrom are the networks of ProxyFrom.
func (e *Edge) ProxiesFrom() []netip.Prefix { return prefixes(e.ProxyFrom) }

func prefixes(texts []string) (all []netip.Prefix) {
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// The values of Edge.HTTP2: with whom HTTP/2 is spoken. Without TLS it is spoken by prior knowledge.
const (
	HTTP2Off     = "off"
	HTTP2Clients = "clients"
	HTTP2Members = "members" // and with clients
)

// TLS says which certificates a gateway has, and where it speaks TLS. Without a certificate it does nowhere.
type TLS struct {
	Certificates []string `json:"certificates,omitempty"` // files, in PEM: each the chain of one certificate
	Keys         []string `json:"keys,omitempty"`         // files with their keys, in the same order; none: the keys are in Certificates
	Listen       []string `json:"listen,omitempty"`       // of the app's addresses; none: all of them
}

// Limits bound what clients can hold in one worker of a gateway. 0 is the default, and Unlimited none.
type Limits struct {
	Head      int64         `json:"head,omitempty"` // bytes
	HeadTime  time.Duration `json:"head_time,omitempty"`
	IdleTime  time.Duration `json:"idle_time,omitempty"`
	Body      int64         `json:"body,omitempty"` // bytes; 0: not bounded
	Rate      int           `json:"rate,omitempty"` // bytes/s
	Conns     int           `json:"connections,omitempty"`
	PerClient int           `json:"per_client,omitempty"` // connections
}

// Unlimited is Limits.Rate where a client may be as slow as it likes.
const Unlimited = -1

// Same reports whether e and o are the same.
func (e Edge) Same(o Edge) bool { return reflect.DeepEqual(e, o) }

// faults says what is wrong with e.
func (e *Edge) faults(fail func(field, format string, args ...any)) {
	switch e.HTTP2 {
	case "", HTTP2Off, HTTP2Clients, HTTP2Members:
	default:
		fail("http2", "%q is not known: write %s, %s or %s", e.HTTP2, HTTP2Off, HTTP2Clients, HTTP2Members)
	}
	if e.Protocol != "" && e.Protocol != ProtocolHTTP && e.Protocol != ProtocolTCP {
		fail("protocol", "%q is not known: write %s or %s", e.Protocol, ProtocolHTTP, ProtocolTCP)
	}
	for _, text := range e.ProxyFrom {
		if _, err := netip.ParsePrefix(text); err != nil {
			fail("proxy_protocol.from", "%q is not a network: write one as 10.0.0.0/8", text)
		}
	}
	if e.ProxyTo && e.Protocol != ProtocolTCP {
		fail("proxy_protocol.to", "it is for protocol: tcp; in HTTP a member knows the client by X-Forwarded-For")
	}
	t := &e.TLS
	if len(t.Keys) != 0 && len(t.Keys) != len(t.Certificates) {
		fail("tls.keys", "%d keys are for %d certificates: write a key for each certificate, in the same order, or none if the files of the certificates have them", len(t.Keys), len(t.Certificates))
	}
	if len(t.Certificates) == 0 && len(t.Listen) > 0 {
		fail("tls", "there is no certificate: write certificates: [FILE] and keys: [FILE]")
	}
	for _, address := range t.Listen {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "0" {
			fail("tls.listen", "%q has no port: write an address of the app's listen, as :443", address)
		}
	}
	l := &e.Limits
	for field, n := range map[string]int64{"head": l.Head, "body": l.Body, "connections": int64(l.Conns), "per_client": int64(l.PerClient), "head_time": int64(l.HeadTime), "idle_time": int64(l.IdleTime)} {
		if n < 0 {
			fail("limits."+field, "%d is negative", n)
		}
	}
	if l.Rate < Unlimited {
		fail("limits.rate", "%d is negative", l.Rate)
	}
}

// Speaks reports whether a gateway speaks TLS at a listener. A Unix socket is none of TLS.Listen.
func (t *TLS) Speaks(at net.Addr) bool {
	if len(t.Certificates) == 0 {
		return false
	}
	_, port, err := net.SplitHostPort(at.String())
	for _, address := range t.Listen {
		if _, p, e := net.SplitHostPort(address); err == nil && e == nil && samePort(p, port) {
			return true
		}
	}
	return len(t.Listen) == 0
}

// samePort compares a port as a config has it, which may be a name, with a number.
func samePort(a, b string) bool {
	n, err := net.LookupPort("tcp", a)
	return a == b || err == nil && fmt.Sprint(n) == b
}
