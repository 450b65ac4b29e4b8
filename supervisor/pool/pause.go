package pool

import "slices"

// paused takes the time in which nothing ran out of the waits for a worker: the machine, its container or the shell was stopped,
// and the workers most likely too. A worker is not late for what it did not do meanwhile.
//
// Times that are not waits for an answer go on: a backoff, a maximum age, the time in which failures are forgotten. So does a
// stop with an end (Hurry), because its clock is outside and has not stood still.
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
