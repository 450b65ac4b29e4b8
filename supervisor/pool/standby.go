package pool

import (
	"cmp"
	"time"
)

// A standby is a worker that has started, is initialised, and waits for a slot. Where a worker would be spawned in a slot, a
// parked standby of the generation that the slot gets takes it instead, and another standby is started. So a program that
// needs ten seconds to start is back in milliseconds.
//
// The standbys are the workers of Pool.standbys, a slot without number and sockets. It keeps one history for all of them, apart
// from those of the slots. A standby that is not wanted any more, or is of a generation that no slot takes, gets SIGTERM, as a
// worker does that is only starting: it serves no client, so there is nothing to drain.
//
// During a rollout the standbys of the old generation stay until it is done, since a slot that is not rolled yet may need them. A
// standby that is missing then is started with the new generation once a worker of that generation was ready in a slot.

// noSlot is the number of the slot that holds the standbys.
const noSlot = -1

// headStart is how long a standby that was given the slot of a lost worker starts alone: clients wait for that worker, and
// none waits for the next standby. Once it is ready, or this time is over, the next standby is spawned.
const headStart = 100 * time.Millisecond

func (p *Pool) parked(ev Parked) {
	w := p.known(ev.ID, "parked")
	if w == nil {
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

// misled ends a standby that says ready although it has no sockets. It would not say ready again in its slot.
func (p *Pool) misled(w *worker) {
	p.loseStandby(w, "ready without a slot")
}

// loseStandby ends a standby that is not needed.
func (p *Pool) loseStandby(w *worker, reason string) {
	p.recordOf(w, Record{Kind: KindTerminating, Reason: reason, Took: p.now.Sub(w.since)})
	p.end(w, sigTerm, reason)
	p.fail(w, CodeGaveUp, reason)
}

// failStandby notes that a standby went, or is going, without an order. That counts against no slot, and ends neither a rollout
// nor the app: the standby served no client.
func (p *Pool) failStandby(w *worker, reason string) {
	all := p.standbys
	all.failures++
	all.failure, all.failedAt = reason, p.now
	all.retryAt = p.now.Add(p.delay(all.failures))
	if p.standbysWanted() > 0 && all.retryAt.After(p.now) {
		p.recordOf(w, Record{Kind: KindBackoff, Reason: reason, Delay: all.retryAt.Sub(p.now), Failures: all.failures})
	}
}

// standbysWanted returns how many standbys there shall be: 0 where no slot could ever take one.
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

// standbyCount returns how many standbys wait or start.
func (p *Pool) standbyCount() (n int) {
	for _, w := range p.standbys.workers {
		if w.state == StateStarting || w.state == StateStandby {
			n++
		}
	}
	return n
}

// lacksStandby reports whether a standby shall be spawned as soon as the backoff is over. The start of the app, or of a new slot,
// comes first, unless it has failed before: then it may take long. Standbys that are slow to end are waited for when they are as
// many as are wanted.
func (p *Pool) lacksStandby() bool {
	wanted := p.standbysWanted()
	if !p.served || p.standbyCount() >= wanted || len(p.standbys.workers) >= 2*wanted {
		return false
	}
	for _, s := range p.slots[:p.want] {
		if !s.filled && !s.finished && s.failures == 0 && s.held == "" {
			return false
		}
	}
	return true
}

// standbyAt returns when to spawn a missing standby: after the backoff of the standbys, and after each worker that starts in a
// slot has had headStart.
func (p *Pool) standbyAt() time.Time {
	at := p.standbys.retryAt
	for _, s := range p.slots {
		if w := s.starting(); w != nil && w.assigned && s.ready() == nil {
			if end := w.since.Add(headStart); end.After(at) {
				at = end
			}
		}
	}
	return at
}

// forgetStandbysAt returns when the failures of the standbys are forgotten: once all have waited, and none has failed, for
// Backoff.Reset.
func (p *Pool) forgetStandbysAt() time.Time {
	all := p.standbys
	if all.failures == 0 {
		return never
	}
	parked, since := 0, all.failedAt
	for _, w := range all.workers {
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

// fitStandby returns the standby for a slot that gets that generation: the one that has waited longest; nil: there is none.
func (p *Pool) fitStandby(generation int) *worker {
	for _, w := range p.standbys.workers {
		if w.state == StateStandby && w.generation == generation && !w.stalled() {
			return w
		}
	}
	return nil
}

// assign makes a standby start once more, in its slot and with the whole ready timeout.
func (p *Pool) assign(w *worker, s *slot) {
	p.standbys.remove(w)
	w.slot = s
	s.workers = append(s.workers, w)
	p.recordOf(w, Record{Kind: KindAssigned, Took: p.now.Sub(w.since)})
	w.assigned, w.renewed = true, false
	w.enter(StateStarting, p.now, p.now.Add(p.cfg.ReadyTimeout))
	p.emit(Assign{ID: w.id, Slot: s.number})
}

// settleStandbys brings the standbys to what is wanted, after the slots have taken theirs.
func (p *Pool) settleStandbys() {
	all := p.standbys
	if p.cfg.Standby == 0 && len(all.workers) == 0 {
		return
	}
	wanted, kept := p.standbysWanted(), 0
	// Of those that are too many, the ones that are ready to go somewhere stay.
	for _, state := range [...]State{StateStandby, StateStarting} {
		for _, w := range all.workers {
			if w.state != state || p.phase == killing {
				continue
			}
			why := p.useless(w)
			if why == "" && kept < wanted {
				kept++
				continue
			}
			why = cmp.Or(why, "not wanted any more")
			p.recordOf(w, Record{Kind: KindTerminating, Reason: why, Took: p.now.Sub(w.since)})
			p.end(w, sigTerm, why)
		}
	}
	for _, w := range all.workers {
		if p.phase == killing {
			p.killOff(w)
		}
		p.pay(w)
	}
	for p.lacksStandby() && !p.standbyAt().After(p.now) {
		p.spawn(all, p.standbyGeneration())
	}
}

// useless returns why no slot would take a standby; empty: one would.
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

// standbyGeneration returns the generation of a standby that is started now.
func (p *Pool) standbyGeneration() int {
	for _, s := range p.slots[:p.want] {
		if p.rollout.active() && !p.stale(s) { // a worker of it was ready here
			return p.rollout.generation
		}
	}
	return p.generation
}
