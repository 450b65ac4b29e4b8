package pool

// reconcile compares what is with what is wanted and orders the difference. It is the only place that decides to spawn,
// drain, signal, open and retire. Doing it again at once orders nothing more.
func (p *Pool) reconcile() {
	if p.phase == idle {
		return
	}
	if p.again {
		p.reopen()
	}
	p.giveUp()
	if p.phase == running {
		p.open()
		p.widen()
		p.endTurns()
		p.rollouts()
		p.widen()
		p.giveTurns()
	} else {
		p.cancelRollout()
		p.widen()
	}
	before := len(p.effects)
	for _, s := range p.focus.slots {
		if p.again {
			p.tellAgain(s)
		}
		p.settle(s)
	}
	p.settleStandbys()
	if p.phase == running {
		p.steer(before)
	}
	for _, w := range p.abandoned {
		p.pay(w)
	}
	p.retire()
	p.finish()
}

// wanted: the slot shall have a worker.
func (p *Pool) wanted(s *slot) bool { return p.phase == running && s.number < p.want && s.held == "" }

// giveUp ends an app whose start is hopeless.
func (p *Pool) giveUp() {
	if !p.hopeless() {
		return
	}
	var last *slot
	for _, s := range p.slots {
		if last == nil || s.failedAt.After(last.failedAt) {
			last = s
		}
	}
	p.phase, p.why = stopping, "start gave up"
	p.last = Done{Code: CodeGaveUp, Reason: "no worker became ready, the last failure: " + last.failure}
	p.record(Record{Kind: KindGaveUp, Reason: p.last.Reason, Failures: p.failures()})
}

// hopeless reports whether no worker was ever ready and too many have failed.
func (p *Pool) hopeless() bool {
	return p.phase == running && !p.served && p.cfg.Restart != RestartNever &&
		p.cfg.StartLimit > 0 && p.failures() >= p.cfg.StartLimit
}

// failures in a row, of all slots. Until a worker is ready nothing interrupts the row.
func (p *Pool) failures() (n int) {
	for _, s := range p.slots {
		n += s.failures
	}
	return n
}

// open takes back the slots that were not retired yet, and makes those that are missing.
func (p *Pool) open() {
	for n := p.claimed; n < min(p.want, len(p.slots)); n++ {
		p.slots[n].takeBack(p.generation)
	}
	for len(p.slots) < p.want {
		s := &slot{number: len(p.slots), workers: make([]*worker, 0, 2), generation: p.generation}
		p.slots = append(p.slots, s)
		p.emit(OpenSlot{Slot: s.number})
	}
	p.claimed = p.want
}

// takeBack makes a slot again what it was before it was not wanted for a while, in which it may have missed a rollout.
func (s *slot) takeBack(generation int) {
	s.held, s.sweep, s.generation = "", sweep{}, max(s.generation, generation)
}

// settle brings the workers of a slot to what is wanted.
func (p *Pool) settle(s *slot) {
	holder := s.holder()
	for _, w := range s.workers {
		p.payDump(w)
		if p.phase == killing {
			p.killOff(w)
		} else {
			p.dismiss(w, holder)
		}
		p.pay(w)
	}
	switch {
	case p.wanted(s) && p.vacancy(s):
		p.fill(s)
	case p.lacksSweep(s) && !s.retryAt.After(p.now):
		p.spawnSweep(s)
	}
}

// dismiss sends away a worker that shall not stay, as gently as its state allows.
func (p *Pool) dismiss(w, holder *worker) {
	switch w.state {
	case StateStarting:
		if why := p.unwanted(w); why != "" {
			p.recordOf(w, Record{Kind: KindTerminating, Reason: why, Took: p.now.Sub(w.since)})
			p.end(w, sigTerm, why)
		}
	case StateReady:
		if why, handover := p.surplus(w, holder); why != "" {
			linger := p.phase == running && !p.wanted(w.slot)
			if linger {
				w.slot.sweep.by = w
			}
			delay, timeout := p.drainTimes()
			p.drain(w, why)
			w.told = &Drain{
				ID: w.id, Slot: w.slot.number, Reason: why,
				Handover: handover, Linger: linger,
				Delay: delay, Timeout: timeout,
			}
			p.emit(*w.told)
		}
	case StateDraining, StateKilling, StateGone:
		// On its way out, in its own time.
	case StateStandby:
		panic("pool: a standby is in no slot")
	}
}

// killOff ends a worker at once, whatever it does.
func (p *Pool) killOff(w *worker) {
	if w.owed < sigKill {
		p.recordOf(w, Record{Kind: KindKilling, Reason: p.why, Took: p.now.Sub(w.since)})
		p.end(w, sigKill, p.why)
	}
}

// unwanted is why a starting worker shall not become ready; empty: it shall.
func (p *Pool) unwanted(w *worker) string {
	s := w.slot
	switch {
	case p.phase != running:
		return p.why
	case !p.wanted(s):
		if p.shallSweep(w) {
			return ""
		}
		return s.dismissal()
	case w.generation != p.generationFor(s):
		switch {
		case s.replacing != "":
			return s.replacing
		case w.generation < s.generation:
			return "missed a rollout"
		}
		return "rollout aborted"
	}
	return ""
}

// surplus is why a ready worker shall drain, and whether it hands its sockets over; empty: it shall stay.
func (p *Pool) surplus(w, holder *worker) (why string, handover bool) {
	s := w.slot
	switch {
	case p.phase != running:
		return p.why, false
	case !p.wanted(s):
		return s.dismissal(), false
	case w != holder:
		return s.replacing, true // a worker that has a successor had its turn
	case p.cfg.StopFirst && s.replacing != "" && p.need(s) != "":
		return s.replacing, false
	}
	return "", false
}

// vacancy: a worker shall be spawned in the slot now.
func (p *Pool) vacancy(s *slot) bool {
	if s.starting() != nil || len(s.workers) == 2 || len(s.workers) == 1 && p.cfg.StopFirst {
		return false
	}
	for _, w := range s.workers {
		if w.state == StateKilling && !w.wasReady() {
			return false // It never took over from another worker, so this is not a surge: one at a time.
		}
	}
	if s.ready() != nil {
		return s.replacing != "" // the surge
	}
	if s.replacing != "" && p.stale(s) {
		return true // A rollout fills finished slots too, and waits for no backoff.
	}
	return !s.finished && !s.retryAt.After(p.now)
}

// fill gets a slot its next worker: a standby if one is fit for it, else a new process.
func (p *Pool) fill(s *slot) {
	generation := p.generationFor(s)
	if w := p.fitStandby(generation); w != nil {
		p.assign(w, s)
		return
	}
	p.spawn(s, generation)
}

func (p *Pool) spawn(s *slot, generation int) {
	w := &worker{id: p.nextID, slot: s, generation: generation, ordered: p.now}
	w.enter(StateStarting, p.now, p.now.Add(p.cfg.ReadyTimeout))
	p.nextID++
	p.workers[w.id] = w
	s.workers = append(s.workers, w)
	p.emit(Spawn{ID: w.id, Slot: s.number, Generation: w.generation})
}

// pay sends a worker the signal that it is owed, as soon as there is a process to send it to.
func (p *Pool) pay(w *worker) {
	if w.owed > w.sent && w.pid != 0 {
		w.sent = w.owed
		p.emit(Signal{ID: w.id, Kill: w.owed == sigKill, Reason: w.why})
	}
}

// retire closes swept and empty slots that nothing is steered to, last first: a slot in the middle cannot be closed.
func (p *Pool) retire() {
	for n := len(p.slots) - 1; n >= p.claimed && len(p.slots[n].workers) == 0 && !p.lacksSweep(p.slots[n]); n-- {
		p.slots = p.slots[:n]
		p.emit(Record{Kind: KindRetired, Slot: n})
		p.emit(RetireSlot{Slot: n})
	}
}

// finish says Done when nothing is left to wait for.
func (p *Pool) finish() {
	if len(p.standbys.workers) > 0 {
		return
	}
	for _, s := range p.slots {
		if len(s.workers) > 0 || p.phase == running && !s.finished {
			return
		}
	}
	if p.phase == running {
		if len(p.slots) == 0 {
			return // Scaled to nothing: the app rests.
		}
		p.last = Done{Code: p.code, Reason: "all workers have finished"}
	}
	p.phase = done
	p.emit(p.last)
}
