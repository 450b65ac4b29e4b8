package estate

import (
	"os"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/succession"
)

// mostDelayed bounds the messages that the record is behind.
const mostDelayed = 256

// SaveInTime writes the record once more for what the orders of steps have changed: what
// is counted, and who was greeted. A burst of events waits for its end: more says that the loop has another message.
func (e *Estate) SaveInTime(more bool) {
	if e.saveDue && (!more || e.saveDelayed > mostDelayed) {
		e.saveDelayed = 0
		e.SaveChanged()
		return
	}
	e.saveDelayed++
}

// savedHead is the state without the apps and the config.
func (e *Estate) savedHead() succession.State {
	return succession.State{
		Version: succession.Version, Master: os.Getpid(), At: ipc.Monotonic(), Keys: e.keys,
		WasReady: e.loop.Core().Ready(), Stopping: e.loop.Core().Stopping(), Asked: e.loop.Core().Asked(), Stop: succession.SaveStop(e.loop.Core().StopTimes()),
	}
}

func (e *Estate) savedApp(a *crew.App, now time.Time) succession.App {
	s := succession.App{
		Key: a.Key, Place: a.Place, Sockets: a.Sockets.Key, Config: a.Config, Pool: a.Pool.Snapshot(now),
		Generations: map[int]succession.Generation{}, EverReady: a.Run.EverReady(), Added: a.Run.Origin() != apps.FromStart, Leaving: a.Leaves(),
		// Stopped to be started again, it is started by the next master, which knows nothing of the order.
		Halted: a.Halted() && a.Run.Next() == 0, StartWith: a.StartWith, Replaces: e.replacedKey(a),
		History: a.SavedHistory(), NextRun: a.Run.NextRun(),
	}
	for n, g := range a.Generations {
		s.Generations[n] = savedOf(g)
	}
	if a.Previous != nil {
		s.Previous = &succession.Release{Generation: savedOf(a.Previous), Until: a.PreviousUntil}
	}
	if a.BackTo != nil {
		s.BackTo = &succession.Release{Generation: savedOf(a.BackTo)}
	}
	for _, m := range a.InOrder() {
		s.Members = append(s.Members, m.Saved())
	}
	return s
}

// replacedKey is that of the app that a replaces; 0: none.
func (e *Estate) replacedKey(a *crew.App) int {
	if old := e.loop.App(a.Run.Replaces()); old != nil && !old.Ended() {
		return old.Key
	}
	return 0
}

// savedEnded is of an app that stays so. One that an order is about to start again is left out: the next master starts it,
// as it is in the config.
func (e *Estate) savedEnded(a *crew.App, now time.Time) succession.Ended {
	code, reason := a.Run.Exit()
	return succession.Ended{
		Key: a.Key, Place: a.Place, Config: a.Config, Pool: a.Pool.Snapshot(now), Halted: a.Halted(), Ordered: a.Run.Origin() == apps.FromOrder,
		EverReady: a.Run.EverReady(), Added: a.Run.Origin() != apps.FromStart, StartWith: a.StartWith,
		Code: code, Reason: reason, Error: a.History.Err, History: a.SavedHistory(), NextRun: a.Run.NextRun(),
	}
}

func savedOf(g *launch.Generation) succession.Generation {
	s := succession.Generation{Config: g.Config, At: g.At, Back: g.Back}
	if r := g.Resolved.Load(); r != nil {
		s.Command = &r.Command
	}
	return s
}
