package master

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/config/file"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
	"github.com/tinehq/tine/supervisor/succession"
)

// adopt makes the apps again that the last master has left, with their sockets and
// workers, as they were. config is what that one ran with: see goOnWith.
func (l *loop) adopt(state succession.State, config *config.Config) error {
	l.estate.SetKeys(state.Keys) // the first step writes the record anew
	drainAt, endBy := state.Stop.Restored()
	ev := apps.Restore{Ready: state.WasReady, Stopping: state.Stopping, Asked: state.Asked, DrainAt: drainAt, EndBy: endBy}
	state.Date()
	all := map[int]*crew.Sockets{}
	for _, saved := range state.Sockets {
		s, err := l.adoptSockets(saved, state.Apps)
		if err != nil {
			for _, s := range all {
				s.Leave()
			}
			return err
		}
		all[saved.Key] = s
	}
	byKey := map[int]*crew.App{}
	var left []leftRun
	for _, saved := range state.Apps {
		a, err := l.adoptApp(saved, all[saved.Sockets], since(saved.At))
		if err != nil {
			for _, s := range all {
				s.Leave()
			}
			return err
		}
		byKey[saved.Key] = a
		left = append(left, leftRun{a, apps.Restored{
			EverReady: saved.EverReady, Leaving: saved.Leaving, Halted: saved.Halted, Due: saved.NextRun, Origin: originOf(saved.Added, false), Ran: true,
		}, saved.Replaces})
	}
	for _, saved := range state.Ended {
		a, err := l.adoptEnded(saved, since(saved.At))
		if err != nil {
			for _, s := range all {
				s.Leave()
			}
			return err
		}
		left = slices.Insert(left, min(max(saved.Place, 0), len(left)), leftRun{a, apps.Restored{
			// One that a person has stopped has left, and so has one that was halted before it had.
			EverReady: saved.EverReady, Leaving: saved.Halted, Halted: saved.Halted, Due: saved.NextRun, Origin: originOf(saved.Added, saved.Ordered),
			Ended: true, Ran: saved.History.LastID > 0, Code: saved.Code, Reason: saved.Reason,
		}, 0})
	}
	for i := range left {
		o := l.enter(left[i].app)[0]
		r := &left[i].run
		r.ID, r.Spec, r.Facts = o.ID, o.Spec, o.Facts
	}
	for _, r := range left {
		if on := byKey[r.replaces]; on != nil {
			r.run.Replaces = on.ID()
		}
		ev.Runs = append(ev.Runs, r.run)
	}
	l.decide(ev)
	l.adopted = &adopted{state: state}
	running := *config
	running.Apps = nil
	for _, a := range l.apps {
		if !a.Leaves() || a.Halted() {
			running.Apps = append(running.Apps, a.Config)
		}
	}
	l.config = &running
	l.estate.KeepConfig(config)
	return nil
}

// leftRun is an app that the last master has left, and what its record has of it.
type leftRun struct {
	app      *crew.App
	run      apps.Restored
	replaces int // key of the app; 0: none
}

func originOf(added, ordered bool) apps.Origin {
	switch {
	case ordered:
		return apps.FromOrder
	case added:
		return apps.FromConfig
	}
	return apps.FromStart
}

// since is how long ago something was, which is never in the future.
func since(at int64) time.Duration { return time.Duration(max(ipc.Monotonic()-at, 0)) }

// adopted is what is still to be done when all is made again.
type adopted struct{ state succession.State }

func (l *loop) adoptSockets(saved succession.Sockets, apps []succession.App) (*crew.Sockets, error) {
	prefix := succession.SocketsName(saved.Key, "")
	files := map[string]*os.File{}
	for name, fs := range l.s.inherited {
		if file, ok := strings.CutPrefix(name, prefix); ok && len(fs) > 0 {
			files[file] = fs[0]
		}
	}
	if saved.Set.Bare { // what is there is for a version before this one, and stored nowhere
		hot, rows := listen.BoardNames()
		delete(files, hot)
		delete(files, rows)
	}
	i := slices.IndexFunc(apps, func(a succession.App) bool { return a.Sockets == saved.Key })
	if i < 0 {
		return nil, fmt.Errorf("cannot adopt sockets %d: they are of no app", saved.Key)
	}
	o := apps[i].Config.SteeringOptions()
	o.Given = l.given.Sockets
	lent := maps.Clone(files)
	l.given.Lend(saved.Set, lent)
	set, err := listen.Prepare(saved.Set, lent, o)
	if err != nil {
		return nil, err
	}
	s := crew.NewSockets(set)
	s.Key = saved.Key
	l.estate.AdoptedSockets(s, files)
	return s, nil
}

func (l *loop) adoptApp(saved succession.App, s *crew.Sockets, ago time.Duration) (*crew.App, error) {
	if s == nil {
		return nil, fmt.Errorf("cannot adopt app %s: its sockets are not in the record", saved.Config.Name)
	}
	config := saved.Config.Restored()
	core, err := pool.Restore(crew.PoolConfig(config), saved.Pool, time.Now(), ago)
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s: %w", config.Name, err)
	}
	a := &crew.App{
		Key: saved.Key, Name: config.Name, Config: config, Pool: core, Sockets: s,
		Members: map[pool.WorkerID]*crew.Worker{}, Generations: map[int]*launch.Generation{},
		StartWith: saved.StartWith,
	}
	a.RestoreHistory(saved.History)
	for n, g := range saved.Generations {
		g.Config = g.Config.Restored()
		a.Generations[n] = l.restoredGeneration(g)
	}
	a.Current = a.Generations[core.Status().Generation]
	if a.Previous = l.restoredRelease(saved.Previous); a.Previous != nil {
		a.PreviousUntil = saved.Previous.Until
	}
	a.BackTo = l.restoredRelease(saved.BackTo)
	s.Use()
	return a, nil
}

// restoredGeneration starts what the generation's first worker was, if there was one:
// the disk may have changed since.
func (l *loop) restoredGeneration(saved succession.Generation) *launch.Generation {
	g := launch.New(saved.Config)
	g.At, g.Back = saved.At, saved.Back
	if saved.Command == nil {
		return g
	}
	c := saved.Config
	c.Workers = c.Slots()
	allowed, quota := host.AllowedCPUs(), host.AutoWorkers()
	r := launch.Recipe{Command: *saved.Command, CPUs: func(slot int) []int { return c.CPUs(slot, allowed, quota) }}
	g.Resolved.Store(&r)
	g.Resolve = func() (launch.Recipe, error) { return r, nil }
	g.Pin(l.s.pins, func(_ string, id *proc.FileID, _ bool) *launch.Pin { return l.s.pins.Inherit(id, l.s.inherited) }, false)
	return g
}

// resume goes on with what was adopted. Workers that have died meanwhile are found by
// their pidfds, and those that went on say how far they have come: facts like any other.
func (l *loop) resume() {
	state, wasReady := l.adopted.state, l.state.Ready()
	if syscall.Kill(state.Master, 0) != nil { // one that hands over still lives
		l.logs.FreshLines()
	}
	byKey := map[int]*crew.App{}
	for _, a := range l.apps {
		byKey[a.Key] = a
	}
	l.succession = &control.Succession{After: state.Master, Replaced: []control.ReplacedWorker{}}
	var reaching sync.WaitGroup
	ended := map[*crew.App][]*crew.Worker{}
	for _, saved := range state.Apps {
		a := byKey[saved.Key]
		l.openHooks(a)
		strays := l.strays(saved)
		for _, sm := range slices.Concat(saved.Members, strays) {
			m := &crew.Worker{
				App: a, ID: sm.ID, Slot: sm.Slot, Generation: sm.Generation, Jitter: sm.Jitter, Adopted: true,
				Ready: sm.Ready, Greeted: sm.Greeted, Left: sm.Left, Drains: sm.Drains, SavedSeat: sm.Seat,
			}
			if sm.Exit != nil {
				m.Unjudged = sm.Exit
				ended[a] = append(ended[a], m)
				continue
			}
			a.Members[m.ID] = m
			if m.Ready {
				m.BecameReady()
			}
			reaching.Go(func() { m.Unreached = l.reach(m, sm.PID) })
		}
		for _, sm := range strays {
			a.Members[sm.ID].Stray = true
		}
	}
	reaching.Wait()
	unreached := l.dropUnreached() // all of them, before a step looks at any
	for _, saved := range state.Apps {
		a := byKey[saved.Key]
		for _, m := range slices.Collect(maps.Values(a.Members)) {
			l.reached(m)
		}
		for _, m := range ended[a] {
			l.sit(m)
			exit := m.Unjudged.Restored()
			l.replaced(m, "it had ended: "+exit.String())
			l.exited(m, handle.Exited{Exit: exit, Left: m.Unjudged.Left})
		}
		for _, m := range unreached[a] {
			l.logs.Error().Str("app", a.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).Err(m.Unreached).Msg("cannot adopt worker")
			if !m.Stray {
				l.replaced(m, "cannot adopt it: "+m.Unreached.Error())
				l.step(a, pool.Exited{ID: m.ID, Code: pool.CodeUnknown})
			}
		}
		for i := range saved.Pool.Slots {
			for _, w := range saved.Pool.Slots[i].Workers {
				if w.Stalled != "" { // who watches begins anew
					l.step(a, pool.Resumed{ID: w.ID})
				}
			}
		}
		for _, m := range a.Sockets.Mended {
			l.crew.RecycleMended(a.Sockets, m, nil)
		}
		l.step(a, pool.Restored{})
	}
	l.endStrays()
	if wasReady {
		close(l.s.ready)
	}
	for _, a := range l.apps {
		l.greet(a) // the last master may have died before
		a.Sockets.Mended = nil
	}
	l.sayAdopted()
	l.adopted = nil
}

// sayAdopted tells what has become of the workers, and counts those that go on as they were.
func (l *loop) sayAdopted() {
	s := l.succession
	for m := range l.allMembers() {
		if m.Adopted && !slices.ContainsFunc(s.Replaced, func(r control.ReplacedWorker) bool { return r.App == m.App.Name && r.Worker == uint64(m.ID) }) {
			s.Adopted++
		}
	}
	e := l.logs.Info().Int("workers", s.Adopted).Int("after", s.After).Float64("took_ms", api.Milliseconds(time.Since(l.startedAt)))
	if len(s.Replaced) > 0 {
		e.Int("replaced", len(s.Replaced))
	}
	e.Msg("adopted the workers of the last master")
}

// reach makes the worker's process and channel ours. It runs for all workers at once.
func (l *loop) reach(m *crew.Worker, pid int) (err error) {
	files := l.s.inherited[succession.WorkerName(m.App.Key, m.ID)]
	if len(files) != handle.FilesOfWorker {
		return fmt.Errorf("%d of its %d files were kept", len(files), handle.FilesOfWorker)
	}
	m.Worker, err = handle.Adopt(pid, files, l.s.exitOf(pid), l.crew.Starter().Options(m))
	return err
}

// dropUnreached takes out the workers that could not be adopted.
func (l *loop) dropUnreached() map[*crew.App][]*crew.Worker {
	lost := map[*crew.App][]*crew.Worker{}
	for _, a := range l.apps {
		for id, m := range a.Members {
			if m.Unreached != nil {
				delete(a.Members, id)
				lost[a] = append(lost[a], m)
			}
		}
	}
	return lost
}

// reached brings a worker into the loop.
func (l *loop) reached(m *crew.Worker) {
	if m.Stray {
		m.Jitter = 2*rand.Float64() - 1
		l.step(m.App, pool.Spawned{ID: m.ID, PID: m.PID()})
	}
	l.sit(m)
	m.Placed = true
	if m.Open() {
		l.welcome(m)
	}
	l.s.wg.Go(m.Follow())
}

func (l *loop) sit(m *crew.Worker) {
	if m.Slot >= 0 && m.SavedSeat >= 0 {
		m.Seat = m.App.Sockets.SitAgain(m.Slot, m.SavedSeat, uint64(m.ID))
	}
}

// caughtUp takes in how far an adopted worker has come while no master looked.
func (l *loop) caughtUp(m *crew.Worker, f ipc.Hello) {
	switch f.State {
	case ipc.StateReady:
		if !m.Ready {
			m.BecameReady()
			l.touchedWorker(m)
			l.step(m.App, pool.Ready{ID: m.ID})
		}
	case ipc.StateStarting, ipc.StateStandby:
		if m.Slot >= 0 { // what gave it the slot has not reached it
			m.Placed = false
			if m.Subscribed {
				l.place(m)
			}
		} else if f.State == ipc.StateStandby && !l.parked(m) {
			l.step(m.App, pool.Parked{ID: m.ID})
		}
	case ipc.StateDraining:
		if !m.Drains {
			m.Drains = true
			l.touchedWorker(m)
			l.step(m.App, pool.Leaving{ID: m.ID, Reason: "it drains already"})
		}
	}
}

func (l *loop) parked(m *crew.Worker) bool {
	for _, w := range m.App.Pool.Status().Standbys {
		if w.ID == m.ID {
			return w.State == pool.StateStandby
		}
	}
	return false
}

// goOnWith starts what the last master had not come to start of the config that it ran with: apps that wait for others,
// and what was left to do of a config that it was applying. A rollout that was aborted is not tried again.
func (l *loop) goOnWith(cfg *config.Config) {
	if l.state.Stopping() {
		return
	}
	if len(file.Diff(l.config, cfg)) > 0 {
		l.prepare(cfg, true)
	}
}

// adoptEnded makes it again, as it is when its sockets are closed.
func (l *loop) adoptEnded(saved succession.Ended, ago time.Duration) (*crew.App, error) {
	config := saved.Config.Restored()
	core, err := pool.Restore(crew.PoolConfig(config), saved.Pool, time.Now(), ago)
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s, which has ended: %w", config.Name, err)
	}
	set, err := listen.Open(nil, 1, config.SteeringOptions()) // for what is shown of it
	if err != nil {
		return nil, fmt.Errorf("cannot adopt app %s, which has ended: %w", config.Name, err)
	}
	if saved.Key == 0 {
		saved.Key = l.estate.NewKey()
	}
	a := &crew.App{
		Key: saved.Key, Name: config.Name, Config: config, Pool: core, Sockets: crew.NewSockets(set),
		Members:     map[pool.WorkerID]*crew.Worker{},
		Generations: map[int]*launch.Generation{core.Status().Generation: launch.New(config)},
		StartWith:   saved.StartWith,
	}
	a.RestoreHistory(saved.History)
	a.History.Err = saved.Error
	a.Sockets.Use()
	a.Sockets.Release()
	return a, nil
}
