package pool

// A slot that is not wanted any more goes with its sockets, and the connections that still wait in their queues would be reset. So a
// slot is swept before it is retired: a worker drains in it with Linger, which accepts what the sockets still get and what
// waits in their queues, and exits with code 0. Mostly that is the worker that was ready there. One that is only starting
// gets to be ready first. And where the last one died, or did not end its drain well, others are spawned for it.

// maxSweeps bounds the workers that are spawned for nothing else. When they fail too, the slot is retired as it is.
const maxSweeps = 2

// sweep is what a slot remembers of that. It begins anew when the slot is wanted again, and so gets connections again.
type sweep struct {
	by      *worker // drains with Linger, and is not gone
	done    bool
	spawned int // workers
}

// needsSweep reports whether the slot is to be swept, and no worker does it or has done it. Where no worker was ever ready none
// would be now; a finished slot is left alone; with RestartNever none is spawned for it, but a worker that is starting does
// sweep.
func (p *Pool) needsSweep(s *slot) bool {
	if p.phase != running || p.wanted(s) || !p.served || s.finished || s.sweep.by != nil || s.sweep.done {
		return false
	}
	return s.starting() != nil || s.sweep.spawned < maxSweeps && p.cfg.Restart != RestartNever
}

// lacksSweep: a worker shall be spawned to sweep the slot, as soon as its backoff is over. Until then it cannot be retired.
func (p *Pool) lacksSweep(s *slot) bool { return len(s.workers) == 0 && p.needsSweep(s) }

// shallSweep: the starting worker is needed for that. One on trial is not, as it is not of the slot's generation.
func (p *Pool) shallSweep(w *worker) bool {
	return p.needsSweep(w.slot) && w.generation == w.slot.generation
}

func (p *Pool) spawnSweep(s *slot) {
	s.sweep.spawned++
	p.emit(Record{Kind: KindSweeping, Slot: s.number, Generation: s.generation})
	p.fill(s)
}
