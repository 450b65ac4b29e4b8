package pool

// All voluntary replacements wait in one queue and share one budget, so that they can never stack up. The queue is not
// stored: it is all slots that need a replacement and do not have their turn.

// need is why the worker of the slot shall be replaced; empty: it shall not.
func (p *Pool) need(s *slot) string {
	if p.stale(s) {
		return p.rollout.reason
	}
	if w := s.holder(); w != nil {
		return w.recycle
	}
	return ""
}

// endTurns takes back the turns that are over: before the rollouts, because one ends with its last turn.
func (p *Pool) endTurns() {
	for _, s := range p.focus.slots {
		if s.replacing != "" && p.turnOver(s) {
			p.setTurn(s, "")
		}
	}
}

// giveTurns gives turns as far as the budget goes: after the rollouts, because one begins with its first turn.
func (p *Pool) giveTurns() {
	for _, s := range p.focus.slots {
		p.flag(s)
	}
	for p.focus.turns < p.budget() {
		s := p.next()
		if s == nil {
			return
		}
		p.setTurn(s, p.need(s))
		p.flag(s)
		p.lookAt(s)
	}
}

// turnOver: the replacement serves alone; or there is none to wait for, because its slot is not wanted any more, or is
// left to its backoff.
func (p *Pool) turnOver(s *slot) bool {
	if !p.wanted(s) {
		return true
	}
	if p.need(s) != "" {
		return false
	}
	switch len(s.workers) {
	case 0:
		return s.finished || s.retryAt.After(p.now)
	case 1:
		return s.ready() != nil
	}
	return false
}

func (p *Pool) budget() int {
	if p.cfg.StopFirst {
		return max(1, p.cfg.MaxUnavailable)
	}
	return p.cfg.MaxSurge
}

// next is the slot whose turn it is: those without a worker that accepts come first, because replacing them costs nothing.
func (p *Pool) next() *slot {
	for _, idle := range []byte{unserved, 0} {
		for n, flags := range p.focus.flags {
			if flags&(needs|idle) == needs|idle && p.mayBegin(p.slots[n]) {
				return p.slots[n]
			}
		}
	}
	return nil
}

// mayBegin: the slot needs a replacement and nothing there stands in its way.
func (p *Pool) mayBegin(s *slot) bool {
	if !p.wanted(s) || s.replacing != "" || p.need(s) == "" {
		return false
	}
	if s.ready() == nil {
		return true
	}
	// One that failed to be replaced waits as long as one that failed to start, but not for a rollout.
	return len(s.workers) == 1 && (p.stale(s) || !s.retryAt.After(p.now))
}
