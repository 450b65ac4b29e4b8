package crew

import (
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
)

// Step gives one event to an app's pool and carries out the effects that follow. Before the first of them the record has what the
// event has changed, so that no worker exists that the record does not know of. The core of the apps hears of the outermost step:
// what an effect brings about is told with the rest of that.
func (c *Crew) Step(a *App, ev pool.Event) {
	c.loop.Stale()
	effects := a.Pool.Step(time.Now(), ev)
	c.estate.Touched(a)
	c.estate.SaveChanged()
	outermost := a.Stepped == nil
	if outermost {
		a.Stepped = &apps.Stepped{App: a.ID()}
	}
	for _, effect := range effects {
		c.carryOut(a, effect)
	}
	a.Deadline, a.Waits = a.Pool.Deadline(), a.Pool.Waits()
	c.Greet(a) // whichever way the last worker that the others waited for has come, or gone
	c.estate.Touched(a)
	c.estate.SaveSoon()
	if outermost {
		stepped := *a.Stepped
		stepped.Facts, a.Stepped = a.Pool.Brief(), nil
		c.loop.Decide(stepped)
	}
}

// carryOut does what a pool has ordered. None of it waits; what can fail later comes back as a Message.
func (c *Crew) carryOut(a *App, effect pool.Effect) {
	switch e := effect.(type) {
	case pool.Spawn:
		a.History.LastID = max(a.History.LastID, e.ID)
		a.History.Filled(e.Slot)
		c.spawn(a, e)
	case pool.Assign:
		a.History.Filled(e.Slot)
		c.assign(a, e)
	case pool.Dump:
		c.dump(a.Members[e.ID], e.Reason)
	case pool.Drain:
		c.drain(a.Members[e.ID], e)
	case pool.Signal:
		c.signal(a.Members[e.ID], e)
	case pool.OpenSlot:
		// Not now: spawn opens it, where a failure has somewhere to go.
	case pool.Steer:
		// Carried out with the last of what comes together, or before a worker or sockets go.
		a.Steering.Order(e.Slots)
	case pool.RetireSlot:
		c.retire(a, e.Slot)
	case pool.Resolve:
		c.takeRelease(a, e)
	case pool.Record:
		if e.Kind == pool.KindRolloutDone {
			a.Releases.Done(e.Generation, time.Now())
		}
		c.record(a, e)
		noticed(a.Stepped, e)
	case pool.Done:
		a.Stepped.Done = &e
	default:
		panic("crew: an effect that is not carried out")
	}
}

// record notes what a pool has recorded: in the history of the app, in the book, for the orders, and as one line of the log.
func (c *Crew) record(a *App, r pool.Record) {
	a.History.Note(r, a.Pool.Status)
	words := ""
	if a.LastExit.ID == r.ID && r.Unasked() {
		words = a.LastExit.Words
	}
	level, event := journal.LevelOf(r), journal.EventOf(r, words)
	c.loop.Event(a, level, event)
	c.loop.Noted(a, r, event.Message)
	m := a.Members[r.ID]
	journal.WriteLine(c.logs.WithLevel(level).Str("app", a.Name), r, words, m != nil && !m.Talk.Hello())
}

// noticed adds to what is told of a step what one of its records means for other apps.
func noticed(s *apps.Stepped, r pool.Record) {
	switch r.Kind {
	case pool.KindReady, pool.KindRolloutDone, pool.KindFinished, pool.KindRetired:
		s.Moved = true
	case pool.KindExited:
		s.Moved = true
		if r.Unasked() {
			s.Crashes = append(s.Crashes, apps.Crash{Worker: r.ID, PID: r.PID, Slot: r.Slot, Code: r.Code, Signal: r.Signal, Generation: r.Generation})
		}
	}
}
