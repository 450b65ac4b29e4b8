package master

import (
	"os"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/succession"
)

// saveInTime writes the record once more for what the orders of steps have changed: what
// is counted, and who was greeted. A burst of events waits for its end.
func (l *loop) saveInTime() {
	if l.saveDue && (len(l.s.inbox) == 0 || l.saveDelayed > inboxSize) {
		l.saveDelayed = 0
		l.saveChanged()
		return
	}
	l.saveDelayed++
}

// savedHead is the state without the apps and the config.
func (l *loop) savedHead() succession.State {
	return succession.State{
		Version: succession.Version, Master: os.Getpid(), At: ipc.Monotonic(), Keys: l.keys,
		WasReady: l.state.Ready(), Stopping: l.state.Stopping(), Asked: l.state.Asked(), Stop: succession.SaveStop(l.state.StopTimes()),
	}
}

func (l *loop) savedApp(a *app, now time.Time) succession.App {
	s := succession.App{
		Key: a.key, Place: a.place, Sockets: a.sockets.key, Config: a.config, Pool: a.pool.Snapshot(now),
		Generations: map[int]succession.Generation{}, EverReady: a.run.EverReady(), Added: a.run.Origin() != apps.FromStart, Leaving: a.leaves(),
		// Stopped to be started again, it is started by the next master, which knows nothing of the order.
		Halted: a.halted() && a.run.Next() == 0, StartWith: a.startWith, Replaces: l.replacedKey(a),
		History: a.savedHistory(), NextRun: a.run.NextRun(),
	}
	for n, g := range a.generations {
		s.Generations[n] = savedOf(g)
	}
	if a.previous != nil {
		s.Previous = &succession.Release{Generation: savedOf(a.previous), Until: a.previousUntil}
	}
	if a.backTo != nil {
		s.BackTo = &succession.Release{Generation: savedOf(a.backTo)}
	}
	for _, m := range a.inOrder() {
		s.Members = append(s.Members, m.saved())
	}
	return s
}

// replacedKey is that of the app that a replaces; 0: none.
func (l *loop) replacedKey(a *app) int {
	if old := l.byID[a.run.Replaces()]; old != nil && !old.ended() {
		return old.key
	}
	return 0
}

func (m *member) saved() succession.Member {
	saved := succession.Member{
		ID: m.id, PID: m.PID(), Slot: m.slot, Seat: -1, Generation: m.generation,
		Ready: m.ready, Greeted: m.greeted, Left: m.left, Drains: m.drains, Jitter: m.jitter, Exit: m.unjudged,
	}
	if m.seat != nil {
		saved.Seat = m.seat.Number
	}
	return saved
}

// savedEnded is of an app that stays so. One that an order is about to start again is left out: the next master starts it,
// as it is in the config.
func (l *loop) savedEnded(a *app, now time.Time) succession.Ended {
	code, reason := a.run.Exit()
	return succession.Ended{
		Key: a.key, Place: a.place, Config: a.config, Pool: a.pool.Snapshot(now), Halted: a.halted(), Ordered: a.run.Origin() == apps.FromOrder,
		EverReady: a.run.EverReady(), Added: a.run.Origin() != apps.FromStart, StartWith: a.startWith,
		Code: code, Reason: reason, Error: a.history.Err, History: a.savedHistory(), NextRun: a.run.NextRun(),
	}
}

func (a *app) savedHistory() succession.History {
	h := &a.history
	s := succession.History{
		Restarts: h.Restarts, Crashes: h.Crashes, Rollout: h.LastRollout, RolloutReason: h.RolloutReason,
		LastID: h.LastID, LastGeneration: h.LastGeneration, Totals: a.totals.Save(),
	}
	for kind, n := range h.Rollouts {
		if s.Rollouts == nil {
			s.Rollouts = map[string]uint64{}
		}
		s.Rollouts[kind.String()] = n
	}
	for _, slot := range h.Slots {
		s.Slots = append(s.Slots, savedSlotHistory(slot))
	}
	return s
}

func savedSlotHistory(s journal.Slot) succession.SlotHistory {
	return succession.SlotHistory{Restarts: s.Restarts, Unasked: s.Unasked, LastExit: s.LastExit}
}

func (a *app) restoreHistory(s succession.History) {
	a.history = journal.History{
		Restarts: s.Restarts, Crashes: s.Crashes, LastRollout: s.Rollout, RolloutReason: s.RolloutReason,
		LastID: s.LastID, LastGeneration: s.LastGeneration,
	}
	for _, kind := range journal.EndsOfRollouts {
		if n := s.Rollouts[kind.String()]; n > 0 {
			a.history.Count(kind, n)
		}
	}
	for _, slot := range s.Slots {
		a.history.Slots = append(a.history.Slots, journal.Slot{Restarts: slot.Restarts, Unasked: slot.Unasked, LastExit: slot.LastExit})
	}
	a.totals.Restore(s.Totals)
}
