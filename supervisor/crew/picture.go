package crew

import (
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// Drawn is what the maker of the pictures keeps with the app.
func (a *App) Drawn() *snapshot.Drawn { return &a.drawn }

// Picture is the app as readers see it, which shares nothing that changes with it. unkept tells of a worker whether a crash of the
// master would lose it.
func (a *App) Picture(unkept func(*Worker) bool) *snapshot.App {
	h := &a.History
	of := &snapshot.App{
		Name: a.Name, Namespace: a.Config.Namespace, State: a.State(), Pool: a.Pool.Status(),
		OneShot: a.Config.OneShot, Listens: len(a.Config.Listen) > 0, EverReady: a.Run.EverReady(), Ended: a.Ended(), Waiting: a.Run.Waits(), Leaving: a.Leaves(),
		Goes: a.Leaves() && !a.Halted(), Failed: a.Run.Standing() == apps.Lost, Trouble: a.Trouble(), NextRun: a.Run.NextRun(),
		Listen: a.Config.Listen, Restarts: h.Restarts, Crashes: h.Crashes, LastRollout: h.LastRollout,
		Rolled: h.Rollouts[pool.KindRolloutDone], Aborted: h.Rollouts[pool.KindRolloutAborted], Cancelled: h.Rollouts[pool.KindRolloutCancelled],
		Sockets: a.Sockets.Set,
		Inner:   a.Sockets.Inner(), MaxInFlight: a.Config.MaxInFlight,
		Workers: make([]snapshot.Worker, 0, len(a.Members)), Totals: a.Totals.Shown(),
	}
	of.Release, of.Previous = a.Releases.Shown(of.Pool.Generation)
	if !a.Ended() {
		of.Listen = a.Listening()
		for _, sight := range a.Sockets.Sights() {
			of.Reaches = append(of.Reaches, snapshot.Address{Address: sight.Address.String(), Why: sight.Why})
		}
		if of.Trouble == "" {
			of.Trouble = of.UnreachableText()
		}
		if of.Trouble == "" {
			of.Trouble = journal.Haste(of.Pool)
		}
	}
	for _, s := range h.Slots {
		of.History = append(of.History, snapshot.SlotHistory{Restarts: s.Restarts, LastExit: s.LastExit})
	}
	for id, m := range a.Members {
		w := snapshot.Worker{ID: id, Slot: m.Slot, Ready: m.Talk.Serves(), Unkept: unkept(m), Inner: m.Inner, Seat: m.Seat.Reader()}
		if m.Worker != nil {
			w.Process, w.Channel = m.Process(), m.Worker
		}
		of.Workers = append(of.Workers, w)
	}
	return of
}
