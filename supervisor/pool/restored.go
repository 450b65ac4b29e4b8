package pool

import "slices"

// A pool that was restored first learns what has happened since the snapshot, and orders nothing. Then Restored has it say
// again what the shell may not have come to do, and go on. See "Restored" in the package's description.

func (p *Pool) restored() {
	if !p.adopting {
		p.impossible(nil, "restored: was not, or a second time")
		return
	}
	p.adopting, p.again = false, true
	if p.phase == idle || p.phase == done {
		return
	}
	if p.phase != running {
		p.claimed = min(p.want, len(p.slots)) // which a stop may have come before
	}
	p.record(Record{Kind: KindRestored, Reason: p.phase.String(), Slots: p.want})
	for _, s := range append(slices.Clone(p.slots), p.standbys) {
		for _, w := range slices.Clone(s.workers) {
			p.resume(w)
		}
	}
	for _, w := range slices.Clone(p.abandoned) {
		p.resume(w)
	}
}

// resume brings a worker's waits to what they are worth under another master.
func (p *Pool) resume(w *worker) {
	if w.pid == 0 {
		p.forget(w)
		return
	}
	if w.state == StateStarting && !w.renewed {
		// It may have waited for an answer while no master lived to give one. Once: a master that crashes again and again must not keep
		// a worker for ever that never becomes ready.
		w.renewed, w.due = true, p.now.Add(p.cfg.ReadyTimeout)
	}
	if w.owed == sigKill {
		w.sent = noSignal // to be sent again: what was not sent would be waited for in vain
	}
}

// forget drops an order to spawn that was never answered. It does not count as a failure: reconcile orders another
// where one is still wanted.
func (p *Pool) forget(w *worker) {
	p.recordOf(w, Record{Kind: KindForgotten, Reason: "ordered by a master that is gone", Took: p.now.Sub(w.ordered)})
	s := w.slot
	if w.state == StateStarting && !p.wanted(s) && s.sweep.spawned > 0 {
		s.sweep.spawned--
	}
	p.bury(w)
}

// reopen tells the shell what there has to be: the slots, and the generations that workers may be spawned with.
func (p *Pool) reopen() {
	for _, s := range p.slots {
		p.emit(OpenSlot{Slot: s.number})
	}
	if p.phase != running {
		return
	}
	needed := []int{p.generation}
	if p.rollout.active() {
		needed = append(needed, p.rollout.generation)
	}
	for _, s := range p.slots {
		needed = append(needed, s.generation)
	}
	slices.Sort(needed)
	for _, g := range slices.Compact(needed) {
		p.emit(Resolve{Generation: g, Reason: "restored", Back: p.rollout.back && g == p.rollout.generation})
	}
}

// tellAgain repeats the orders that workers may not have got.
func (p *Pool) tellAgain(s *slot) {
	if p.phase == killing {
		return // They get what cannot be missed.
	}
	for _, w := range s.workers {
		switch {
		case w.state == StateStarting && w.assigned:
			p.emit(Assign{ID: w.id, Slot: s.number})
		case w.state == StateDraining && w.told != nil:
			d, left := *w.told, w.due.Sub(p.now) // which is not over, or it would not be draining any more
			d.Again = true
			d.Handover = d.Handover && s.ready() != nil // else who came after it has gone meanwhile
			d.Delay = min(d.Delay, left)
			d.Timeout = left - d.Delay
			p.emit(d)
		}
	}
}
