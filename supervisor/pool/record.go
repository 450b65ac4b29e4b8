package pool

// record emits a record about the app.
func (p *Pool) record(r Record) {
	r.Slot = -1
	p.emit(r)
}

// recordOf emits a record about a worker, in the state that it is in now.
func (p *Pool) recordOf(w *worker, r Record) {
	r.ID, r.Slot, r.PID, r.State, r.Generation = w.id, w.slot.number, w.pid, w.state, w.generation
	p.emit(r)
}

// impossible reports an event that contradicts what is known: the shell has a bug, and carrying on is the best that
// can be done for those who are being served.
func (p *Pool) impossible(w *worker, what string) {
	if p.cfg.Strict {
		panic("pool: impossible: " + what)
	}
	if w == nil {
		p.record(Record{Kind: KindImpossible, Reason: what})
		return
	}
	p.recordOf(w, Record{Kind: KindImpossible, Reason: what})
}
