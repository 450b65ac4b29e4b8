package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/edge"
	"github.com/tinehq/tine/worker/gate/proxyproto"
	"github.com/tinehq/tine/worker/gate/route"
	"github.com/tinehq/tine/worker/gate/tcp"
	"github.com/tinehq/tine/worker/gate/tunnel"
)

// serve answers the requests of clients until the worker's drain is over. Tunnels come from the worker that had the slot before, and go
// to the one that has it next.
func (d *documents) serve() error {
	w, tunnels := d.worker, d.shared.tunnels
	lns, err := w.Listeners()
	if err != nil || len(lns) == 0 { // which ServeServer says
		return w.ServeServer(&http.Server{Handler: d})
	}
	w.OnDrain(tunnels.Drain)
	if err := tunnels.Listen(lns[0]); err != nil {
		d.log.Info("tunnels end with the drain of this worker", "why", err)
	}
	defer tunnels.Close()
	p := d.current().policy.Edge
	e, err := d.edgeOf(p)
	if err != nil {
		return fmt.Errorf("cannot serve as a gateway: %w", err)
	}
	shown := make([]net.Listener, len(lns))
	for i, ln := range lns {
		shown[i] = e.Listen(ln, p.TLS.Speaks(ln.Addr()))
	}
	if p.Protocol == policy.ProtocolTCP {
		return d.serveTCP(shown)
	}
	return w.ServeServer(e.Server(d), shown...)
}

// serveTCP passes connections on until the worker's drain is over.
func (d *documents) serveTCP(lns []net.Listener) error {
	p := d.current().policy
	s := tcp.New(tcp.Options{
		Picker:      func() *gate.Picker { return d.current().pools.Of(route.All) },
		Tunnels:     d.shared.tunnels,
		DialTimeout: p.DialTimeout,
		Log:         d.log,
		Preface: func(client net.Conn) ([]byte, error) {
			if err := proxyproto.Wait(client); err != nil || !p.Edge.ProxyTo {
				return nil, err
			}
			return proxyproto.Head(client)
		},
	})
	var wg sync.WaitGroup
	for _, ln := range lns {
		wg.Go(func() { _ = s.Serve(ln) }) // it ends when the worker closes its listeners
	}
	err := d.worker.Ready()
	d.worker.Wait()
	for _, ln := range lns {
		ln.Close()
	}
	wg.Wait()
	if errors.Is(err, worker.ErrDraining) {
		return nil
	}
	return err
}

// tunnelsOf is the set of the worker's tunnels. One that comes from another worker counts at its member.
func (d *documents) tunnelsOf(p policy.Edge) *tunnel.Set {
	o := tunnel.Options{Log: d.log, Count: d.count}
	if p.Protocol == policy.ProtocolTCP {
		o.Idle = p.Limits.IdleTime
	}
	return tunnel.New(o)
}

// count counts a tunnel at its member, if that is still there and has room.
func (d *documents) count(i tunnel.Info) (release func()) {
	picker := d.current().pools.Of(i.Pool)
	if picker == nil {
		return func() {}
	}
	pick, err := picker.Pick(gate.Request{Prefer: i.Member, Draining: true, Now: ipc.Monotonic()})
	if err != nil {
		return func() {}
	}
	if pick.Member().ID != i.Member {
		pick.Release()
		return func() {}
	}
	return pick.Release
}

// edgeOf is what clients reach.
func (d *documents) edgeOf(p policy.Edge) (*edge.Edge, error) {
	l := p.Limits
	o := edge.Options{
		HTTP2: p.HTTP2 != policy.HTTP2Off, Log: d.log, Exempt: p.ProxiesFrom(),
		Limits: edge.Limits{
			Head: int(l.Head), HeadTime: l.HeadTime, IdleTime: l.IdleTime, Body: l.Body, Rate: l.Rate, Connections: l.Conns, PerClient: l.PerClient,
		},
	}
	if len(p.ProxyFrom) > 0 {
		o.Wrap = func(ln net.Listener) net.Listener { return proxyproto.Listen(ln, p.ProxiesFrom()) }
	}
	if t := p.TLS; len(t.Certificates) > 0 {
		files := make([]edge.Files, len(t.Certificates))
		for i, name := range t.Certificates {
			files[i] = edge.Files{Certificate: name, Key: name}
			if len(t.Keys) > 0 {
				files[i].Key = t.Keys[i]
			}
		}
		var err error
		if o.Certificates, err = edge.LoadCertificates(files, d.log); err != nil {
			return nil, err
		}
	}
	return edge.New(o), nil
}
