package keeper

import (
	"fmt"
	"slices"
	"time"
)

func (c *core) ended(pid int, st status) {
	i := c.find(pid)
	if i < 0 {
		return
	}
	m := c.masters[i]
	inCharge := m == c.charge
	c.masters = slices.Delete(c.masters, i, i+1)
	if inCharge {
		c.charge = nil
	}
	switch {
	case c.phase == ending: // what it had started is ours now
		c.emit(endOrphans{kill: c.killed})
	case !inCharge:
		c.sayCalmly("former master %d has ended: %s", pid, st)
	case m.ready && c.inOrder(m, st) && !c.makesRoom(m): // the service has ended, also if a master before it has not yet
		c.finish(m, st)
	case c.fallBack(m, st):
	case c.lostInStop(m, st):
		c.again = true
		c.startAt = c.now
		c.say("master %d has crashed before it could stop: %s; starting another to end what is left", m.pid, st)
	case c.phase == stopping || m.stopping && !c.makesRoom(m) || !c.served && st.signal == 0:
		c.finish(m, st)
	default:
		c.crashed(m, st)
	}
}

// fallBack gives the charge back to the master before: the upgrade has failed, and it has lost nothing. One that is on its
// way out cannot take it. Where the new one was ready it may turn out that this is one.
func (c *core) fallBack(m *master, st status) bool {
	for i := len(c.masters) - 1; i >= 0; i-- {
		if c.masters[i].stopping {
			continue
		}
		c.takeCharge(i)
		c.charge.leaving = m.ready
		c.say("master %d has ended: %s; %d is in charge again", m.pid, st, c.charge.pid)
		c.passStop()
		return true
	}
	return false
}

// lostInStop reports whether master m crashed after a stop was requested but before it began to stop. Then a new master is
// started, once, to stop the workers: the keeper cannot write down what the workers say. If m had begun to stop, a new master
// would crash in the same way, so none is started.
func (c *core) lostInStop(m *master, st status) bool {
	return c.phase == stopping && c.served && st.exitCode() != 0 && !m.stopping && !m.aborted && !m.forced && !c.again
}

// inOrder reports whether a master has ended as a master does that has ended its workers first.
func (c *core) inOrder(m *master, st status) bool {
	return st.signal == 0 && !m.aborted && (m.stopping || c.phase == stopping && st.code == 0)
}

// makesRoom reports whether the end of a master is for the one that it has handed over to, and not that of the service.
func (c *core) makesRoom(m *master) bool { return m.leaving && c.phase == serving }

// finish ends the keeper as the master did. What may be left is ended first: workers, where that was not in order, and a
// master that was on its way out.
func (c *core) finish(m *master, st status) {
	switch {
	case !c.inOrder(m, st):
		c.say("master %d has ended: %s", m.pid, st)
		c.end(st.exitCode())
	case len(c.masters) > 0 || m.leaving: // which has perhaps left them to another
		c.end(st.exitCode())
	default:
		c.exit(st.exitCode())
	}
}

// crashed: it should be there and is not.
func (c *core) crashed(m *master, st status) {
	up := c.now.Sub(m.since)
	if up >= forgetting {
		c.failures = 0
	}
	if wordless(m, st) {
		c.silent++
	}
	c.failures++
	what := fmt.Sprintf("master %d has crashed after %s: %s", m.pid, up.Round(time.Millisecond), st)
	if !c.served && c.failures >= giveUp {
		c.say("%s; giving up after %d starts, as no master was ever ready", what, c.failures)
		c.end(st.exitCode())
		return
	}
	c.wait(what)
}

// wait has another master started, the later the more have failed in a row.
func (c *core) wait(what string) {
	c.failure = what
	delay := delay(c.failures)
	c.startAt = c.now.Add(delay)
	if delay > 0 {
		c.say("%s; starting another in %s", what, delay)
	} else {
		c.say("%s; starting another", what)
	}
	// What watches the keeper need not know of it as long as it gets better.
	c.emit(tell{"STATUS=" + printable(what) + "\nWATCHDOG=1\n"})
}

// delay is how long to wait after so many failures in a row.
func delay(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	d := firstDelay
	for i := 2; i < failures && d < maxDelay; i++ {
		d *= 2
	}
	return min(d, maxDelay)
}

// end ends what has lost its master, and then the keeper.
func (c *core) end(code int) {
	c.phase, c.code, c.startAt = ending, code, time.Time{}
	c.endBy = c.now.Add(c.stopTimeout)
	c.emit(endOrphans{})
}

func (c *core) kill(why string) {
	if !c.killed {
		c.say("killing what has lost its master: %s", why)
	}
	c.killed = true
	c.endBy = c.now.Add(killGrace)
	c.emit(endOrphans{kill: true})
}

func (c *core) exit(code int) {
	c.phase, c.startAt, c.endBy = done, time.Time{}, time.Time{}
	c.emit(exit{code})
}
