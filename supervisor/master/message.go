package master

import (
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/pool"
)

// message is anything that reaches the loop from another goroutine: a fact about
// a worker, a result of a source, or a caller's command. apply runs in the loop
// and must not wait for anything.
type message interface{ apply(l *loop) }

// Commands, from the methods of Supervisor and from signals.
type (
	roll  struct{ app, reason string }
	scale struct {
		app string
		to  int
		by  int // used when not 0
	}
	stopOrder struct {
		now    bool
		own    bool // the master's own, not a person's
		reason string
	}
	applyConfig struct{ config *config.Config }
	applyFailed struct{ err error }
)

func (c roll) apply(l *loop) {
	l.each(c.app, func(a *crew.App) {
		if a.Run.CanRoll() {
			l.step(a, pool.Roll{Reason: c.reason})
		}
	})
}

func (c scale) apply(l *loop) {
	l.each(c.app, func(a *crew.App) {
		n := c.to
		if c.by != 0 {
			// One fewer than one is none, which is a stop: too much for a signal
			// that is so easily sent once too often.
			n = max(a.Pool.Status().Wanted+c.by, 1)
		}
		l.step(a, pool.Scale{N: n})
	})
}

func (c stopOrder) apply(l *loop) { l.decide(apps.Stop{Now: c.now, Own: c.own, Reason: c.reason}) }

func (c applyConfig) apply(l *loop) { l.plans.Apply(c.config) }

func (c applyFailed) apply(l *loop) { l.plans.Refuse(c.err) }
