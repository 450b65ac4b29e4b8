package pool

import "time"

// rollout is the replacement of all workers by ones of a new generation. The zero value is none.
type rollout struct {
	generation int
	reason     string
	began      time.Time
	failure    string // what aborts it; empty: nothing so far
	back       bool   // to the release before
}

func (r rollout) active() bool { return r.generation != 0 }

// stale: the rollout has not come to this slot yet. A slot is rolled when a worker of the new generation was ready in it;
// what becomes of that one later is the slot's ordinary life.
func (p *Pool) stale(s *slot) bool { return p.rollout.active() && s.generation < p.rollout.generation }

// onTrial: the rollout stands and falls with this worker.
func (p *Pool) onTrial(w *worker) bool {
	return p.rollout.active() && w.generation == p.rollout.generation && !w.wasReady()
}

// generationFor is what a worker spawned in the slot now would get.
func (p *Pool) generationFor(s *slot) int {
	if s.replacing != "" && p.stale(s) {
		return p.rollout.generation
	}
	return s.generation
}

// rollouts aborts, ends and begins them as the facts say.
func (p *Pool) rollouts() {
	if p.rollout.failure != "" {
		p.abort()
	}
	for { // more than once only where there is no slot to roll
		if p.rollout.active() {
			if !p.rolled() {
				return
			}
			p.recordRollout(KindRolloutDone, p.rollout.reason)
			p.generation = p.rollout.generation
			p.rollout = rollout{}
		}
		if p.queued == "" {
			return
		}
		p.newest++
		p.rollout = rollout{generation: p.newest, reason: p.queued, back: p.queuedBack, began: p.now}
		p.queued, p.queuedBack = "", false
		p.takeTurns()
		p.recordRollout(KindRolloutBegin, p.rollout.reason)
		p.emit(Resolve{Generation: p.rollout.generation, Reason: p.rollout.reason, Back: p.rollout.back})
	}
}

// takeTurns makes the turns that are under way the new rollout's: an aborted one or a recycled worker may have left some.
func (p *Pool) takeTurns() {
	for _, s := range p.slots {
		if s.replacing != "" {
			p.setTurn(s, p.need(s))
		}
	}
}

// rolled: every slot is, and the last old worker is gone.
func (p *Pool) rolled() bool {
	if p.focus.turns > 0 { // each of a wanted slot: see endTurns
		return false
	}
	for _, s := range p.slots {
		if p.wanted(s) && (p.stale(s) || s.replacing != "") {
			return false
		}
	}
	return true
}

// abort keeps what is rolled and what is old. settle ends the workers of the new generation that are starting, because no
// slot has its turn any more that would want them. A slot that is rolled keeps its turn until its old worker is gone.
//
// The queued rollout stays and begins at once: it reads the disk anew and is often the repair. The pool
// itself orders none, so one that fails again ends there.
func (p *Pool) abort() {
	p.recordRollout(KindRolloutAborted, p.rollout.failure)
	for _, s := range p.slots {
		if p.stale(s) {
			p.setTurn(s, "")
		}
	}
	p.rollout = rollout{}
}

// cancelRollout is the part of a stop: no turn matters any more.
func (p *Pool) cancelRollout() {
	if p.rollout.active() {
		p.recordRollout(KindRolloutCancelled, p.why)
	}
	for _, s := range p.slots {
		p.setTurn(s, "")
	}
	p.rollout = rollout{}
	if p.queued != "" {
		p.record(Record{Kind: KindRolloutDropped, Reason: p.queued})
		p.queued, p.queuedBack = "", false
	}
}

func (p *Pool) recordRollout(k Kind, reason string) {
	p.record(Record{Kind: k, Reason: reason, Generation: p.rollout.generation, Took: p.now.Sub(p.rollout.began)})
}
