package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/tunnel"
)

// tunnel passes bytes both ways once the member has agreed to change the protocol, until both sides have ended theirs, or the tunnel has
// moved to another worker. It takes over both connections.
// See package tunnel.
func (f *forwarding) tunnel(u *upstream, res *http.Response) error {
	asked := upgradeOf(f.r)
	if got := res.Header.Get("Upgrade"); !slices.ContainsFunc(tokens(asked), func(one string) bool { return strings.EqualFold(one, got) }) {
		return &unanswered{err: fmt.Errorf("it changes the protocol to %q, and %q was asked for", got, asked), sent: true}
	}
	held, both, err := http.NewResponseController(f.w).Hijack()
	if err != nil {
		return &unanswered{err: fmt.Errorf("this connection of the client cannot change its protocol: %w", err), sent: true, client: true}
	}
	client := tunnel.Bare(held)
	defer func() {
		if !f.tunnelled {
			held.Close()
		}
	}()
	f.access.Status = res.StatusCode
	f.learn()
	f.mark(res.Header, res.StatusCode)
	if err := errors.Join(client.SetDeadline(time.Time{}), u.SetDeadline(time.Time{}), f.agree(both.Writer, res)); err != nil {
		return nil // the client is gone; nothing can be answered on a connection that was taken over
	}
	// What was read together with the heads belongs to the new protocol.
	fromClient, fromMember := rest(both.Reader), rest(u.in)
	c := &carrying{
		proxy: f.proxy, pick: f.pick, access: f.access, began: f.began, held: held, client: client, member: u.Conn,
		info: tunnel.Info{ID: f.access.ID, Pool: f.choice.Pool, Member: f.access.Member},
	}
	f.tunnelled = true
	go c.run(fromClient, fromMember)
	return nil
}

// carrying is a tunnel, and what is to be done at its end. It runs in goroutines of its own: that of the server, with the request and its
// buffers, would cost each tunnel 20 KB more for as long as it lasts. A worker's drain waits for it by tunnel.Set.Drain.
type carrying struct {
	proxy                *Proxy
	pick                 gate.Pick
	access               Access
	began                time.Time
	held, client, member net.Conn
	info                 tunnel.Info
}

func (c *carrying) run(fromClient, fromMember []byte) {
	c.proxy.options.Tunnels.Run(c.info, c.client, c.member, fromClient, fromMember)
	c.held.Close()
	c.member.Close()
	c.pick.Release()
	if c.proxy.options.Log != nil {
		c.access.Took = time.Since(c.began)
		c.proxy.options.Log(c.access)
	}
}

// agree writes the member's answer to the client.
func (f *forwarding) agree(out *bufio.Writer, res *http.Response) error {
	out.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	connection := named(res.Header)
	for name, values := range res.Header {
		if ofOneConnection[name] || connection[name] || name == "X-Request-Id" || name == "Content-Length" {
			continue
		}
		for _, v := range values {
			header(out, name, v)
		}
	}
	header(out, "X-Request-Id", f.access.ID)
	header(out, "Connection", "Upgrade")
	header(out, "Upgrade", res.Header.Get("Upgrade"))
	out.WriteString("\r\n")
	return out.Flush()
}

// rest is what a reader has read ahead.
func rest(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return append([]byte(nil), b...)
}
