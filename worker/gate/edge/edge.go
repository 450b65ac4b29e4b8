package edge

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Limits bound what clients can hold. The zero value of a field is its default.
type Limits struct {
	Head     int           // bytes of a request's head; 0: 64 KiB
	HeadTime time.Duration // for the head of a request, and for a handshake of TLS; 0: 10 s
	IdleTime time.Duration // for which a connection is kept without a request; 0: 75 s

	Body int64 // bytes of a request's body; 0: not bounded
	Rate int   // bytes/s at which a client sends a body and reads an answer; 0: 240; less: not bounded

	Connections int // open at one time; 0: not bounded
	PerClient   int // of those, from one IPv4 address or one IPv6 network of 64 bits; 0: not bounded
}

const (
	defaultHead     = 64 << 10
	defaultHeadTime = 10 * time.Second
	defaultIdleTime = 75 * time.Second
	defaultRate     = 240

	// grace is how long a body may be silent at its beginning, and how often the reading of an answer is looked at.
	grace = 5 * time.Second
	// mostCredit bounds the silence that a fast body earns.
	mostCredit = 30 * time.Second

	// mostStreams bounds the requests in flight on one connection of HTTP/2.
	mostStreams = 250
	// silence is after how long a silent connection of HTTP/2 is asked for a sign of life.
	silence = 30 * time.Second
)

// Options of an Edge.
type Options struct {
	Limits       Limits
	Certificates *Certificates // nil: no listener speaks TLS
	HTTP2        bool          // is spoken beside HTTP/1.1

	// Exempt are networks from which a client may have more than Limits.PerClient connections: those of proxies.
	Exempt []netip.Prefix
	// Wrap, unless it is nil, changes the listeners, below TLS.
	Wrap func(net.Listener) net.Listener

	Log *slog.Logger // nil: slog.Default
}

// Edge is what one worker of a gateway shows to clients. It may be used by all goroutines at once.
type Edge struct {
	options Options
	grace   time.Duration
	open    *open
}

// New makes an Edge.
func New(o Options) *Edge {
	l := &o.Limits
	if l.Head == 0 {
		l.Head = defaultHead
	}
	if l.HeadTime == 0 {
		l.HeadTime = defaultHeadTime
	}
	if l.IdleTime == 0 {
		l.IdleTime = defaultIdleTime
	}
	if l.Rate == 0 {
		l.Rate = defaultRate
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Edge{options: o, grace: grace, open: newOpen(l.Connections, l.PerClient, o.Log)}
}

// Server is a server for next, with all limits but those of listeners. It is for worker.ServeServer, which has HTTP/2 spoken by
// golang.org/x/net, and for listeners of Listen: the server itself begins no TLS.
func (e *Edge) Server(next http.Handler) *http.Server {
	l := &e.options.Limits
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(e.options.HTTP2)
	protocols.SetUnencryptedHTTP2(e.options.HTTP2)
	return &http.Server{
		Handler:           e.bounded(next),
		ReadHeaderTimeout: l.HeadTime,
		IdleTimeout:       l.IdleTime,
		MaxHeaderBytes:    l.Head,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: mostStreams, SendPingTimeout: silence, PingTimeout: silence / 2},
	}
}

// Listen bounds the connections of a listener, and has them speak TLS if encrypted is set, for which the Edge must have certificates.
func (e *Edge) Listen(ln net.Listener, encrypted bool) net.Listener {
	bounded := net.Listener(&listener{Listener: ln, edge: e})
	if e.options.Wrap != nil {
		bounded = e.options.Wrap(bounded)
	}
	if !encrypted {
		return bounded
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: e.options.Certificates.get}
	if e.options.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	e.options.Certificates.extend(config)
	return tls.NewListener(bounded, config)
}
