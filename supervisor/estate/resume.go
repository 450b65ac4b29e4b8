package estate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
	"github.com/tinehq/tine/supervisor/talk"
)

// Adopted reports whether apps were adopted whose workers Resume is to take over.
func (e *Estate) Adopted() bool { return e.adopted != nil }

// Resume takes over the workers of the apps that were adopted, which the loop has entered meanwhile. Workers that have died while no
// master looked are found by their pidfds, and those that went on say how far they have come: facts like any other. began is when this
// master did.
func (e *Estate) Resume(began time.Time) {
	state := e.adopted.state
	if syscall.Kill(state.Master, 0) != nil { // one that hands over still lives
		e.logs.FreshLines()
	}
	e.succession = &api.Succession{After: state.Master, Replaced: []api.ReplacedWorker{}}
	arrivals := make([][]*arrival, len(e.adopted.apps))
	var reaching sync.WaitGroup
	for i, p := range e.adopted.plan.Apps {
		a := e.adopted.apps[i]
		if p.Ended != nil {
			continue
		}
		a.OpenHooks(e.loop.Context())
		e.crew.SetInner(a) // the last master may be of a version without inner sockets
		for _, w := range p.Workers {
			n := &arrival{AdoptedWorker: w, worker: &crew.Worker{
				App: a, ID: w.ID, Slot: w.Slot, Generation: w.Generation, Jitter: w.Jitter, Adopted: true,
				Talk: talk.Adopted(w.Ready, w.Drains, w.Left), Greeted: w.Greeted, Unjudged: w.Exit, Inner: w.Inner,
			}}
			arrivals[i] = append(arrivals[i], n)
			if n.Fate != succession.Judged {
				reaching.Go(func() { n.err = e.reach(n.worker, n.PID) })
			}
		}
	}
	reaching.Wait()
	drop := e.adopted.plan.Drop
	for _, all := range arrivals { // of all apps, before a step looks at any
		for _, n := range all {
			if n.Fate == succession.Judged {
				continue
			}
			if n.err != nil {
				drop = append(drop, succession.WorkerName(n.worker.App.Key, n.ID))
				continue
			}
			n.worker.App.Members[n.ID] = n.worker
			if n.worker.Talk.WasReady() {
				n.worker.BecameReady()
			}
		}
	}
	for i, p := range e.adopted.plan.Apps {
		if p.Ended == nil {
			e.resumeApp(e.adopted.apps[i], p.Running.Pool, arrivals[i])
		}
	}
	e.drop(drop)
	for _, a := range e.loop.Apps() {
		e.crew.Greet(a) // the last master may have died before
		a.Sockets.Mended = nil
		a.Sockets.EndTickets()
	}
	e.crew.SweepTickets()
	e.sayAdopted(began)
	e.adopted = nil
}

// arrival is a worker that is taken over.
type arrival struct {
	succession.AdoptedWorker
	worker *crew.Worker
	err    error // why it could not be reached
}

// resumeApp tells an app what has become of its workers, and has it go on.
func (e *Estate) resumeApp(a *crew.App, saved pool.Saved, all []*arrival) {
	for _, n := range all {
		if n.Fate != succession.Judged && n.err == nil {
			e.arrived(n)
		}
	}
	for _, n := range all {
		m := n.worker
		switch {
		case n.Fate == succession.Judged:
			sit(n)
			exit := n.Exit.Restored()
			e.Replaced(m, "it had ended: "+exit.String())
			e.crew.Exited(m, handle.Exited{Exit: exit, Left: n.Exit.Left})
		case n.err != nil:
			e.logs.Error().Str("app", a.Name).Int("slot", m.Slot).Uint64("worker", uint64(m.ID)).Err(n.err).Msg("cannot adopt worker")
			if n.Fate != succession.TakenAsStray { // of which the pool knows no process
				e.Replaced(m, "cannot adopt it: "+n.err.Error())
				e.crew.Step(a, pool.Exited{ID: m.ID, Code: pool.CodeUnknown})
			}
		}
	}
	for _, s := range saved.Slots {
		for _, w := range s.Workers {
			if w.Stalled != "" { // the watch of this master begins anew
				e.crew.Step(a, pool.Resumed{ID: w.ID})
			}
		}
	}
	for _, m := range a.Sockets.Mended {
		e.crew.RecycleMended(a.Sockets, m, nil)
	}
	e.crew.Step(a, pool.Restored{})
}

// reach makes the process and the channel of a worker this master's. It may be called by several goroutines, for a worker each.
func (e *Estate) reach(m *crew.Worker, pid int) (err error) {
	files := e.inherited[succession.WorkerName(m.App.Key, m.ID)]
	if len(files) != handle.FilesOfWorker {
		return fmt.Errorf("%d of its %d files were kept", len(files), handle.FilesOfWorker)
	}
	m.Worker, err = handle.Adopt(pid, files, e.exitOf(pid), e.crew.Starter().Options(m))
	return err
}

// arrived brings a worker into the loop.
func (e *Estate) arrived(n *arrival) {
	m := n.worker
	if n.Fate == succession.TakenAsStray {
		m.Jitter = 2*rand.Float64() - 1
		e.crew.Step(m.App, pool.Spawned{ID: m.ID, PID: m.PID()})
	}
	sit(n)
	m.Talk.Step(talk.SlotGiven)
	if m.Open() {
		e.crew.Welcome(m)
	}
	e.loop.Go(m.Follow())
}

// sit gives a worker the seat that it had.
func sit(n *arrival) {
	if n.Slot >= 0 && n.Seat >= 0 {
		n.worker.Seat = n.worker.App.Sockets.SitAgain(n.Slot, n.Seat, uint64(n.ID))
	}
}

// Replaced notes, while this master takes over, that a worker does not go on as it was.
func (e *Estate) Replaced(m *crew.Worker, why string) {
	if e.adopted == nil || e.succession == nil || e.wasReplaced(m) {
		return
	}
	e.succession.Replaced = append(e.succession.Replaced,
		api.ReplacedWorker{App: m.App.Name, Slot: m.Slot, Worker: uint64(m.ID), Reason: strings.ToValidUTF8(why, "?")})
}

func (e *Estate) wasReplaced(m *crew.Worker) bool {
	return slices.ContainsFunc(e.succession.Replaced, func(r api.ReplacedWorker) bool { return r.Worker == uint64(m.ID) && r.App == m.App.Name })
}

// sayAdopted tells what has become of the workers, and counts those that go on as they were.
func (e *Estate) sayAdopted(began time.Time) {
	s := e.succession
	for m := range e.workers() {
		if m.Adopted && !e.wasReplaced(m) {
			s.Adopted++
		}
	}
	line := e.logs.Info().Int("workers", s.Adopted).Int("after", s.After).Float64("took_ms", api.Milliseconds(time.Since(began)))
	if len(s.Replaced) > 0 {
		line.Int("replaced", len(s.Replaced))
	}
	line.Msg("adopted the workers of the last master")
}

// Succession tells how this master came to be in charge of workers; nil: it has started all. The caller may change it.
func (e *Estate) Succession() *api.Succession {
	if e.succession == nil {
		return nil
	}
	copied := *e.succession
	copied.Replaced = slices.Clone(copied.Replaced)
	return &copied
}
