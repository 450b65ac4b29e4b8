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
	// silence is how long a master may have been up without a word before it is told to stop all the same. The process that
	// asked for the stop, such as Docker, may kill all of us after ten seconds.
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
