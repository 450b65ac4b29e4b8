package estate

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/succession"
)

// base is what no part of an app tells, as far as that is not the pool's. It is compared, so that nothing is encoded to see
// that it is the same.
type base struct {
	kind                      kind
	place, sockets            int
	everReady, added, leaving bool
	halted                    bool
	startWith, replaces       int
	nextRun                   time.Time
	lastRollout               *api.Rollout
	rolloutReason, why        string
	lastGeneration            int
	rollouts                  [len(journal.EndsOfRollouts)]uint64
	releases                  launch.Mark
}

// kind is how an app is in the record.
type kind uint8

const (
	notSaved kind = iota // there is nothing to adopt
	running
	ended
)

// kindOf is that of an app. One that has ended and that an order is about to start again is not saved: the next master starts it, as it
// is in the config.
func (e *Estate) kindOf(a *crew.App) kind {
	switch {
	case !a.Ended() && !a.Run.Waits():
		return running
	case a.Ended() && a.Run.Next() == 0 && e.loop.Listed(a.Name) == a:
		return ended
	}
	return notSaved
}

func (e *Estate) baseOf(p *page) base {
	a, h := p.app, &p.app.History
	b := base{
		kind: e.kindOf(a), place: p.place, sockets: a.Sockets.Key, everReady: a.Run.EverReady(), added: a.Run.Origin() != apps.FromStart,
		// Stopped to be started again, it is started by the next master, which knows nothing of the order.
		leaving: a.Leaves(), halted: a.Halted() && a.Run.Next() == 0, startWith: a.StartWith, nextRun: a.Run.NextRun(),
		lastRollout: h.LastRollout, rolloutReason: h.RolloutReason, why: h.Err, lastGeneration: h.LastGeneration, releases: a.Releases.Mark(),
	}
	if old := e.loop.App(a.Run.Replaces()); old != nil && !old.Ended() {
		b.replaces = old.Key
	}
	for i, kind := range journal.EndsOfRollouts {
		b.rollouts[i] = h.Rollouts[kind]
	}
	return b
}

// running is all of an app that runs.
func (p *page) running(now time.Time) succession.App {
	a, b := p.app, &p.base
	s := succession.App{
		Key: a.Key, Place: b.place, Sockets: b.sockets, Config: a.Config, Pool: a.Pool.Snapshot(now),
		Generations: map[int]succession.Generation{}, EverReady: b.everReady, Added: b.added, Leaving: b.leaving,
		Halted: b.halted, StartWith: b.startWith, Replaces: b.replaces, History: a.SavedHistory(), NextRun: b.nextRun,
	}
	r := a.Releases.Remembered()
	for n, g := range r.ByNumber {
		s.Generations[n] = savedOf(g)
	}
	if r.Previous != nil {
		s.Previous = &succession.Release{Generation: savedOf(r.Previous), Until: r.Until}
	}
	if r.BackTo != nil {
		s.BackTo = &succession.Release{Generation: savedOf(r.BackTo)}
	}
	for _, m := range a.InOrder() {
		s.Members = append(s.Members, m.Saved())
	}
	return s
}

// ended is all of an app that has ended, and stays so.
func (p *page) ended(now time.Time) succession.Ended {
	a, b := p.app, &p.base
	code, reason := a.Run.Exit()
	return succession.Ended{
		Key: a.Key, Place: b.place, Config: a.Config, Pool: a.Pool.Snapshot(now), Halted: b.halted, Ordered: a.Run.Origin() == apps.FromOrder,
		EverReady: b.everReady, Added: b.added, StartWith: b.startWith,
		Code: code, Reason: reason, Error: b.why, History: a.SavedHistory(), NextRun: b.nextRun,
	}
}

// part is what has changed of the slots and workers of an app that runs; false: more has.
func (p *page) part(now time.Time) (s succession.Part, ok bool) {
	a, h := p.app, &p.app.History
	s = succession.Part{Key: a.Key, Restarts: h.Restarts, Crashes: h.Crashes, LastID: h.LastID}
	if s.Pool, ok = a.Pool.Changes(now); !ok {
		return s, false
	}
	for _, id := range slices.Sorted(maps.Keys(p.workers)) {
		if m := a.Members[id]; m != nil {
			s.Members = append(s.Members, m.Saved())
		} else {
			s.Gone = append(s.Gone, id)
		}
	}
	for n := range h.Changed {
		if s.Slots == nil {
			s.Slots = map[int]succession.SlotHistory{}
		}
		s.Slots[n] = crew.SavedSlotHistory(h.Slots[n])
	}
	return s, true
}

func savedOf(g *launch.Generation) succession.Generation {
	s := succession.Generation{Config: g.Config, At: g.At, Back: g.Back}
	if r := g.Resolved.Load(); r != nil {
		s.Command = &r.Command
	}
	return s
}

// sameSet compares what is saved of sockets. Which slots are admitted changes most, and is looked at first.
func sameSet(a, b listen.Saved) bool {
	if !slices.Equal(a.Admitted, b.Admitted) {
		return false
	}
	a.Admitted, b.Admitted = nil, nil
	return reflect.DeepEqual(a, b)
}

// savedHead is the state without the apps and the config.
func (e *Estate) savedHead() succession.State {
	core := e.loop.Core()
	return succession.State{
		Version: succession.Version, Master: os.Getpid(), At: ipc.Monotonic(), Keys: e.keys,
		WasReady: core.Ready(), Stopping: core.Stopping(), Asked: core.Asked(), Stop: succession.SaveStop(core.StopTimes()),
	}
}

// savedConfig is made anew when another config is applied, not at each step.
func (e *Estate) savedConfig() json.RawMessage {
	if e.ledger.configOf != e.loop.Config() {
		e.KeepConfig(e.loop.Config())
	}
	return e.ledger.config
}

// KeepConfig has c saved until another one is applied: after an adoption what the last master
// ran with, where the loop's config is only what was found running.
func (e *Estate) KeepConfig(c *config.Config) {
	e.ledger.configOf, e.ledger.config = e.loop.Config(), encode(c, e.started)
}

// encode is what the record has of a config. What takes effect only when a master is started stays what it was then.
func encode(c, started *config.Config) json.RawMessage {
	kept := *c
	kept.Name, kept.Control, kept.Dashboard, kept.Metrics, kept.Health = started.Name, started.Control, started.Dashboard, started.Metrics, started.Health
	kept.StopDelay, kept.StopTimeout, kept.Log = started.StopDelay, started.StopTimeout, started.Log
	kept.Log.Level = c.Log.Level
	return succession.EncodeConfig(kept)
}
