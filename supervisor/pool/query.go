package pool

// SlotBrief is what those decide by that wait for one slot. It is comparable.
type SlotBrief struct {
	Held     bool // it shall have no worker
	Finished bool // its work is done
	Ready    bool // a worker in it is ready
	Workers  int  // processes that it has, or that were ordered for it
}

// Slot tells of one slot; the second value is false where there is none of that number. It makes no copies.
func (p *Pool) Slot(n int) (SlotBrief, bool) {
	if n < 0 || n >= len(p.slots) {
		return SlotBrief{}, false
	}
	s := p.slots[n]
	return SlotBrief{Held: s.held != "", Finished: s.finished, Ready: s.ready() != nil, Workers: len(s.workers)}, true
}

// Phase is how far the pool is.
func (p *Pool) Phase() Phase { return p.phase }

// Wanted is how many slots are wanted.
func (p *Pool) Wanted() int { return p.want }

// Slots is how many slots have sockets: those that are wanted, and those that are being retired.
func (p *Pool) Slots() int { return len(p.slots) }

// ReadyCount is how many workers in slots are ready.
func (p *Pool) ReadyCount() (n int) {
	for _, s := range p.slots {
		for _, w := range s.workers {
			if w.state == StateReady {
				n++
			}
		}
	}
	return n
}

// Settled says that each wanted slot has a ready worker, or is held, or has finished.
func (p *Pool) Settled() bool {
	if len(p.slots) < p.want {
		return false
	}
	for _, s := range p.slots[:p.want] {
		if s.held == "" && !s.finished && s.ready() == nil {
			return false
		}
	}
	return true
}

// Unasked reports whether an exit needs explaining: this worker had no order to go, or did not go as ordered.
func (r Record) Unasked() bool {
	return (r.State == StateStarting || r.State == StateReady) && (r.Code != 0 || r.Signal != 0)
}
