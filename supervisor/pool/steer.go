package pool

import "slices"

// steer orders which slots get new connections, when that has changed: once all drains of the Step are decided, but before the
// effects that carry them out, which begin at the given one.
func (p *Pool) steer(at int) {
	changed := p.focus.wide
	for _, s := range p.focus.slots {
		if now := s.liveness(); now != s.live {
			s.live, changed = now, true
		}
	}
	if !changed {
		return
	}
	p.findLive()
	if slices.Equal(p.live, p.steered) && !p.again {
		return
	}
	p.steered = append(p.steered[:0], p.live...)
	p.effects = slices.Insert(p.effects, at, Effect(Steer{Slots: slices.Clone(p.live)}))
}

// findLive: in a slot without a worker that accepts new connections wait, so it gets none as long as another is better. What waits
// in its queue waits for its next worker; who connects now need not.
func (p *Pool) findLive() {
	if p.live = p.wantedThat((*slot).serves); len(p.live) > 0 {
		return
	}
	if p.live = p.wantedThat((*slot).staffed); len(p.live) > 0 {
		return
	}
	if p.live = p.wantedThat(func(*slot) bool { return true }); len(p.live) > 0 {
		return
	}
	for _, s := range p.slots[:p.want] { // all are held: who connects now waits for the first that is released
		p.live = append(p.live, s.number)
	}
}

// wantedThat returns the wanted slots for which ok holds, in the memory of live.
func (p *Pool) wantedThat(ok func(*slot) bool) []int {
	some := p.live[:0]
	for _, s := range p.slots[:p.want] {
		if s.held == "" && ok(s) {
			some = append(some, s.number)
		}
	}
	return some
}

// staffed reports whether a worker is ready here, stalled or not.
func (s *slot) staffed() bool { return s.ready() != nil }
