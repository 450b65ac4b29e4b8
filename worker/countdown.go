package worker

import "time"

// countdown measures the first phase of a drain in time in which this process has really run.
//
// What clients sent while it was stopped, frozen with its container or starved of CPU is still unread when it goes on.
// Were the phase simply over by then, the second would close those connections as idle ones, with the requests in them.
// So time in which the process stood still does not count, and when it goes on there is always a moment left to read.
//
// It is bounded: no more is forgiven than the phase is long.
//
// The end of the drain, at which requests are cut, is measured so too, more coarsely: what was stopped for its last seconds
// has had no time to finish them.
type countdown struct {
	left   time.Duration // until the phase is over
	credit time.Duration // still to be forgiven
	moment time.Duration // what is left at least after a standstill
	tick   time.Duration // how often it looks at the clock
	late   time.Duration // how much later than asked for a process that runs is never woken
}

const (
	tick       = 20 * time.Millisecond
	standstill = 20 * time.Millisecond

	longTick       = 500 * time.Millisecond
	longStandstill = 250 * time.Millisecond // a machine that is only busy is to prolong no drain
)

func newCountdown(d time.Duration) countdown {
	return countdown{left: d, credit: d, moment: min(d, tick), tick: tick, late: standstill}
}

// newLongCountdown is for times of many seconds, in which a few ms do not count.
func newLongCountdown(d time.Duration) countdown {
	return countdown{left: d, credit: d, moment: min(d, longTick), tick: longTick, late: longStandstill}
}

// ask is how long to wait next; 0 when the phase is over.
func (c *countdown) ask() time.Duration { return min(max(c.left, 0), c.tick) }

// waited tells how long the wait has taken in fact.
func (c *countdown) waited(asked, took time.Duration) {
	if took-asked <= c.late || c.credit <= 0 {
		c.left -= took
		return
	}
	c.credit -= asked
	c.left = max(c.left, c.moment)
}

// count calls over when the countdown is, unless stop closes first.
func (c countdown) count(stop <-chan struct{}, over func()) {
	t := time.NewTimer(0)
	defer t.Stop()
	for asked := c.ask(); asked > 0; asked = c.ask() {
		began := time.Now()
		t.Reset(asked)
		select {
		case <-t.C:
		case <-stop:
			return
		}
		c.waited(asked, time.Since(began))
	}
	over()
}
