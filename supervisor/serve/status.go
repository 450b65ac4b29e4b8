package serve

import (
	"context"
	"os"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// statusView makes the status that the control API shows from a snapshot. It samples each process in the round that its
// maker has begun.
type statusView struct {
	*sampler
	now   time.Time
	epoch uint64 // of the values
}

// status is the master as the control API shows it.
func (v statusView) status(m *snapshot.Master, version, unapplied string) api.Status {
	s := api.Status{
		Version: version, PID: os.Getpid(), KeeperPID: m.KeeperPID, UptimeS: seconds(v.now.Sub(m.StartedAt)), Name: m.Name,
		Apps:  []api.App{},
		Cache: api.CacheStatus{Epoch: m.Values.Epoch, Values: []api.CacheValue{}}, Succession: copied(m.Succession),
		Unkept: m.Unkept, Unapplied: unapplied,
	}
	for _, value := range m.Values.All(v.now) {
		s.Cache.Values = append(s.Cache.Values, CacheValue(value))
	}
	for _, a := range m.Listed {
		app := v.app(a)
		if m.Stopping {
			app.NextRun = nil
		}
		s.Apps = append(s.Apps, app)
	}
	s.Steering = control.SteeringOf(s.Apps)
	return s
}

// CacheValue is what the control API tells of a value.
func CacheValue(v cache.ValueStatus) api.CacheValue {
	return api.CacheValue{Key: v.Key, Epoch: v.Epoch, Bytes: v.Bytes, AgeS: seconds(v.Age), Source: v.Source, Error: v.Error}
}

// copied is a copy of what a snapshot has, for a caller that may change it; nil of nil.
func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

func (v statusView) app(a *snapshot.App) api.App {
	st, steering := &a.Pool, a.Sockets.Steering()
	app := api.App{
		Name: a.Name, Namespace: a.Namespace, State: a.State,
		Generation: st.Generation, Desired: st.Wanted, Ready: st.Ready,
		Listen: append([]string{}, a.Listen...), Steering: string(steering.Kind), Policy: string(steering.Policy),
		SteeringNotes: append([]string{}, steering.Notes...), Refused: steering.Refused,
		Workers: []api.Worker{}, Standbys: []api.Worker{},
		RestartsTotal: a.Restarts, CrashesTotal: a.Crashes, Failed: a.Failed, Error: a.Trouble, OneShot: a.OneShot,
		Rollout: copied(a.LastRollout), Release: copied(a.Release), Previous: copied(a.Previous), Unreachable: a.Unreachable(),
	}
	if next := a.NextRun; !next.IsZero() {
		app.NextRun = &next
	}
	if r := st.Requests; r != nil {
		app.Paused = &api.Pause{Since: r.Since, Reason: r.Reason}
		if !r.Until.IsZero() {
			app.Paused.Until = &r.Until
		}
	}
	if r := st.Rollout; r != nil {
		app.Rollout = &api.Rollout{ID: r.Generation, Reason: r.Reason, Done: r.Rolled, Total: st.Wanted, State: api.RolloutRunning, Queued: r.Queued}
	}
	processes := a.WorkersByID()
	for n := range max(len(st.Slots), st.Wanted) {
		var slot pool.SlotStatus
		if n < len(st.Slots) && !a.Ended {
			slot = st.Slots[n]
		}
		done := a.Total(n)
		for i, w := range slot.Workers {
			row := v.worker(a, n, w, processes[w.ID])
			if i == len(slot.Workers)-1 { // the newest has what its predecessors did
				row.Requests, row.Errors = done.Requests+row.Requests, done.Errors()+row.Errors
			}
			app.Workers = append(app.Workers, row)
		}
		if len(slot.Workers) == 0 {
			row := api.Worker{Slot: n, State: emptyState(slot), Generation: slot.Generation, Requests: done.Requests, Errors: done.Errors()}
			historyOf(a, n, &row)
			app.Workers = append(app.Workers, row)
		}
	}
	for _, w := range st.Standbys {
		app.Standbys = append(app.Standbys, v.worker(a, -1, w, processes[w.ID]))
	}
	return app
}

// emptyState is that of a slot without a worker, for the row that stands for it.
func emptyState(s pool.SlotStatus) string {
	switch {
	case s.Held != "":
		return "drained"
	case s.State == pool.SlotBackoff:
		return "backoff"
	case s.Finished:
		return "finished"
	}
	return "vacant"
}

func historyOf(a *snapshot.App, slot int, row *api.Worker) {
	if slot >= 0 && slot < len(a.History) {
		row.Restarts, row.LastExit = a.History[slot].Restarts, a.History[slot].LastExit
	}
}

// worker is one worker; p is its process, nil if that is not there yet.
func (v statusView) worker(a *snapshot.App, slot int, w pool.WorkerStatus, p *snapshot.Worker) api.Worker {
	row := api.Worker{
		Slot: slot, ID: uint64(w.ID), PID: w.PID, State: w.State.String(), Generation: w.Generation,
		UptimeS: seconds(v.now.Sub(w.Started)), Stalled: w.Stalled,
	}
	historyOf(a, slot, &row)
	if p == nil {
		return row
	}
	row.Unkept = p.Unkept
	row.Epoch = p.Epoch(v.epoch)
	var latencies *ipc.Histogram
	if p.Seat != nil {
		load := p.Seat.Load()
		latencies = &load.Stats.Histogram
		row.InFlight, row.Connections, row.OldestMS = load.InFlight, load.Open, api.Milliseconds(load.Oldest)
		row.Requests, row.Errors = load.Stats.Requests, load.Stats.Errors()
	}
	if p.Process == nil {
		return row
	}
	r := v.sample(v.now, p.Process, latencies)
	row.RSSBytes, row.CPUPercent, row.P50MS, row.P99MS = r.rss, r.percent, api.Milliseconds(r.p50), api.Milliseconds(r.p99)
	return row
}

// status is the status with what the system says of the workers.
func (s *Server) status(ctx context.Context) (api.Status, error) {
	m, err := s.master.Snapshot(ctx)
	if err != nil {
		return api.Status{}, err
	}
	unapplied := s.drafts.of(m.Config)
	defer s.sampler.round()()
	return statusView{&s.sampler, time.Now(), m.Values.Epoch}.status(m, s.Version, unapplied), nil
}
