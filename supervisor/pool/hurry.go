package pool

import "time"

// What a Hurry leaves of the time that it has.
const (
	reserve  = 500 * time.Millisecond // after the last SIGKILL, for what the shell does at its end; a quarter at most
	least    = 10 * time.Millisecond  // that anything gets for which no time is left
	lastWait = reserve / 2            // from the last SIGKILL to giving a process up for lost
)

// Within returns what a worker may take to drain so that it, and the SIGTERM and SIGKILL after that, are over in d. What fits
// stays as it is. Else the delay and the time from SIGTERM to SIGKILL get at most a quarter each, and the requests in flight the
// rest; a quarter of d, at most 500 ms, is left for the end.
func (c Config) Within(d time.Duration) (delay, timeout time.Duration) {
	budget := max(d-min(reserve, d/4), 0)
	delay = min(c.DrainDelay, budget/4)
	timeout = min(c.DrainTimeout, budget-delay-min(c.KillAfter, budget/4))
	return delay, max(timeout, least)
}

// hurry notes until when the app must have ended. The earliest counts.
func (p *Pool) hurry(within time.Duration) {
	within = min(max(within, 0), century)
	killBy := p.now.Add(within - min(reserve, within/4))
	if !p.killBy.IsZero() && !killBy.Before(p.killBy) {
		return
	}
	p.endBy, p.killBy = p.now.Add(within), killBy
	if p.phase == stopping || p.phase == killing {
		p.shorten()
	}
}

// shorten bounds the waits of those who are on their way out when a stop becomes one with an end.
func (p *Pool) shorten() {
	if p.killBy.IsZero() {
		return
	}
	delay, timeout := p.drainTimes()
	for _, s := range append(p.slots[:len(p.slots):len(p.slots)], p.standbys) {
		for _, w := range s.workers {
			switch w.state {
			case StateDraining:
				if due := p.now.Add(delay + timeout); due.Before(w.due) {
					w.due = due
					p.drainSooner(w, delay, timeout)
				}
			case StateKilling:
				w.due = earlier(w.due, p.escalateAt(w.owed))
			case StateStarting, StateStandby, StateReady, StateGone, StateNone:
				// reconcile sends them away, in the time that there is.
			}
		}
	}
}

// drainSooner tells a worker of its new limits. One that left of its own accord has none but its own.
func (p *Pool) drainSooner(w *worker, delay, timeout time.Duration) {
	if w.told == nil || p.phase == killing {
		return
	}
	w.told.Delay, w.told.Timeout = min(w.told.Delay, delay), timeout
	d := *w.told
	d.Again = true
	d.Handover = d.Handover && w.slot.ready() != nil
	p.emit(d)
}

// drainTimes are those of a worker that is told to drain now.
func (p *Pool) drainTimes() (delay, timeout time.Duration) {
	if p.phase != stopping || p.endBy.IsZero() {
		return p.cfg.DrainDelay, p.cfg.DrainTimeout
	}
	return p.cfg.Within(p.endBy.Sub(p.now))
}

// escalateAt is when a worker that gets this signal now, and lives on, is dealt with in the next way.
func (p *Pool) escalateAt(s signal) time.Time {
	at := p.now.Add(p.cfg.KillAfter)
	if p.killBy.IsZero() || p.phase != stopping && p.phase != killing {
		return at
	}
	last := p.killBy
	if s == sigKill {
		last = later(last, p.now).Add(lastWait)
	}
	return later(earlier(at, last), p.now.Add(least))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
