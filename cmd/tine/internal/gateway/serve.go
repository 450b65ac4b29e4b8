package gateway

import (
	"net"
	"net/http"

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
	e := edge.New(edge.Options{HTTP2: true, Log: d.log})
	shown := make([]net.Listener, len(lns))
	for i, ln := range lns {
		shown[i] = e.Listen(ln, false)
	}
	return w.ServeServer(e.Server(d), shown...)
}
