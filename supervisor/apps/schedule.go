package apps

import (
	"time"

	"github.com/tinehq/tine/supervisor/civil"
	"github.com/tinehq/tine/supervisor/pool"
)

// A one-shot app is any program that does its work and ends. It never has to be ready: until it has ended its worker is starting.
// Code 0 finishes it; anything else is a failed start. Nothing of it is rolled: its schedule and a change of its files run it
// again from the start. What serves is rolled by them.

// clockLook is the longest time between two looks at the schedules. A timer stands still while the machine is suspended, and the
// clock may be set: a schedule is of the wall clock, so that is looked at again.
const clockLook = time.Minute

// setClock takes a run's schedule from its config, and goes on with the last master's: a time that came between the two is due
// now.
func (s *Apps) setClock(r *Run) {
	due := r.due
	r.due = time.Time{}
	switch want := r.spec.Schedule; {
	case want == nil:
		r.clock = nil
	case r.clock == nil || r.clock.Schedule().String() != want.String():
		r.clock = civil.NewClock(want, s.now)
		r.clock.Resume(due)
	}
	r.touch()
}

// watch has the files of a run watched as its config says from now on.
func (s *Apps) watch(r *Run) {
	switch {
	case !r.spec.Watched:
		s.unwatch(r)
	case r.watched || !s.Stopping():
		r.watched = true
		s.emit(Watch{r.id})
	}
}

func (s *Apps) unwatch(r *Run) {
	if r.watched {
		r.watched = false
		s.emit(Unwatch{r.id})
	}
}

// expire does what the time has come for.
func (s *Apps) expire() {
	if s.adopting {
		return
	}
	for _, r := range s.runs {
		s.releaseInTime(r)
	}
	for _, r := range s.runs {
		if !s.Stopping() && r.scheduled() && r.clock.Due(s.now) {
			r.touch()
			s.saveNow = true // that it was due: the next master does not run it again
			reason := "cron: " + r.clock.Schedule().String()
			s.emit(Record{Kind: KindCron, App: r.id, Reason: reason})
			s.renew(r, reason)
		}
	}
	s.goOnStopping()
}

func (s *Apps) filesChanged(r *Run, ev FilesChanged) {
	if !r.watched || r.Leaves() || s.Stopping() {
		return
	}
	reason := "watch: " + ev.What
	s.emit(Record{Kind: KindWatch, App: r.id, Reason: reason})
	s.renew(r, reason)
}

// renew replaces what an app runs, because of the time or of a file.
func (s *Apps) renew(r *Run, reason string) {
	switch {
	case !r.spec.OneShot:
		if r.CanRoll() {
			s.emit(Pool{r.id, pool.Roll{Reason: reason}})
		}
	case r.next != 0:
	case r.state == Finished || r.state == Failed || r.state == Later:
		s.emit(OrderStart{r.id, reason})
	default:
		s.emit(Record{Kind: KindNotAgain, App: r.id, Reason: reason, State: r.Shown()})
	}
}

// Deadline is when a Tick is wanted at the latest; it may be past. Zero: no time is waited for.
func (s *Apps) Deadline() (first time.Time) {
	at := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if s.phase == Unborn || s.phase == Over || s.adopting {
		return first
	}
	for _, r := range s.runs {
		for _, d := range r.hooks.waiting {
			at(d.until)
		}
		for _, d := range r.hooks.inRun {
			at(d.until)
		}
		if !s.Stopping() && r.scheduled() {
			at(s.now.Add(r.clock.Wait(s.now, clockLook)))
		}
	}
	at(s.drainAt)
	if !s.endBy.IsZero() && !s.cut {
		at(s.endBy.Add(-LastMoment))
	}
	return first
}
