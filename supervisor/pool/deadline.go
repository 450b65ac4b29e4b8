package pool

import "time"

var never time.Time

// Deadline is when the pool wants a Tick at the latest: always after the last Step. Zero if it waits for no time, as
// before Start and Restored.
func (p *Pool) Deadline() time.Time {
	if p.phase == idle || p.phase == done || p.adopting {
		return never
	}
	var first time.Time
	at := func(t time.Time) {
		// Only what is still to come: what is past and not done yet waits for something other than time.
		if !t.IsZero() && t.After(p.now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	at(p.requests.until)
	for _, w := range p.standbys.workers {
		at(w.due)
		if p.phase == running && w.stalled() {
			at(p.stallAt(w))
		}
	}
	if p.phase == running {
		at(p.forgetStandbysAt())
		if p.lacksStandby() {
			at(p.standbyAt())
		}
	}
	soonest := int64(noTime)
	for n, due := range p.focus.due {
		if due <= soonest && due != noTime {
			soonest = due
			at(p.slots[n].at)
		}
	}
	return first
}

// lacks: something would be spawned here, were it time.
func (p *Pool) lacks(s *slot) bool {
	w := s.holder()
	return w == nil && s.starting() == nil || w != nil && w.recycle != ""
}

// forgetAt is when the slot's failures are forgotten: it was ready, and without another failure, for long enough.
func (p *Pool) forgetAt(s *slot) time.Time {
	if s.failures == 0 {
		return never
	}
	w := s.holder()
	if w == nil {
		return never
	}
	since := w.readyAt
	if s.failedAt.After(since) {
		since = s.failedAt
	}
	return since.Add(p.cfg.Backoff.Reset)
}

func (p *Pool) passed(t time.Time) bool { return !t.IsZero() && !t.After(p.now) }

// expire takes in the facts that time alone has brought. No wait is zero, so what begins here is not due here.
func (p *Pool) expire() {
	for _, s := range p.focus.slots {
		p.expireWorkers(s)
		if p.passed(p.forgetAt(s)) {
			s.failures = 0
		}
		if p.passed(s.calmAt()) {
			s.hasty = 0
		}
	}
	p.expireWorkers(p.standbys)
	if p.passed(p.requests.until) {
		p.passRequests("its time is over")
	}
	if p.passed(p.forgetStandbysAt()) {
		p.standbys.failures = 0
	}
}

func (p *Pool) expireWorkers(s *slot) {
	for i := 0; i < len(s.workers); {
		w := s.workers[i]
		if p.passed(w.due) {
			p.overdue(w)
		}
		if p.phase == running {
			if p.passed(p.stallAt(w)) {
				p.stalledTooLong(w)
			}
			if p.passed(p.ageAt(w)) {
				p.enqueue(w, "max age", w.readyAt.Sub(w.ordered))
			}
		}
		if w.state != StateGone {
			i++ // else the next worker has moved here
		}
	}
}

// ageAt is when a worker is too old. One that waits for its replacement already has no age any more.
func (p *Pool) ageAt(w *worker) time.Time {
	if p.cfg.MaxAge == 0 || w.state != StateReady || w.recycle != "" {
		return never
	}
	age := float64(p.cfg.MaxAge)
	return w.readyAt.Add(time.Duration(age + age*p.cfg.AgeJitter*w.share))
}

// overdue moves a worker on that did not do in time what its state is for.
func (p *Pool) overdue(w *worker) {
	took := p.now.Sub(w.since)
	switch w.state {
	case StateStarting:
		r := Record{Kind: KindReadyTimeout, Took: took}
		if w.standby() {
			r.Reason = "never waited for a slot"
		}
		p.recordOf(w, r)
		p.end(w, sigTerm, "ready timeout")
		p.fail(w, CodeGaveUp, "ready timeout")
	case StateDraining:
		p.recordOf(w, Record{Kind: KindDrainTimeout, Took: took})
		p.end(w, sigTerm, "drain timeout")
	case StateKilling:
		unspawned := w.pid == 0 // its Spawn is not answered yet, so no signal was sent and no process has outlived one
		if w.owed < sigKill {
			if !unspawned {
				p.recordOf(w, Record{Kind: KindKilling, Reason: w.why, Took: took})
			}
			p.end(w, sigKill, w.why)
			return
		}
		r := Record{Kind: KindAbandoned, Reason: w.why, Took: took}
		if unspawned {
			r.Reason, r.Took = w.why+"; its process is not started yet", p.now.Sub(w.ordered)
		}
		p.recordOf(w, r)
		p.abandon(w)
	case StateStandby, StateReady, StateGone:
		panic("pool: nothing is due in state " + w.state.String())
	}
}

// abandon treats a worker as gone that may exist or may appear: not even SIGKILL ends a process in uninterruptible sleep, and a
// start may take longer than the times of a stop. Neither holds up its slot or the stop. Its last fact may still come.
func (p *Pool) abandon(w *worker) {
	w.enter(StateGone, p.now, never)
	w.slot.remove(w)
	p.abandoned = append(p.abandoned, w)
}

// end takes a worker to killing, or from SIGTERM to SIGKILL there. reconcile pays it the signal.
func (p *Pool) end(w *worker, s signal, why string) {
	w.owed, w.why = s, why
	w.enter(StateKilling, p.now, p.escalateAt(s))
}
