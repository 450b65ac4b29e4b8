package crew

import (
	"slices"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/talk"
)

// caughtUp takes in how far a worker has come while no master heard it, as its first frame on a channel that was made anew says.
func (c *Crew) caughtUp(m *Worker, f ipc.Hello) {
	switch f.State {
	case ipc.StateReady:
		c.becomeReady(m)
	case ipc.StateStarting, ipc.StateStandby:
		if m.Slot >= 0 { // what gave it the slot has not reached it
			m.Talk.Step(talk.SlotLost)
			if m.Talk.Subscribed() {
				c.place(m)
			}
		} else if f.State == ipc.StateStandby && !m.parked() {
			c.Step(m.App, pool.Parked{ID: m.ID})
		}
	case ipc.StateDraining:
		if !m.Talk.Drains() {
			m.Talk.Step(talk.DrainBegun)
			c.estate.TouchedWorker(m)
			c.Step(m.App, pool.Leaving{ID: m.ID, Reason: "it drains already"})
		}
	}
}

// parked reports whether the pool has the worker as a standby that waits for a slot.
func (m *Worker) parked() bool {
	return slices.ContainsFunc(m.App.Pool.Status().Standbys, func(w pool.WorkerStatus) bool { return w.ID == m.ID && w.State == pool.StateStandby })
}
