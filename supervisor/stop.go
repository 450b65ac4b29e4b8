package supervisor

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
)

// A stop of all has up to three parts:
//
//	signal ── stop_delay ── drains, in the order of dependencies ── the end
//	   │      nothing but /readyz changes                           │
//	   └──────────────────────── stop_timeout ──────────────────────┘
//
// The delay lets load balancers notice. A second order skips what is left of it, and one
// during the drains kills. stop_timeout is the time after which somebody outside kills all
// of this: see [pool.Hurry]. Orders for one app and rollouts know neither.

// lastMoment is what a stop with a deadline leaves itself for its last acts.
const lastMoment = 250 * time.Millisecond

// masterStop is what the loop knows of its own end.
type masterStop struct {
	drainAt time.Time // when the drains begin; zero: they have, or there is no stop
	endBy   time.Time // zero: it may take as long as it takes
	cut     bool      // what else would be waited for at the end is ended
}

// savedStop is the same for a later master, in nanoseconds of [ipc.Monotonic]; 0: zero.
type savedStop struct {
	DrainAt int64 `json:"drain_at,omitempty"`
	EndBy   int64 `json:"end_by,omitempty"`
}

func (s masterStop) saved() savedStop {
	at := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return ipc.Monotonic() + int64(time.Until(t))
	}
	return savedStop{DrainAt: at(s.drainAt), EndBy: at(s.endBy)}
}

func (s savedStop) restored() masterStop {
	at := func(n int64) time.Time {
		if n == 0 {
			return time.Time{}
		}
		return time.Now().Add(time.Duration(n - ipc.Monotonic()))
	}
	return masterStop{drainAt: at(s.DrainAt), endBy: at(s.EndBy)}
}

func (c stopOrder) apply(l *loop) {
	first, waiting := !l.stopping, !l.stop.drainAt.IsZero()
	now := c.now || l.asked && !c.own && !waiting
	l.stopping = true
	l.s.callOff(errStopping)
	l.tellStopping()
	l.asked = l.asked || !c.own
	l.killed = l.killed || now
	if limit := l.s.config.StopTimeout; first && limit > 0 {
		l.stop.endBy = time.Now().Add(limit)
	}
	delay := l.s.config.DelayOfStop()
	if !first || now || c.own || !l.wasReady {
		delay = 0 // who was never told to send anything need not be told to end it
	}
	l.timerStale = true
	e := l.logs.Info().Str("reason", c.reason).Bool("at_once", now)
	if delay > 0 {
		e = e.Dur("delay_ms", delay)
	}
	if !l.stop.endBy.IsZero() {
		e = e.Dur("within_ms", time.Until(l.stop.endBy).Round(time.Millisecond))
	}
	e.Msg("stopping")
	l.event(nil, zerolog.InfoLevel, control.Event{Kind: control.EventStopping, Reason: c.reason, Message: "tine is stopping: " + c.reason})
	if first {
		l.hurryThoseThatStop()
	}
	if delay > 0 {
		l.stop.drainAt = time.Now().Add(delay)
		l.saveState()
		return
	}
	l.stop.drainAt = time.Time{}
	l.stopAll(now)
}

func (l *loop) stopAll(now bool) {
	l.each("", func(a *app) {
		if now {
			l.killNow(a)
		} else {
			l.leave(a)
		}
	})
}

// nextStop is when the stop goes on by itself; zero: not.
func (l *loop) nextStop() time.Time {
	switch s := l.stop; {
	case !s.drainAt.IsZero():
		return s.drainAt
	case !s.endBy.IsZero() && !s.cut:
		return s.endBy.Add(-lastMoment)
	}
	return time.Time{}
}

// goOnStopping does what the time has come for.
func (l *loop) goOnStopping(now time.Time) {
	s := &l.stop
	if !s.drainAt.IsZero() && !now.Before(s.drainAt) {
		s.drainAt = time.Time{}
		l.stopAll(false)
	}
	if !s.endBy.IsZero() && !s.cut && !now.Before(s.endBy.Add(-lastMoment)) {
		s.cut = true
		l.logs.Warn().Msg("the time for the stop is over: not waiting for hooks")
		l.cancel()
	}
}

// hurryThoseThatStop tells apps that are ending already, each by an order of its own, that
// they have less time now.
func (l *loop) hurryThoseThatStop() {
	l.each("", func(a *app) {
		if a.leaving && !a.stopDue {
			l.hurry(a)
		}
	})
}

// hurry tells an app how long it has for a stop that is to follow, or that it is in.
func (l *loop) hurry(a *app) {
	if l.stop.endBy.IsZero() {
		return
	}
	left := time.Until(l.stop.endBy)
	l.step(a, pool.Hurry{Within: left / time.Duration(l.stages(a, 0))})
}

// stages is how many apps stop one after the other, a the first of them.
func (l *loop) stages(a *app, depth int) int {
	most := 0
	if depth < len(l.apps) { // else they need each other
		for _, b := range l.apps {
			if b != a && !b.ended && !b.waiting && a.config.DependsOn[b.name] != "" {
				most = max(most, l.stages(b, depth+1))
			}
		}
	}
	return most + 1
}

// patienceAtEnd bounds d by the time that a stop has left.
func (l *loop) patienceAtEnd(d time.Duration) time.Duration {
	if l.stop.endBy.IsZero() {
		return d
	}
	return min(d, max(time.Until(l.stop.endBy)-lastMoment/2, lastMoment/5))
}
