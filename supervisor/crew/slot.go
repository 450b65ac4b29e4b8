package crew

import (
	"errors"
	"os"

	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/proc"
)

// openSlot opens the sockets of a slot that gets its first worker. A standby, in slot -1, has none.
func (c *Crew) openSlot(a *App, slot int) error {
	if slot < 0 {
		return nil
	}
	c.estate.KeepSlot(a.Sockets, slot)
	before := a.Sockets.Slots()
	err := a.Sockets.OpenSlot(slot)
	if a.Sockets.Slots() > before {
		a.Steering.Reconsider() // the slot was not there to be admitted when that was ordered
	}
	return err
}

// assign gives a slot to a worker that stood by. A worker that cannot have it is replaced, as one that fails to start is.
func (c *Crew) assign(a *App, e pool.Assign) {
	m := a.Members[e.ID]
	if m == nil {
		return // its exit is on the way
	}
	m.Slot = e.Slot
	c.estate.TouchedWorker(m)
	m.Name(m.PID())
	if err := c.openSlot(a, e.Slot); err != nil {
		m.In(c.logs.Error()).Err(proc.AsLimit(err)).Msg("cannot open the slot of a standby; replacing it")
		c.Step(a, pool.Recycle{ID: m.ID, Reason: err.Error()})
		return
	}
	if !m.Open() {
		c.Step(a, pool.Recycle{ID: m.ID, Reason: "its channel has ended"})
		return
	}
	if !c.place(m) && !m.Open() {
		return
	}
	if r, err := a.Releases.Of(m.Generation).Resolve(); err == nil {
		process, cpus := m.Process(), r.Bound(e.Slot)
		log := c.logs.With().Str("app", a.Name).Uint64("worker", uint64(m.ID)).Logger()
		c.loop.Go(func() { // the first requests need not wait for it
			if err := process.Bind(cpus); err != nil && !errors.Is(err, os.ErrProcessDone) {
				log.Debug().Err(err).Msg("worker not bound to the CPU of its slot")
			}
		})
	}
}

// retire closes the sockets of the last slot. Its worker has emptied their queues while the kernel steered new connections elsewhere;
// connections that are left there are reset, which is logged.
func (c *Crew) retire(a *App, slot int) {
	if a.Steering.Due() {
		c.steer(a)
	}
	if a.Sockets.Shared() {
		return // the other app still has workers on it; its end closes what is left over
	}
	if n, err := a.Sockets.Queue(slot); err == nil && n > 0 {
		c.logs.Warn().Str("app", a.Name).Int("slot", slot).Int("connections", n).Msg("slot closed with connections waiting; they are reset")
	}
	c.estate.CloseSlot(a.Sockets, slot)
}
