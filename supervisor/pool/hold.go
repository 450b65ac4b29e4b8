package pool

import "cmp"

// A slot that is held stays, with its sockets, its number and its history, but shall have no worker. It is emptied as one that is
// scaled away is: steered around, drained with Linger, swept. Only that it is not retired, and is filled again when it is
// released: by Release, or by a Scale or Roll, whose result would else not be what was asked for. A rollout passes it by.

func (p *Pool) hold(ev Hold) {
	switch p.phase {
	case idle:
		p.ignore("hold")
	case running:
		if ev.Slot < 0 || ev.Slot >= min(p.want, len(p.slots)) {
			p.record(Record{Kind: KindIgnored, Reason: "hold: no such slot"})
			return
		}
		s := p.slots[ev.Slot]
		if s.held != "" {
			return
		}
		if s.held = ev.Reason; s.held == "" {
			s.held = "held"
		}
		p.emit(Record{Kind: KindHeld, Slot: s.number, Reason: s.held})
	case stopping, killing:
		p.ignore("hold")
	}
}

// releaseThat ends the holds of the slots for which ok holds. They begin anew: what failed before does not delay them.
func (p *Pool) releaseThat(ok func(*slot) bool) {
	if p.phase != running {
		return
	}
	for _, s := range p.slots {
		if s.held != "" && ok(s) {
			s.retryAt = never
			s.takeBack(p.generation)
			p.emit(Record{Kind: KindReleased, Slot: s.number})
		}
	}
}

// dismissal is why the workers of a slot that is not wanted go.
func (s *slot) dismissal() string {
	return cmp.Or(s.held, "scaled down")
}
