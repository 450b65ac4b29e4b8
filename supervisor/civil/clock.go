package civil

import "time"

// setBack is how far a clock that is set back by hand may go for what has been due to be not due again: Vixie's bound,
// above which the clock was wrong before. A wild schedule follows the clock, but not over what NTP corrects.
const (
	setBack     = 3 * time.Hour
	setBackWild = time.Minute
)

// Clock follows one schedule by a wall clock that may be set at any time. What was missed, by a suspend or a clock set
// forward, is due once. It is for use by one goroutine.
type Clock struct {
	schedule *Schedule
	next     time.Time // when it is due; zero: never
	seen     time.Time // the latest that the wall clock has shown
}

// NewClock is due for the first time after now.
func NewClock(s *Schedule, now time.Time) *Clock {
	now = now.Round(0)
	return &Clock{schedule: s, next: s.Next(now), seen: now}
}

// Resume makes the clock due at a time that was saved, if that is not after the time at which it would be due next: the
// time may be past, and then it is due at once.
func (c *Clock) Resume(next time.Time) {
	if next = next.Round(0); !next.IsZero() && (c.next.IsZero() || next.Before(c.next)) {
		c.next = next.In(c.schedule.zone)
	}
}

// Schedule is the one that it follows.
func (c *Clock) Schedule() *Schedule { return c.schedule }

// Next is when it is due; zero: never.
func (c *Clock) Next() time.Time { return c.next }

// Due reports whether a time has come since it was asked last.
func (c *Clock) Due(now time.Time) bool {
	now = now.Round(0)
	if back := c.seen.Sub(now); back > 0 {
		bound := setBack
		if c.schedule.wild {
			bound = setBackWild
		}
		switch {
		case c.schedule.every > 0:
			c.next = c.next.Add(-back) // what is left of the interval stays
		case back <= bound:
			return false // what is named between the two has been due
		default:
			c.next = c.schedule.Next(now)
		}
	}
	c.seen = now
	if c.next.IsZero() || c.next.After(now) {
		return false
	}
	c.next = c.schedule.Next(now)
	return true
}

// Wait is how long until it is due by a clock that is not set; most bounds it, also where it never is.
func (c *Clock) Wait(now time.Time, most time.Duration) time.Duration {
	if c.next.IsZero() {
		return most
	}
	return min(max(c.next.Sub(now.Round(0)), 0), most)
}
