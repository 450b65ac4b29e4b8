package master

import (
	"time"

	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
)

// The loop judges no worker by time in which the loop itself has not run. The machine, the VM or the container may have been stopped,
// and the workers with it; or the master alone, while the workers' frames wait in the loop's inbox. So as long as a worker has a
// deadline, the loop wakes often, and tells the cores how late it was woken, before anything that has arrived since.
//
// The clock is CLOCK_MONOTONIC, which stands still while the machine is suspended.
const (
	// heartbeat is how often the loop looks at the clock while it waits for a worker. A shorter pause may go unnoticed.
	heartbeat = time.Second
	// lateness is how much later than it asked the loop may be woken on a machine that is only busy.
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

// missed is how late the loop was woken; 0: not by more than lateness.
func (a *alarm) missed(now time.Time) time.Duration {
	if a.at.IsZero() {
		return 0
	}
	if late := now.Sub(a.at); late > lateness {
		return late
	}
	return 0
}

// noticePause runs when the loop is woken, before the loop acts on what woke it.
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
