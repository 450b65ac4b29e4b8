package crew

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/slots"
)

// Watch has the loop told what is seen at an app's sockets, by one watcher for all apps on them.
func (c *Crew) Watch(a *App) {
	if a.Sockets.Shared() {
		c.SetPulse(a.Sockets)
		return
	}
	c.WatchAgain(a)
}

// WatchAgain begins to watch an app's sockets, which nothing watches.
func (c *Crew) WatchAgain(a *App) {
	s := a.Sockets
	err := s.Watch(pulse(a.Config), func(n listen.Notice, quit <-chan struct{}) { c.loop.PostUntil(quit, seen{s, n}) })
	if err != nil {
		c.logs.Warn().Str("app", a.Name).Err(err).Msg("cannot watch the sockets: stalled workers are noticed only by a signal, and neither request_timeout nor max_requests is kept")
	}
}

// SetPulse has the limits of all apps on the sockets checked as often as the app with the shortest pulse needs.
func (c *Crew) SetPulse(s *Sockets) {
	shortest := usualPulse
	for a := range c.on(s) {
		shortest = min(shortest, pulse(a.Config))
	}
	s.SetPulse(shortest)
}

// seen is what the watcher of an app's sockets has seen.
type seen struct {
	sockets *Sockets
	notice  listen.Notice
}

func (n seen) Act(c *Crew) {
	if n.notice.What == listen.Deaf {
		if n.sockets.MendDue(n.notice.Slot, time.Now()) {
			c.Mend(n.sockets, n.notice.Slot, nil)
		}
		return
	}
	for a := range c.on(n.sockets) {
		switch n.notice.What {
		case listen.Stalled:
			if m := a.Accepting(n.notice.Slot); m != nil {
				c.Stalled(m, slots.ByBoard, n.notice.Why)
			}
		case listen.Resumed:
			for _, m := range a.InOrder() {
				if m.Slot == n.notice.Slot {
					c.Resumed(m, slots.ByBoard)
				}
			}
		case listen.Pulse:
			c.checkLimits(a)
		case listen.Fell:
			c.loop.Event(a, zerolog.WarnLevel, api.Event{Kind: api.EventSteeringFell, Reason: n.notice.Why, Message: "steering fell back to " + string(n.notice.Kind)})
			c.logs.Warn().Str("app", a.Name).Str("steering", string(n.notice.Kind)).Str("reason", n.notice.Why).
				Msg("steering fell back; nothing is lost, new connections are spread less well")
		}
	}
}

// Stalled notes that a witness sees a worker stand still. The pool hears of the first witness.
func (c *Crew) Stalled(m *Worker, by slots.Witness, why string) {
	if m.App.Members[m.ID] == m && m.Stall.See(by) {
		c.Step(m.App, pool.Stalled{ID: m.ID, Reason: why})
	}
}

// Resumed notes that a witness sees a worker go on. The pool hears of it when no other witness sees the worker stand still.
func (c *Crew) Resumed(m *Worker, by slots.Witness) {
	if m.App.Members[m.ID] == m && m.Stall.Clear(by) {
		c.Step(m.App, pool.Resumed{ID: m.ID})
	}
}
