package pool

import "slices"

// paused takes time out of the waits for a worker in which nothing ran: the machine, its container or the shell was stopped, and
// as far as anybody can tell the workers were too. What they did not do meanwhile is no fault of theirs.
//
// What is no wait for an answer goes on: a backoff, a maximum age, the time in which failures are forgotten. So does a stop
// with an end (Hurry), because its clock is outside and has not stood still.
func (p *Pool) paused(ev Paused) {
	d := min(max(ev.For, 0), century)
	bounded := !p.killBy.IsZero() && (p.phase == stopping || p.phase == killing)
	for _, s := range append(p.slots[:len(p.slots):len(p.slots)], p.standbys) {
		for _, w := range s.workers {
			if w.stalled() {
				w.stalledAt = earlier(later(w.stalledAt, w.since).Add(d), p.now)
			}
			if !w.due.IsZero() && !bounded {
				w.due = w.due.Add(d)
			}
		}
	}
}

// Waits reports whether some worker has a time to do something in: the loop looks at the clock often then, so that
// it notices a pause.
func (p *Pool) Waits() bool {
	if p.adopting { // no Step has looked at the slots yet
		return p.standbys.waits() || slices.ContainsFunc(p.slots, (*slot).waits)
	}
	return p.standbys.waits() || slices.ContainsFunc(p.focus.flags, func(f byte) bool { return f&waits != 0 })
}

func (s *slot) waits() bool {
	return slices.ContainsFunc(s.workers, func(w *worker) bool { return !w.due.IsZero() || w.stalled() })
}
