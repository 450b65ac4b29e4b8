package supervisor

import (
	"time"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
)

// A one-shot app is any program that does its work and ends. It need not know of the
// channel and never has to be ready: until it has ended its worker is starting, for as
// long as it likes. Code 0 finishes it; anything else is a failed start, and is tried
// again as Restart and StartLimit say. Nothing of it is rolled: a reload by name, a
// change of a watched file and a time of CronRestart run it again from the start.

// runAgain starts a one-shot app anew, unless it runs.
func (l *loop) runAgain(a *app, reason string) {
	switch state := a.state(); {
	case l.stopping || a.next != 0:
	case state == control.AppFinished || state == control.AppGaveUp || a.awaitsTime():
		l.orderOwn(a, reason)
	default:
		l.logs.Warn().Str("app", a.name).Str("reason", reason).Str("state", state).Msg("one-shot app not run again: it has not ended")
	}
}

// leaveOut ends a one-shot app before it was run: its first time is still to come.
func (l *loop) leaveOut(a *app) {
	l.setSchedule(a)
	l.setFileWatch(a)
	e := l.logs.Info().Str("app", a.name)
	if a.schedule != nil {
		e = e.Time("next_run", a.schedule.Next())
	}
	e.Msg("one-shot app not run at the start")
	l.step(a, pool.Stop{Reason: "not run at the start"})
}

// awaitsTime says whether a was left out at the start, and was not run since.
func (a *app) awaitsTime() bool {
	return a.config.NotAtStart && a.ended && !a.halted && !a.leaving && a.code == 0 && a.history.lastID == 0
}

// comesAgain says whether an app that has ended will be started by itself.
func (a *app) comesAgain() bool {
	return a.config.OneShot && !a.leaving && !a.halted && (a.schedule != nil || a.files != nil)
}

// deaf says whether a worker is a program that knows nothing of its channel, and may
// leave it unread or close it.
func (m *member) deaf() bool { return m.app.config.OneShot && !m.greeting }

// canRoll says whether a rollout means something for the app now.
func (a *app) canRoll() bool { return !a.waiting && !a.leaving && !a.config.OneShot }

// renew replaces what an app runs, because of the time or of a file.
func (l *loop) renew(a *app, reason string) {
	switch {
	case a.config.OneShot:
		l.runAgain(a, reason)
	case a.canRoll() && !a.ended:
		l.step(a, pool.Roll{Reason: reason})
	}
}

// patience is what an order for a may take: what a may, and what those may that it
// waits for.
func (l *loop) patience(a *app) time.Duration {
	if a.config.OneShot {
		return config.OneShotTime
	}
	c := a.config
	c.ReadyTimeout = c.StartTimeout()
	most := patience(c)
	for name := range c.DependsOn {
		if d := l.listed(name); d != nil && d != a && !d.everReady {
			most = max(most, patience(c)+l.patience(d))
		}
	}
	return most
}
