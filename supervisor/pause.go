package supervisor

import (
	"time"

	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
)

// The loop judges no worker by time in which it has not run itself. The machine, the VM or the container may have been stopped,
// and the workers with it; or the loop alone, and what they have said meanwhile waits in its inbox. So as long as some worker
// has a time to do something in, the loop wakes often, and what it was woken late by is told to the cores, before anything
// that has come since.
//
// The clock is CLOCK_MONOTONIC, which stands still while the machine is suspended.
const (
	// heartbeat is how often the loop looks at the clock while it waits for a worker: so much of a pause may go unnoticed.
	heartbeat = time.Second
	// lateness is by how much later than asked for a loop is woken on a machine that is only busy.
	lateness = 500 * time.Millisecond
)

// alarm is the one timer, and what it is set to.
type alarm struct {
	*time.Timer
	at time.Time // zero: nothing is due
}

// set arms it for at; zero: it is stopped.
func (a *alarm) set(at, now time.Time) {
	a.at = at
	if at.IsZero() {
		a.Stop()
		return
	}
	if at.Before(now) {
		a.at = now
	}
	a.Reset(at.Sub(now))
}

// missed is for how long nobody was there to hear it; 0: hardly.
func (a *alarm) missed(now time.Time) time.Duration {
	if a.at.IsZero() {
		return 0
	}
	if late := now.Sub(a.at); late > lateness {
		return late
	}
	return 0
}

// noticePause is called when the loop was woken, before it does what it was woken for.
func (l *loop) noticePause() {
	late := l.wakeup.missed(time.Now())
	if late == 0 {
		return
	}
	l.wakeup.at = time.Time{}
	l.timerStale = true
	waited := false
	for _, a := range l.apps {
		if a.ended() {
			continue
		}
		waited = waited || a.pool.Waits()
		l.step(a, pool.Paused{For: late})
	}
	l.order(orders.Paused{For: late})
	if waited {
		l.logs.Info().Dur("late_ms", late).Msg("this process has not run for a while: nobody is judged by that time")
	}
}
