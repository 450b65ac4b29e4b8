package serve

import (
	"context"
	"net/http"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/control/metrics"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// mountMetrics puts what package metrics serves on the control API.
func (s *Server) mountMetrics(server *control.Server) *metrics.Metrics {
	m := metrics.New(s.Measured(), s.log)
	server.Handle("GET /v1/metrics", m.Handler())
	server.Handle("GET /v1/profile", m.ProfileHandler())
	return m
}

// serveMetrics begins to serve GET /metrics, and nothing else, where the config has an address for it. Every client that can
// connect is answered.
func (s *Server) serveMetrics(m *metrics.Metrics) (close func()) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		control.Problem(w, api.Refuse(http.StatusNotFound, "only GET /metrics is here, not %s %s", r.Method, r.URL.Path))
	})
	return s.serveTCP("metrics", s.Metrics.Listen, mux)
}

// Measured is the master for package metrics.
func (s *Server) Measured() metrics.Source { return measured{s} }

type measured struct{ s *Server }

// Snapshot asks the system for the memory of each process.
func (c measured) Snapshot(ctx context.Context) (*metrics.Snapshot, error) {
	m, err := c.s.master.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s := &metrics.Snapshot{Version: c.s.Version, Uptime: now.Sub(m.StartedAt), Epoch: m.Values.Epoch}
	for _, v := range m.Values.All(now) {
		s.Values = append(s.Values, metrics.Value{Key: v.Key, Epoch: v.Epoch, Bytes: v.Bytes, Age: v.Age, Checked: v.CheckedAge, Failures: v.Failures})
	}
	for _, a := range m.Listed {
		s.Apps = append(s.Apps, measure(a))
	}
	return s, nil
}

// Gateways is that of the control API.
func (c measured) Gateways(ctx context.Context) (api.Gateways, error) {
	return commander{c.s.master, c.s}.Gateways(ctx, "")
}

// Call is that of the control API.
func (c measured) Call(ctx context.Context, app string, worker uint64, method string, in []byte) ([]byte, error) {
	return c.s.master.Call(ctx, app, worker, method, in)
}

// measure is one app for package metrics.
func measure(a *snapshot.App) metrics.App {
	st, steering := &a.Pool, a.Sockets.Steering()
	app := metrics.App{
		Name: a.Name, Namespace: a.Namespace, State: a.State,
		Desired: st.Wanted, Ready: st.Ready, Standbys: len(st.Standbys), Generation: st.Generation,
		Restarts: a.Restarts, Crashes: a.Crashes, Rolled: a.Rolled, Aborted: a.Aborted, Cancelled: a.Cancelled, Rolling: st.Rollout != nil,
		Steering: string(steering.Kind), Policy: string(steering.Policy), Exact: steering.Exact, Refused: steering.Refused,
		// Also those slots that the app has no more: their counts go into sums.
		Slots: make([]metrics.Slot, max(len(st.Slots), st.Wanted, len(a.Totals))),
	}
	for _, at := range a.Reaches {
		app.Addresses = append(app.Addresses, metrics.Address{Address: at.Address, Reachable: at.Why == ""})
	}
	for i := range a.Totals {
		app.Slots[i].Totals = a.Total(i)
	}
	for _, slot := range st.Slots {
		for _, w := range slot.Workers {
			if w.Stalled != "" && slot.Slot < len(app.Slots) {
				app.Slots[slot.Slot].Stalled = true
			}
		}
	}
	for i := range a.Workers {
		w := &a.Workers[i]
		if w.Slot < 0 {
			continue // its own row, and its metrics, come with a slot
		}
		for len(app.Slots) <= w.Slot {
			app.Slots = append(app.Slots, metrics.Slot{})
		}
		slot := &app.Slots[w.Slot]
		if w.Seat != nil {
			load := w.Seat.Load()
			slot.InFlight += load.InFlight
			slot.Open += load.Open
			slot.Oldest = max(slot.Oldest, load.Oldest)
			slot.Totals.Add(load.Stats)
		}
		slot.RSS += memoryOf(w.Process)
		app.Workers = append(app.Workers, metrics.Worker{Slot: w.Slot, ID: uint64(w.ID), Ready: w.Ready})
	}
	return app
}

// memoryOf is what a process has in memory, in bytes; 0 of one that has ended, or that the system does not tell of.
func memoryOf(p *proc.Process) int64 {
	if p == nil {
		return 0
	}
	select {
	case <-p.Exited():
		return 0
	default:
	}
	u, err := host.UseOf(p.PID())
	if err != nil {
		return 0
	}
	return u.RSS
}
