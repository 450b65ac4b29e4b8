package edge

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// listener accepts connections as long as there is room for them.
type listener struct {
	net.Listener
	edge *Edge
}

// Accept returns the next connection for which there is room. One for which there is none is closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := l.edge.clientOf(c.RemoteAddr())
		if l.edge.open.add(client) {
			return &conn{Conn: c, edge: l.edge, client: client}, nil
		}
		c.Close()
	}
}

// clientOf is what counts as the client of a connection from an address; the zero value: it is not counted.
func (e *Edge) clientOf(a net.Addr) netip.Addr {
	if at, ok := a.(*net.TCPAddr); ok {
		for _, p := range e.options.Exempt {
			if p.Contains(at.AddrPort().Addr().Unmap()) {
				return netip.Addr{}
			}
		}
	}
	return clientOf(a)
}

// clientOf is the address that counts as one client: that of IPv4, or the network of 64 bits of IPv6. It is the zero value for a
// client that has none, as that of a Unix socket.
func clientOf(a net.Addr) netip.Addr {
	at, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := at.AddrPort().Addr().Unmap()
	if addr.Is6() {
		if network, err := addr.WithZone("").Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return addr
}

// open counts the connections that are open.
type open struct {
	most, each int
	log        *slog.Logger

	mu      sync.Mutex
	all     int
	clients map[netip.Addr]int // only if each is bounded
	closed  int                // for want of room, since that was told
	told    time.Time
}

func newOpen(most, each int, log *slog.Logger) *open {
	o := &open{most: most, each: each, log: log}
	if each > 0 {
		o.clients = map[netip.Addr]int{}
	}
	return o
}

// add counts a connection, if there is room for it.
func (o *open) add(client netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.most > 0 && o.all >= o.most || o.each > 0 && client.IsValid() && o.clients[client] >= o.each {
		o.closed++
		if now := time.Now(); now.Sub(o.told) >= time.Second {
			o.log.Warn("connections are closed: too many are open", "closed", o.closed, "open", o.all, "client", client.String(), "of_client", o.clients[client])
			o.closed, o.told = 0, now
		}
		return false
	}
	o.all++
	if o.clients != nil && client.IsValid() {
		o.clients[client]++
	}
	return true
}

func (o *open) remove(client netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all--
	if o.clients == nil || !client.IsValid() {
		return
	}
	if o.clients[client]--; o.clients[client] == 0 {
		delete(o.clients, client)
	}
}
