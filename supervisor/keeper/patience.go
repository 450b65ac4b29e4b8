package keeper

import "time"

// The keeper judges no process by time in which it has not run itself: after a pause of the whole machine or container (docker
// pause, a freezer, a paused VM) all below it have stood still too, and after one of the keeper alone their signs of life
// wait in its queue. So a tick that comes late gives every master its time anew, and a silent master is aborted in two steps,
// of which the second one begins when the keeper was there on time: a pause that ends just before the deadline leaves it that.
//
// The clock is CLOCK_MONOTONIC, which stands still while the machine is suspended.

// mostAnew is how often what is stopping gets its time anew, so that a stop ends on a machine that is always late too.
const mostAnew = 3

// tolerated is how late a tick may come on a machine that is only busy.
const tolerated = 250 * time.Millisecond

// lastChance is the second step: how much of the watchdog's time a master has to give a sign of life when it has not for long.
func lastChance(watchdog time.Duration) time.Duration { return watchdog / 3 }

func (c *core) tolerance() time.Duration {
	if m := c.charge; m != nil && m.watchdog > 0 {
		return min(tolerated, lastChance(m.watchdog)/2)
	}
	return tolerated
}

// notice sees whether the keeper has not run for a while, before anything that came meanwhile is judged.
func (c *core) notice(now time.Time) {
	at := c.deadline()
	if at.IsZero() || now.Sub(at) <= c.tolerance() {
		return
	}
	waits := false
	restart := func(t *time.Time, d time.Duration) {
		if !t.IsZero() {
			*t, waits = now.Add(d), true
		}
	}
	for _, m := range c.masters {
		m.suspect = false
		if m.watchdog > 0 {
			restart(&m.fed, 0)
		}
		restart(&m.killAt, abortGrace)
	}
	if c.charge != nil && c.phase == stopping && len(c.held) > 0 {
		c.heldSince, waits = now, true
	}
	if !c.endBy.IsZero() && c.anew < mostAnew {
		c.anew++
		if c.killed {
			restart(&c.endBy, killGrace)
		} else {
			restart(&c.endBy, c.stopTimeout)
		}
	}
	if waits {
		c.sayCalmly("the keeper itself has not run for %s or more: all that it waits for has its time anew", now.Sub(at).Round(time.Millisecond))
	}
}

// silentAt is when a master's silence has lasted too long for the step that it is in. Zero: its silence is not watched.
func (m *master) silentAt() time.Time {
	switch {
	case m.watchdog <= 0 || m.fed.IsZero() || m.aborted:
		return time.Time{}
	case m.suspect:
		return m.fed.Add(m.watchdog)
	}
	return m.fed.Add(m.watchdog - lastChance(m.watchdog))
}
