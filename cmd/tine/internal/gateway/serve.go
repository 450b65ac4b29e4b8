package gateway

import (
	"fmt"
	"net"
	"net/http"

	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate/edge"
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
	return w.ServeServer(e.Server(d), shown...)
}

// edgeOf is what clients reach.
func (d *documents) edgeOf(p policy.Edge) (*edge.Edge, error) {
	l := p.Limits
	o := edge.Options{
		HTTP2: p.HTTP2 != policy.HTTP2Off, Log: d.log,
		Limits: edge.Limits{
			Head: int(l.Head), HeadTime: l.HeadTime, IdleTime: l.IdleTime, Body: l.Body, Rate: l.Rate, Connections: l.Conns, PerClient: l.PerClient,
		},
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
