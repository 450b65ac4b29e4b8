package supervisor

import (
	"context"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/metrics"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// mountMetrics puts what package metrics serves on the control API.
func (s *Supervisor) mountMetrics(server *control.Server) *metrics.Metrics {
	m := metrics.New(measured{commander{s}}, s.logs.With().Logger())
	server.Handle("GET /v1/metrics", m.Handler())
	server.Handle("GET /v1/profile", m.ProfileHandler())
	return m
}

// measured is the Supervisor for package metrics.
type measured struct{ commander }

// measurement is a snapshot as far as the loop knows it, with the processes that the
// system is asked about.
type measurement struct {
	metrics.Snapshot
	processes []process
}

type process struct {
	app, slot int
	proc      *proc.Process
}

type getMeasurement struct{ answer chan<- *measurement }

func (c getMeasurement) apply(l *loop) { c.answer <- l.measurement() }

func (c measured) Snapshot(ctx context.Context) (*metrics.Snapshot, error) {
	m, err := ask(ctx, c.s, func(answer chan<- *measurement) message { return getMeasurement{answer} })
	if err != nil {
		return nil, err
	}
	for _, p := range m.processes {
		select {
		case <-p.proc.Exited():
			continue
		default:
		}
		if u, err := host.UseOf(p.proc.PID()); err == nil {
			m.Apps[p.app].Slots[p.slot].RSS += u.RSS
		}
	}
	return &m.Snapshot, nil
}

// measurement copies what there is to tell: some microseconds a worker.
func (l *loop) measurement() *measurement {
	now := time.Now()
	m := &measurement{Snapshot: metrics.Snapshot{
		Version: l.s.version, Uptime: now.Sub(l.startedAt), Epoch: l.values.Epoch(),
	}}
	for _, v := range l.values.Status(now) {
		value := metrics.Value{Key: v.Key, Epoch: v.Epoch, Bytes: v.Bytes, Age: v.Age, Checked: v.CheckedAge, Failures: v.Failures}
		m.Values = append(m.Values, value)
	}
	for _, a := range l.allListed() {
		m.measure(a)
	}
	return m
}

func (m *measurement) measure(a *app) {
	st, steering := a.pool.Status(), a.sockets.Steering()
	app := metrics.App{
		Name: a.name, Namespace: a.config.Namespace, State: a.state(),
		Desired: st.Wanted, Ready: st.Ready, Standbys: len(st.Standbys), Generation: st.Generation,
		Restarts: a.history.restarts, Crashes: a.history.crashes,
		Rolled: a.history.rollouts[pool.KindRolloutDone], Aborted: a.history.rollouts[pool.KindRolloutAborted],
		Cancelled: a.history.rollouts[pool.KindRolloutCancelled], Rolling: st.Rollout != nil,
		Steering: string(steering.Kind), Policy: string(steering.Policy), Exact: steering.Exact, Refused: steering.Refused,
		// Also those slots that the app has no more: their counts go into sums.
		Slots: make([]metrics.Slot, max(len(st.Slots), st.Wanted, len(a.totals))),
	}
	for _, sight := range a.sockets.lookout.told {
		if !a.ended() {
			app.Addresses = append(app.Addresses, metrics.Address{Address: sight.Address.String(), Reachable: sight.Why == ""})
		}
	}
	for i, done := range a.totals {
		app.Slots[i].Totals = done
	}
	for _, slot := range st.Slots {
		for _, w := range slot.Workers {
			if w.Stalled != "" && slot.Slot < len(app.Slots) {
				app.Slots[slot.Slot].Stalled = true
			}
		}
	}
	for id, w := range a.members {
		if w.slot < 0 {
			continue // its own row, and its metrics, come with a slot
		}
		for len(app.Slots) <= w.slot {
			app.Slots = append(app.Slots, metrics.Slot{})
		}
		slot := &app.Slots[w.slot]
		if w.row != nil {
			load := w.load()
			slot.InFlight += load.InFlight
			slot.Open += load.Open
			slot.Oldest = max(slot.Oldest, load.Oldest)
			slot.Totals.Add(load.Stats)
		}
		if w.Worker != nil {
			m.processes = append(m.processes, process{len(m.Apps), w.slot, w.Process()})
		}
		app.Workers = append(app.Workers, metrics.Worker{Slot: w.slot, ID: uint64(id), Ready: w.ready && !w.drains})
	}
	m.Apps = append(m.Apps, app)
}
