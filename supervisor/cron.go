package supervisor

import (
	"time"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/control"
)

// cronLook is the longest that the loop sleeps while an app has a schedule. A timer
// stands still while the machine is suspended, and the clock may be set: a schedule
// is of the wall clock, so that is looked at again.
const cronLook = time.Minute

// schedule is when an app is restarted, by the wall clock. Times that were missed,
// by a suspend or a clock set forward, are due once.
type schedule struct {
	text string
	spec cron.Schedule
	next time.Time
}

// newSchedule reads [App.CronRestart]; nil: never.
func newSchedule(text string, now time.Time) (*schedule, error) {
	if text == "" {
		return nil, nil
	}
	spec, err := parseSchedule(text)
	if err != nil {
		return nil, err
	}
	s := &schedule{text: text, spec: spec}
	s.next = s.after(now)
	return s, nil
}

// after is the first time after now, without a monotonic reading: it is compared with
// the wall clock.
func (s *schedule) after(now time.Time) time.Time { return s.spec.Next(now.Round(0)) }

// due says whether a time has come since it was asked last.
func (s *schedule) due(now time.Time) bool {
	now = now.Round(0)
	next := s.after(now)
	if s.next.IsZero() || s.next.After(now) {
		if s.next.IsZero() || next.Before(s.next) {
			s.next = next // the clock was set back
		}
		return false
	}
	s.next = next
	return true
}

// wait is how long the loop may sleep.
func (s *schedule) wait(now time.Time) time.Duration {
	if s.next.IsZero() {
		return cronLook
	}
	return min(max(s.next.Sub(now.Round(0)), 0), cronLook)
}

// setSchedule takes an app's schedule from its config.
func (l *loop) setSchedule(a *app) {
	l.timerStale = true
	if a.schedule != nil && a.schedule.text == a.config.CronRestart {
		return
	}
	var err error
	if a.schedule, err = newSchedule(a.config.CronRestart, time.Now()); err != nil {
		l.logs.Error().Str("app", a.name).Err(err).Msg("no cron restarts") // Validate lets none such pass
	}
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
		if at := now.Add(a.schedule.wait(now)); next.IsZero() || at.Before(next) {
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
		if a.scheduled() && a.schedule.due(now) {
			reason := "cron: " + a.schedule.text
			l.event(a, zerolog.InfoLevel, control.Event{Kind: "cron", Reason: reason, Message: "app " + a.name + " is restarted: " + reason})
			l.renew(a, reason)
		}
	}
}
