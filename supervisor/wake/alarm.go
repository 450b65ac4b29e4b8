package wake

import "time"

// lateness is how much later than it asked a loop may be woken on a machine that is only busy.
const lateness = 500 * time.Millisecond

// Alarm is a timer that knows what it is set to.
//
// The clock is CLOCK_MONOTONIC, which stands still while the machine is suspended.
type Alarm struct {
	timer *time.Timer
	at    time.Time // zero: nothing is due
}

// NewAlarm is an Alarm that is set to nothing.
func NewAlarm() *Alarm {
	a := &Alarm{timer: time.NewTimer(time.Hour)}
	a.timer.Stop()
	return a
}

// C has a value when the time has come.
func (a *Alarm) C() <-chan time.Time { return a.timer.C }

// Stop ends the timer.
func (a *Alarm) Stop() { a.timer.Stop() }

// Set has C get a value at a time instead of that of the Set before. A time in the past is now; the zero time is none.
func (a *Alarm) Set(at, now time.Time) {
	a.at = at
	if at.IsZero() {
		a.timer.Stop()
		return
	}
	if at.Before(now) {
		a.at = now
	}
	a.timer.Reset(at.Sub(now))
}

// Late is how long after the time that was set it is: 0 unless it is so much that the process has not run meanwhile. What is late is
// reported once: until the next Set, Late is 0.
func (a *Alarm) Late(now time.Time) time.Duration {
	if a.at.IsZero() {
		return 0
	}
	late := now.Sub(a.at)
	if late <= lateness {
		return 0
	}
	a.at = time.Time{}
	return late
}

// Earliest is the first of some times, of which zero ones do not count; zero: there is none.
func Earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
