package supervisor

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// survey is the status as far as the loop knows it: what the system has to be asked
// for is added by whoever wants to know.
type survey struct {
	control.Status
	probes []probe
	config *config.Config // that runs
}

// probe is a worker that the system is asked about.
type probe struct {
	app, worker int // in Status; worker counts the standbys after the workers
	proc        *proc.Process
	latencies   *ipc.Histogram // nil: it has no row on the scoreboard
}

type getSurvey struct{ answer chan<- *survey }

func (c getSurvey) apply(l *loop) { c.answer <- l.survey() }

// survey copies what there is to tell. It costs a few microseconds a worker.
func (l *loop) survey() *survey {
	now := time.Now()
	s := &survey{config: l.config, Status: control.Status{
		Version: l.s.version, PID: os.Getpid(), KeeperPID: keeper.PID(), UptimeS: seconds(now.Sub(l.startedAt)), Name: l.name,
		Apps:  []control.App{},
		Cache: control.CacheStatus{Epoch: l.values.Epoch(), Values: []control.CacheValue{}}, Succession: l.succession,
	}}
	s.Unkept = l.unkept()
	for _, v := range l.values.Status(now) {
		s.Cache.Values = append(s.Cache.Values, cacheValue(v))
	}
	for _, a := range l.allListed() {
		s.add(l, a, now)
	}
	s.Steering = control.SteeringOf(s.Apps)
	return s
}

func cacheValue(v cache.ValueStatus) control.CacheValue {
	return control.CacheValue{Key: v.Key, Epoch: v.Epoch, Bytes: v.Bytes, AgeS: seconds(v.Age), Source: v.Source, Error: v.Error}
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

func (s *survey) add(l *loop, a *app, now time.Time) {
	st, steering := a.pool.Status(), a.sockets.Steering()
	app := control.App{
		Name: a.name, Namespace: a.config.Namespace, State: a.state(),
		Generation: st.Generation, Desired: st.Wanted, Ready: st.Ready,
		Listen: []string{}, Steering: string(steering.Kind), Policy: string(steering.Policy),
		SteeringNotes: append([]string{}, steering.Notes...), Refused: steering.Refused,
		Workers: []control.Worker{}, Standbys: []control.Worker{},
		RestartsTotal: a.history.restarts, CrashesTotal: a.history.crashes, Failed: a.run.Standing() == apps.Lost, Error: a.trouble(), OneShot: a.config.OneShot,
		Rollout: a.history.lastRollout, Release: releaseOf(st.Generation, a.generations[st.Generation]), Previous: releaseOf(0, a.previous),
	}
	if app.Previous != nil && !a.previousUntil.IsZero() {
		until := a.previousUntil.Round(time.Millisecond)
		app.Previous.Until = &until
	}
	if a.ended() {
		app.Listen = append(app.Listen, a.config.Listen...) // where it will again
	} else {
		app.Listen = append(app.Listen, a.listening()...)
		app.Unreachable = a.sockets.lookout.unreachable()
	}
	if next := a.run.NextRun(); !next.IsZero() && !l.state.Stopping() {
		app.NextRun = &next
	}
	if app.Rollout != nil {
		last := *app.Rollout
		app.Rollout = &last
	}
	if r := st.Rollout; r != nil {
		app.Rollout = &control.Rollout{ID: r.Generation, Reason: r.Reason, Done: r.Rolled, Total: st.Wanted, State: control.RolloutRunning, Queued: r.Queued}
	}
	index := len(s.Apps)
	for n := range max(len(st.Slots), st.Wanted) {
		var slot pool.SlotStatus
		if n < len(st.Slots) && !a.ended() {
			slot = st.Slots[n]
		}
		for i, w := range slot.Workers {
			row := s.worker(l, a, n, w, now)
			if i == len(slot.Workers)-1 { // the newest has what its predecessors did
				row.Requests, row.Errors = a.before(n).Requests+row.Requests, errorsOf(a.before(n))+row.Errors
			}
			s.probe(a, w.ID, index, len(app.Workers))
			app.Workers = append(app.Workers, row)
		}
		if len(slot.Workers) == 0 {
			done := a.before(n)
			row := control.Worker{Slot: n, State: emptyState(slot), Generation: slot.Generation, Requests: done.Requests, Errors: errorsOf(done)}
			a.historyOf(n, &row)
			app.Workers = append(app.Workers, row)
		}
	}
	for i, w := range st.Standbys {
		s.probe(a, w.ID, index, len(app.Workers)+i)
		app.Standbys = append(app.Standbys, s.worker(l, a, -1, w, now))
	}
	s.Apps = append(s.Apps, app)
}

// before is what the workers of a slot have done that are gone.
func (a *app) before(slot int) ipc.Stats {
	if slot < len(a.totals) {
		return a.totals[slot]
	}
	return ipc.Stats{}
}

func errorsOf(s ipc.Stats) uint64 { return s.Errors() }

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

func (a *app) historyOf(slot int, row *control.Worker) {
	if slot >= 0 && slot < len(a.history.slots) {
		row.Restarts, row.LastExit = a.history.slots[slot].restarts, a.history.slots[slot].lastExit
	}
}

func (s *survey) worker(l *loop, a *app, slot int, w pool.WorkerStatus, now time.Time) control.Worker {
	row := control.Worker{
		Slot: slot, ID: uint64(w.ID), PID: w.PID, State: w.State.String(), Generation: w.Generation,
		UptimeS: seconds(now.Sub(w.Started)), Stalled: w.Stalled,
	}
	a.historyOf(slot, &row)
	m := a.members[w.ID]
	if m == nil {
		return row
	}
	row.Unkept = l.kept != nil && l.kept.room.workers[m]
	row.Epoch = min(m.Acked(), l.values.Epoch())
	if m.row != nil {
		load := m.load()
		row.InFlight, row.Connections, row.OldestMS = load.InFlight, load.Open, ms(load.Oldest)
		row.Requests, row.Errors = load.Stats.Requests, load.Stats.Errors()
	}
	return row
}

func (s *survey) probe(a *app, id pool.WorkerID, app, worker int) {
	m := a.members[id]
	if m == nil {
		return
	}
	p := probe{app: app, worker: worker, proc: m.Process()}
	if m.row != nil {
		p.latencies = &ipc.Histogram{}
		for i := range p.latencies {
			p.latencies[i] = m.row.Histogram[i].Load()
		}
	}
	s.probes = append(s.probes, p)
}

// controlStatus is the status with what the system says of the workers.
func (s *Supervisor) controlStatus(ctx context.Context) (control.Status, error) {
	v, err := ask(ctx, s, func(answer chan<- *survey) message { return getSurvey{answer} })
	if err != nil {
		return control.Status{}, err
	}
	v.Unapplied = s.drafts.of(v.config)
	defer s.sampler.round()()
	now := time.Now()
	for _, p := range v.probes {
		app := &v.Apps[p.app]
		row := &app.Workers
		if p.worker >= len(app.Workers) {
			row, p.worker = &app.Standbys, p.worker-len(app.Workers)
		}
		r := s.sampler.sample(now, p.proc, p.latencies)
		w := &(*row)[p.worker]
		w.RSSBytes, w.CPUPercent, w.P50MS, w.P99MS = r.rss, r.percent, ms(r.p50), ms(r.p99)
	}
	return v.Status, nil
}

// valueOf is what status says of one value.
func valueOf(all []cache.ValueStatus, key string) (control.CacheValue, bool) {
	i := slices.IndexFunc(all, func(v cache.ValueStatus) bool { return v.Key == key })
	if i < 0 {
		return control.CacheValue{}, false
	}
	return cacheValue(all[i]), true
}
