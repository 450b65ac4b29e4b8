package crew

import (
	"errors"
	"os"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/talk"
)

// drain has a worker finish what it serves and end. The core of the apps may hold the order, until the hook before_drain has run.
func (c *Crew) drain(m *Worker, e pool.Drain) {
	a, told := m.App, m.Talk.Drains() && e.Again
	m.Talk.Step(talk.DrainBegun)
	c.estate.TouchedWorker(m)
	if a.Steering.Due() {
		c.steer(a)
	}
	switch held := a.Run.IsHeld(m.ID); {
	case told && (held || m.Open()): // else it got SIGTERM, and a second one would cut it short
		a.Stepped.Told = append(a.Stepped.Told, m.ID)
		c.TellDrain(m, e)
	case told:
	case a.Run.Holds(e) > 0:
		a.Stepped.Held = append(a.Stepped.Held, apps.Held{Drain: e, PID: m.PID(), Generation: m.Generation})
	default:
		c.TellDrain(m, e)
	}
}

// TellDrain asks a worker to drain: over its channel, or by SIGTERM where that has ended.
func (c *Crew) TellDrain(m *Worker, e pool.Drain) {
	if m.Open() {
		err := m.Send(ipc.Drain{Reason: e.Reason, Handover: e.Handover, Linger: e.Linger, Delay: e.Delay, Timeout: e.Timeout})
		if err == nil {
			return
		}
		m.In(c.logs.Warn()).Err(err).Msg("cannot tell worker to drain; sending SIGTERM")
	}
	c.signal(m, pool.Signal{ID: m.ID})
}

// Kill ends a worker's process group at once.
func (c *Crew) Kill(m *Worker) { c.signal(m, pool.Signal{ID: m.ID, Kill: true}) }

// signal sends a worker SIGTERM, or its process group SIGKILL.
func (c *Crew) signal(m *Worker, e pool.Signal) {
	send := m.Process().Terminate
	if e.Kill {
		send = m.Process().Kill
	}
	if err := send(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.In(c.logs.Error()).Err(err).Msg("cannot signal worker")
	}
}
