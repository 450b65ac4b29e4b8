package pool

import "time"

// A standby is a worker that has started, is initialised, and waits for a slot. Whatever would be spawned in a slot takes a
// parked one instead, if it is of the generation that the slot is to get; and another is started behind it. So a program that
// needs ten seconds to start is back in milliseconds.
//
// The standbys sit on the bench, a slot without number and sockets, which keeps their history: one for all of them, and apart
// from those of the slots. A standby that is not wanted any more, or is of another generation than anybody would take, gets
// SIGTERM as one that is only starting does: it serves nobody, so there is nothing to drain.
//
// During a rollout the old ones stay, since what is not rolled yet may need them, until it is done. One that is missing then is
// started with the new generation as soon as a worker of that was ready: nothing is given to it before it has proved itself.

// noSlot is the number of the bench.
const noSlot = -1

// headStart is how long a standby that was given the slot of a lost worker has the machine to itself: clients wait for it, and
// nobody does for the next standby, whose start takes much more. Once it is ready, or this time is over, the next one is spawned.
const headStart = 100 * time.Millisecond

func (p *Pool) parked(ev Parked) {
	w, known := p.find(ev.ID)
	if w == nil {
		if !known {
			p.impossible(w, "parked: unknown")
		}
		return // Late: the channel was read after the exit was seen.
	}
	switch w.state {
	case StateStarting:
		switch {
		case w.pid == 0:
			p.impossible(w, "parked: not spawned")
		case w.standby():
			p.recordOf(w, Record{Kind: KindParked, Took: p.now.Sub(w.ordered)})
			w.enter(StateStandby, p.now, never)
		default:
			// It asked for its slot before it read that it has one.
		}
	case StateStandby, StateReady:
		// It may say so twice, or late; once is enough.
	case StateDraining, StateKilling, StateGone:
		// Late: it crossed with our order to go, which stands.
	}
}

// misled ends a standby that says ready, having no sockets. It would not say so again in its slot.
func (p *Pool) misled(w *worker) {
	p.loseStandby(w, "ready without a slot")
}

// loseStandby ends a standby that is of no use.
func (p *Pool) loseStandby(w *worker, reason string) {
	p.recordOf(w, Record{Kind: KindTerminating, Reason: reason, Took: p.now.Sub(w.since)})
	p.end(w, sigTerm, reason)
	p.fail(w, CodeGaveUp, reason)
}

// failStandby notes that a standby went, or is going, unasked. That counts against no slot, and ends neither a rollout nor the
// app: nobody was served by it.
func (p *Pool) failStandby(w *worker, reason string) {
	b := p.bench
	b.failures++
	b.failure, b.failedAt = reason, p.now
	b.retryAt = p.now.Add(p.delay(b.failures))
	if p.standbysWanted() > 0 && b.retryAt.After(p.now) {
		p.recordOf(w, Record{Kind: KindBackoff, Reason: reason, Delay: b.retryAt.Sub(p.now), Failures: b.failures})
	}
}

// standbysWanted: none where no slot could ever take one.
func (p *Pool) standbysWanted() int {
	if p.phase != running {
		return 0
	}
	for _, s := range p.slots[:min(p.want, len(p.slots))] {
		if !s.finished {
			return p.cfg.Standby
		}
	}
	return 0
}

// standbys is how many are there or about to be.
func (p *Pool) standbys() (n int) {
	for _, w := range p.bench.workers {
		if w.state == StateStarting || w.state == StateStandby {
			n++
		}
	}
	return n
}

// lacksStandby: one shall be spawned, as soon as the backoff is over. A start of the app, or of a new slot, comes first; but one
// that has failed already may take long. And those who take their time to end are waited for, if they are as many again.
func (p *Pool) lacksStandby() bool {
	wanted := p.standbysWanted()
	if !p.served || p.standbys() >= wanted || len(p.bench.workers) >= 2*wanted {
		return false
	}
	for _, s := range p.slots[:p.want] {
		if !s.filled && !s.finished && s.failures == 0 && s.held == "" {
			return false
		}
	}
	return true
}

// standbyAt is when one that is lacking shall be spawned: after the backoff, and after the head starts.
func (p *Pool) standbyAt() time.Time {
	at := p.bench.retryAt
	for _, s := range p.slots {
		if w := s.starting(); w != nil && w.assigned && s.ready() == nil {
			if end := w.since.Add(headStart); end.After(at) {
				at = end
			}
		}
	}
	return at
}

// forgetStandbysAt is when the failures of the standbys are forgotten: all were there, and none failed, for long enough.
func (p *Pool) forgetStandbysAt() time.Time {
	b := p.bench
	if b.failures == 0 {
		return never
	}
	parked, since := 0, b.failedAt
	for _, w := range b.workers {
		if w.state == StateStandby {
			parked++
			if w.since.After(since) {
				since = w.since
			}
		}
	}
	if parked == 0 || parked < p.standbysWanted() {
		return never
	}
	return since.Add(p.cfg.Backoff.Reset)
}

// fitStandby is the one that a slot is given which is to get that generation: who has stood by longest; nil if there is none.
func (p *Pool) fitStandby(generation int) *worker {
	for _, w := range p.bench.workers {
		if w.state == StateStandby && w.generation == generation && !w.stalled() {
			return w
		}
	}
	return nil
}

// assign has a standby start once more, in its slot and with the time that anybody has there.
func (p *Pool) assign(w *worker, s *slot) {
	p.bench.remove(w)
	w.slot = s
	s.workers = append(s.workers, w)
	p.recordOf(w, Record{Kind: KindAssigned, Took: p.now.Sub(w.since)})
	w.assigned, w.renewed = true, false
	w.enter(StateStarting, p.now, p.now.Add(p.cfg.ReadyTimeout))
	p.emit(Assign{ID: w.id, Slot: s.number})
}

// settleBench brings the standbys to what is wanted, after the slots have taken theirs.
func (p *Pool) settleBench() {
	b := p.bench
	if p.cfg.Standby == 0 && len(b.workers) == 0 {
		return
	}
	wanted, kept := p.standbysWanted(), 0
	// Of those that are too many, the ones that are ready to go somewhere stay.
	for _, state := range [...]State{StateStandby, StateStarting} {
		for _, w := range b.workers {
			if w.state != state || p.phase == killing {
				continue
			}
			why := p.useless(w)
			if why == "" && kept < wanted {
				kept++
				continue
			}
			if why == "" {
				why = "not wanted any more"
			}
			p.recordOf(w, Record{Kind: KindTerminating, Reason: why, Took: p.now.Sub(w.since)})
			p.end(w, sigTerm, why)
		}
	}
	for _, w := range b.workers {
		if p.phase == killing {
			p.killOff(w)
		}
		p.pay(w)
	}
	for p.lacksStandby() && !p.standbyAt().After(p.now) {
		p.spawn(b, p.standbyGeneration())
	}
}

// useless is why no slot would take a standby; empty: one would.
func (p *Pool) useless(w *worker) string {
	switch {
	case p.phase != running:
		return p.why
	case w.generation == p.generation, p.rollout.active() && w.generation == p.rollout.generation:
		return ""
	case w.generation < p.generation:
		return "renewed by a rollout"
	}
	return "rollout aborted"
}

// standbyGeneration is what a standby that is started now would get.
func (p *Pool) standbyGeneration() int {
	for _, s := range p.slots[:p.want] {
		if p.rollout.active() && !p.stale(s) { // a worker of it was ready here
			return p.rollout.generation
		}
	}
	return p.generation
}
