//lint:file-ignore SA1019 the connections of http.Transport do not tell whether a member has begun a request

package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	// silence is after how long a silent connection of HTTP/2 is asked for a sign of life, and lifeSign how long that may take.
	silence  = 30 * time.Second
	lifeSign = 15 * time.Second
	// idleHTTP2 is how long a connection of HTTP/2 is kept without a request.
	idleHTTP2 = time.Minute
)

// conns has the connections of HTTP/2 to members, each for many requests. It is the pool of its transport, which asks for a connection
// again where a member has done nothing of a request; that is refused, as another member may take it.
type conns struct {
	transport *http2.Transport
	timeout   time.Duration

	mu      sync.Mutex
	all     map[string][]*http2.ClientConn
	dialing map[string]*dialing
	closed  bool
}

// dialing is one connection that is being made, for all who need one to the address.
type dialing struct {
	done chan struct{}
	err  error
}

// trial is one request on its way, as the value of its context.
type trial struct{ asked, reused bool }

type trialKey struct{}

// notBegun is why a member has done nothing of a request.
type notBegun struct{ err error }

func (n *notBegun) Error() string { return n.err.Error() }
func (n *notBegun) Unwrap() error { return n.err }

var (
	errWentAway = errors.New("it went away before it began the request")
	errClosed   = errors.New("the proxy is closed")
)

func newConns(timeout time.Duration) *conns {
	c := &conns{timeout: timeout, all: map[string][]*http2.ClientConn{}, dialing: map[string]*dialing{}}
	c.transport = &http2.Transport{
		AllowHTTP: true, DisableCompression: true, ConnPool: c,
		MaxHeaderListSize: mostHead, ReadIdleTimeout: silence, PingTimeout: lifeSign, IdleConnTimeout: idleHTTP2,
	}
	return c
}

// GetClientConn is a connection with room for one request.
func (c *conns) GetClientConn(r *http.Request, host string) (*http2.ClientConn, error) {
	one, _ := r.Context().Value(trialKey{}).(*trial)
	if one == nil || one.asked {
		return nil, &notBegun{errWentAway}
	}
	one.asked = true
	for first := true; ; first = false {
		cc, d, err := c.get(host)
		if err != nil || cc != nil {
			one.reused = first
			return cc, err
		}
		select {
		case <-d.done:
		case <-r.Context().Done():
			return nil, &notBegun{context.Cause(r.Context())}
		}
		if d.err != nil {
			return nil, &notBegun{d.err}
		}
	}
}

// get reserves a request on a connection that is there, or has one made.
func (c *conns) get(host string) (*http2.ClientConn, *dialing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, &notBegun{errClosed}
	}
	for _, cc := range c.all[host] {
		if cc.ReserveNewRequest() {
			return cc, nil, nil
		}
	}
	d := c.dialing[host]
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		c.dialing[host] = d
		go c.dial(host, d)
	}
	return nil, d, nil
}

// dial makes a connection. It ends by its time limit, whatever becomes of those who wait.
func (c *conns) dial(host string, d *dialing) {
	network, at := "tcp", host
	if path, ok := socketOf(host); ok {
		network, at = "unix", path
	}
	var cc *http2.ClientConn
	conn, err := (&net.Dialer{Timeout: c.timeout}).Dial(network, at)
	if err == nil {
		if cc, err = c.transport.NewClientConn(conn); err != nil {
			conn.Close()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.dialing, host)
	switch d.err = err; {
	case err != nil:
	case c.closed:
		cc.Close()
	default:
		// One that has ended before it was listed was not forgotten by MarkDead.
		over := func(old *http2.ClientConn) bool { return old.State().Closed }
		c.all[host] = append(slices.DeleteFunc(c.all[host], over), cc)
	}
	close(d.done)
}

// MarkDead forgets a connection.
func (c *conns) MarkDead(cc *http2.ClientConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for host, all := range c.all {
		if i := slices.Index(all, cc); i >= 0 {
			if c.all[host] = slices.Delete(all, i, i+1); len(c.all[host]) == 0 {
				delete(c.all, host)
			}
			return
		}
	}
}

// close closes what is idle. What is in use is closed when its last request is over.
func (c *conns) close() {
	c.mu.Lock()
	var all []*http2.ClientConn
	for _, of := range c.all {
		all = append(all, of...)
	}
	c.closed = true
	c.mu.Unlock()
	for _, cc := range all {
		if cc.SetDoNotReuse(); cc.State().StreamsActive == 0 {
			cc.Close()
		}
	}
}
