package worker

import "time"

// countdown measures the first phase of a drain in time in which this process has really run.
//
// What clients sent while it was stopped, frozen with its container or starved of CPU is still unread when it goes on.
// Were the phase simply over by then, the second would close those connections as idle ones, with the requests in them.
// So time in which the process stood still does not count, and when it goes on there is always a moment left to read.
//
// It is bounded: no more is forgiven than the phase is long.
type countdown struct {
	left   time.Duration // until the phase is over
	credit time.Duration // still to be forgiven
	moment time.Duration // what is left at least after a standstill
}

const (
	// tick is how often the countdown looks at the clock.
	tick = 20 * time.Millisecond
	// standstill is how much later than asked for a process that runs is never woken.
	standstill = 20 * time.Millisecond
)

func newCountdown(d time.Duration) countdown {
	return countdown{left: d, credit: d, moment: min(d, tick)}
}

// ask is how long to wait next; 0 when the phase is over.
func (c *countdown) ask() time.Duration { return min(max(c.left, 0), tick) }

// waited tells how long the wait has taken in fact.
func (c *countdown) waited(asked, took time.Duration) {
	if took-asked <= standstill || c.credit <= 0 {
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
