package master

import (
	"time"

	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/wake"
)

// The loop judges no worker by time in which the loop itself has not run. The machine, the VM or the container may have been stopped,
// and the workers with it; or the master alone, while the workers' frames wait in the loop's inbox. So as long as a worker has a
// deadline, the loop wakes often, and tells the cores how late it was woken, before anything that has arrived since.

// noticePause runs when the loop is woken, before the loop acts on what woke it.
func (l *loop) noticePause() {
	late := l.wakeup.Late(time.Now())
	if late == 0 {
		return
	}
	l.timerStale = true
	waited := false
	for _, a := range l.apps {
		if a.Ended() {
			continue
		}
		waited = waited || a.Pool.Waits()
		l.step(a, pool.Paused{For: late})
	}
	l.desk.Paused(late)
	if waited {
		l.logs.Info().Dur("late_ms", late).Msg("this process has not run for a while: nobody is judged by that time")
	}
}

// setTimer arms the one timer for the earliest deadline of all cores.
func (l *loop) setTimer() {
	l.timerStale = false
	now := time.Now()
	next := wake.Earliest(l.crew.Deadline(now), l.agenda.Next(), l.values.Deadline(), l.state.Deadline(), l.report.Next(), l.desk.Deadline(),
		l.estate.Deadline(), l.picture.Deadline())
	for _, a := range l.apps {
		d := a.Deadline
		if a.Waits && d.After(now.Add(wake.Heartbeat)) {
			d = now.Add(wake.Heartbeat)
		}
		next = wake.Earliest(next, d)
	}
	l.wakeup.Set(next, now)
}

// later has the loop act on m after a time.
func (l *loop) later(d time.Duration, m message) {
	l.agenda.Put(time.Now().Add(d), m)
	l.timerStale = true
}

// doLater acts on what is due.
func (l *loop) doLater(now time.Time) {
	for {
		m, due := l.agenda.Take(now)
		if !due {
			return
		}
		m.apply(l)
	}
}
