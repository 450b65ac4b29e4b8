package supervisor

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/civil"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
)

// cronLook is the longest that the loop sleeps while an app has a schedule. A timer
// stands still while the machine is suspended, and the clock may be set: a schedule
// is of the wall clock, so that is looked at again.
const cronLook = time.Minute

// newSchedule follows [App.CronRestart]; nil: never.
func newSchedule(text string, now time.Time) (*civil.Clock, error) {
	if text == "" {
		return nil, nil
	}
	s, err := config.ParseSchedule(text)
	if err != nil {
		return nil, err
	}
	return civil.NewClock(s, now), nil
}

// setSchedule takes an app's schedule from its config, and goes on with the last
// master's: a time that came between the two is due now.
func (l *loop) setSchedule(a *app) {
	l.timerStale = true
	due := a.dueAt
	a.dueAt = time.Time{}
	if a.schedule != nil && a.schedule.Schedule().String() == a.config.CronRestart {
		return
	}
	var err error
	if a.schedule, err = newSchedule(a.config.CronRestart, time.Now()); err != nil {
		l.logs.Error().Str("app", a.name).Err(err).Msg("no cron restarts") // Validate lets none such pass
	}
	if a.schedule != nil {
		a.schedule.Resume(due)
	}
}

// nextRun is when a's schedule is due, if that counts now; zero: at no time.
func (a *app) nextRun() time.Time {
	if !a.scheduled() {
		return time.Time{}
	}
	return a.schedule.Next()
}

// scheduled says whether a's schedule counts now.
func (a *app) scheduled() bool {
	return a.schedule != nil && !a.waiting && (!a.ended || a.comesAgain())
}

// nextCron is when the loop must look at the schedules; zero: there are none.
func (l *loop) nextCron(now time.Time) (next time.Time) {
	if l.stopping {
		return next
	}
	for _, a := range l.apps {
		if !a.scheduled() {
			continue
		}
		if at := now.Add(a.schedule.Wait(now, cronLook)); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// runCron restarts the apps whose time has come.
func (l *loop) runCron(now time.Time) {
	if l.stopping {
		return
	}
	for _, a := range append([]*app(nil), l.apps...) {
		if a.scheduled() && a.schedule.Due(now) {
			l.changed(a)
			l.saveChanged() // that it was due: the next master does not run it again
			reason := "cron: " + a.schedule.Schedule().String()
			l.event(a, zerolog.InfoLevel, control.Event{Kind: "cron", Reason: reason, Message: "app " + a.name + " is restarted: " + reason})
			l.renew(a, reason)
		}
	}
}
