package keeper

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Constants of the core, not options. If one of them does not fit, report it.
const (
	firstDelay = 100 * time.Millisecond // before the second start in a row; doubles
	maxDelay   = 5 * time.Second
	// forgetting is how long a master must have been up not to have failed in a row. It is short: to be without a master
	// costs more than one start in so long.
	forgetting = 500 * time.Millisecond
	giveUp     = 5               // starts in a row, where no master was ever ready
	abortGrace = 5 * time.Second // from SIGABRT to SIGKILL, for a master that missed its watchdog
	killGrace  = 2 * time.Second // from SIGKILL of the orphans to the end without them
	// silence is how long a master may have been up without a word before it is told to stop all the same. Whoever waits for
	// the stop may kill all of us after ten seconds.
	silence    = 5 * time.Second
	maxMasters = 8  // alive at the same time: one is usual, two in an upgrade
	maxHeld    = 64 // signals: each once
)

type phase uint8

const (
	serving  phase = iota // there is a master, or one will be started
	stopping              // told to stop: the master ends, and is not started again
	ending                // no master; the orphans are being ended
	done                  // exit was given
)

// master is a process that is or was in charge, as long as it lives.
type master struct {
	pid      int
	command  string    // its program, where an upgrade has named one; empty: what the keeper was started with
	since    time.Time // it was started, or announced
	spoke    bool      // so it has set up its signal handlers: see core.signal
	forced   bool      // told to stop without having said a word
	ready    bool
	stopping bool           // said so itself
	leaving  bool           // it has perhaps heard that the next one is ready, which has crashed since
	told     syscall.Signal // to stop, or held for it: a second time would mean at once; 0: not yet
	aborted  bool           // by its watchdog, or killed for it
	watchdog time.Duration
	fed      time.Time // zero: the watchdog does not run yet
	suspect  bool      // it has its last chance to give a sign of life: see patience.go
	killAt   time.Time // zero: never
}

// core decides everything about the masters, and does nothing itself. It has no clock, no lock and no goroutine: one loop
// feeds it events and carries out the effects.
type core struct {
	watchdog          time.Duration // 0: none
	stopTimeout       time.Duration
	program, fallback string // Options.Command and Fallback: see programs.go

	now       time.Time // of the step under way
	phase     phase
	masters   []*master        // alive, in the order in which they took charge
	charge    *master          // of masters; nil: none is in charge, as the others are on their way out
	begun     bool             // some master was started, or this process was one
	served    bool             // some master was ready once
	failures  int              // in a row
	failure   string           // the last of them
	silent    int              // masters in a row that have ended by themselves without a word
	startAt   time.Time        // zero: no start is due
	command   string           // of the master that was in charge last: what the next one is started from first
	held      []syscall.Signal // for the master in charge, once it has said a word
	heldSince time.Time        // that master has had the time since then to say it
	stop      syscall.Signal   // what the keeper was last told to stop with
	again     bool             // a master was started for the stop
	code      int              // of the end
	endBy     time.Time        // of the ending, or of the killing
	anew      int              // how often that had its time anew
	killed    bool             // the orphans were

	effects []effect
}

// step takes in one event and returns what to do about it, in order. After exit it returns nothing.
func (c *core) step(now time.Time, ev event) []effect {
	if c.phase == done {
		return nil
	}
	c.notice(now)
	c.now = now
	switch ev := ev.(type) {
	case begin:
		c.startAt = now
	case tick:
		c.expire()
	case started:
		c.begun = true
		c.masters = append(c.masters, &master{pid: ev.pid, command: c.command, since: now, watchdog: c.watchdog})
		c.takeCharge(len(c.masters) - 1)
		c.passStop()
	case startFailed:
		c.startFailed(ev.program, ev.err)
	case announced:
		c.announced(ev.pid, ev.command)
	case heard:
		c.heard(ev.pid, ev.by, ev.m)
	case ended:
		c.ended(ev.pid, ev.status)
	case signalled:
		c.signal(ev.signal)
	case orphaned:
		if c.phase == ending { // what those that ended had started is ours now
			c.emit(endOrphans{kill: c.killed})
		}
	case childless:
		if c.phase == ending {
			c.exit(c.code)
		}
	}
	if c.due(c.startAt) {
		c.startAt = time.Time{}
		c.emit(start{c.choose()})
	}
	effects := c.effects
	c.effects = nil
	return effects
}

// deadline is when the core wants a tick. Zero: not before something happens.
func (c *core) deadline() time.Time {
	var first time.Time
	for _, t := range append(c.alarms(), c.startAt, c.endBy) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// alarms are the times at which the master in charge has to be dealt with.
func (c *core) alarms() []time.Time {
	m := c.charge
	if m == nil {
		return nil
	}
	times := []time.Time{m.killAt, m.silentAt()}
	if c.phase == stopping && len(c.held) > 0 {
		times = append(times, c.heldSince.Add(silence))
	}
	return times
}

func (c *core) due(t time.Time) bool { return c.phase != done && !t.IsZero() && !c.now.Before(t) }

// expire does what the time has brought, when all that has come before was read.
func (c *core) expire() {
	if m := c.charge; m != nil {
		if c.due(m.silentAt()) {
			if m.suspect {
				c.abort(m, fmt.Sprintf("has not said for %s that it is alive", m.watchdog))
			}
			m.suspect = true
		}
		if c.due(m.killAt) {
			m.killAt = time.Time{}
			c.say("master %d is still there %s after SIGABRT: killing it", m.pid, abortGrace)
			c.emit(send{m.pid, syscall.SIGKILL})
		}
		c.deliver()
	}
	if c.due(c.endBy) {
		if c.killed {
			c.say("some processes outlive even SIGKILL: ending without them")
			c.exit(c.code)
			return
		}
		c.kill("they have not ended within " + c.stopTimeout.String())
	}
}

func (c *core) emit(e effect) { c.effects = append(c.effects, e) }

func (c *core) say(format string, args ...any) { c.emit(say{text: fmt.Sprintf(format, args...)}) }

func (c *core) sayCalmly(format string, args ...any) {
	c.emit(say{text: fmt.Sprintf(format, args...), calm: true})
}

func (c *core) find(pid int) int {
	return slices.IndexFunc(c.masters, func(m *master) bool { return m.pid == pid })
}

// takeCharge makes the master at i the one that is followed.
func (c *core) takeCharge(i int) {
	m := c.masters[i]
	c.masters = append(slices.Delete(c.masters, i, i+1), m)
	c.charge, c.command, c.heldSince = m, m.command, m.since
	c.startAt = time.Time{} // no master has to be started any more
	if !m.fed.IsZero() {
		m.fed, m.suspect = c.now, false // it was not watched meanwhile
	}
}

// announced: pid is the master from now on. The shell has seen that it may be. An empty command says nothing.
func (c *core) announced(pid int, command string) {
	if c.phase == ending {
		return
	}
	i := c.find(pid)
	if i < 0 {
		c.masters = append(c.masters, &master{pid: pid, since: c.now, watchdog: c.watchdog})
		i = len(c.masters) - 1
	}
	m := c.masters[i]
	if command != "" {
		m.command = command
	}
	if m == c.charge {
		c.command = m.command
		return
	}
	c.takeCharge(i)
	c.sayCalmly("master is now %d", pid)
	c.passStop()
}

// passStop tells a master that has come to be in charge of a stop that has begun without it. What was held for the one
// before it gets too, but nothing twice.
func (c *core) passStop() {
	if m := c.charge; c.phase == stopping {
		c.held = slices.DeleteFunc(c.held, func(s syscall.Signal) bool { return s == m.told })
		if m.told == 0 {
			m.told = c.stop
			c.hold(c.stop)
		}
	}
	c.deliver()
}

// hold keeps a signal for the master in charge, or the next one.
func (c *core) hold(s syscall.Signal) {
	if len(c.held) < maxHeld && !slices.Contains(c.held, s) {
		c.held = append(c.held, s)
	}
}

// deliver sends the signals that were held, if there is now a master that can take them, or has to.
func (c *core) deliver() {
	m := c.charge
	if m != nil && !m.spoke && !m.forced && c.phase == stopping && len(c.held) > 0 && c.due(c.heldSince.Add(silence)) {
		c.say("master %d has not said a word for %s: telling it to stop all the same", m.pid, c.now.Sub(m.since).Round(time.Millisecond))
		m.forced = true
	}
	if m != nil && (m.spoke || m.forced) {
		for _, s := range c.held {
			c.emit(send{m.pid, s})
		}
		c.held = nil
	}
}

func (c *core) heard(pid, by int, said message) {
	i := c.find(pid)
	if i < 0 {
		return
	}
	m := c.masters[i]
	if by == pid {
		m.spoke, c.silent = true, 0
	}
	if said.ready {
		m.leaving = false // it goes on
	}
	m.stopping = m.stopping || said.stopping
	if said.watchdog > 0 {
		m.watchdog = said.watchdog
	}
	if said.feed || said.ready && m.fed.IsZero() {
		m.fed, m.suspect = c.now, false
	}
	if said.ready && !m.ready {
		m.ready, c.served = true, true
		c.sayCalmly("master %d is ready after %s", pid, c.now.Sub(m.since).Round(time.Millisecond))
	}
	if m != c.charge {
		return
	}
	if said.trigger && !m.aborted {
		c.abort(m, "asks to be treated as hung")
	}
	c.deliver()
	if c.makesRoom(m) {
		said.stopping = false // it makes room for a master that has gone: the service goes on
	}
	if up := upward(said); up != "" {
		c.emit(tell{up})
	}
}

// upward returns the lines of a notification that are passed on to systemd, or what else supervises the keeper: the service, but not which of the processes
// below it is the master, nor its files.
func upward(m message) string {
	var text string
	add := func(yes bool, line string) {
		if yes {
			text += line + "\n"
		}
	}
	add(m.ready, "READY=1")
	add(m.reloading, "RELOADING=1")
	add(m.reloading && m.monotonic != "", "MONOTONIC_USEC="+m.monotonic)
	add(m.stopping, "STOPPING=1")
	add(m.status != "", "STATUS="+m.status)
	add(m.feed, "WATCHDOG=1")
	return text
}

// abort has a hung master tell where it hangs: a Go program prints its goroutines on SIGABRT. SIGCONT, because one that
// is suspended would otherwise not even do that.
func (c *core) abort(m *master, why string) {
	m.aborted = true
	m.killAt = c.now.Add(abortGrace)
	c.say("master %d %s: aborting it", m.pid, why)
	c.emit(send{m.pid, syscall.SIGABRT})
	c.emit(send{m.pid, syscall.SIGCONT})
}

// signal passes one on, or holds it. A process that has only just been started would die of it, so it waits until the master
// has said its first word: what tells it to stop too, as it is the one that ends its workers in order and takes down what they
// say last. A stop makes what else is held pointless. It does not wait for ever: see silence.
func (c *core) signal(s syscall.Signal) {
	m := c.charge
	switch {
	case c.phase == ending:
		if stops(s) {
			c.kill("told to stop once more")
		}
		return
	case c.phase == stopping && !stops(s) && (m == nil || !m.spoke):
		return
	case !stops(s):
	case m != nil:
		if c.phase == serving {
			c.held = nil
		}
		c.phase, c.stop = stopping, s
		if m.told == s {
			s = other(s)
		} else if m.told == 0 {
			m.told = s
		}
	default:
		c.sayCalmly("told to stop (signal %s) while no master lives", s)
		c.end(0)
		return
	}
	c.hold(s)
	c.deliver()
}

// other is what a stop signal is passed on as when the master has had it from here already. The same one a second time might be
// one that was sent to the keeper and to the master, as by kill $(pidof tine).
func other(s syscall.Signal) syscall.Signal {
	if s == syscall.SIGTERM {
		return syscall.SIGINT
	}
	return syscall.SIGTERM
}

func stops(s syscall.Signal) bool {
	return s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT
}

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
