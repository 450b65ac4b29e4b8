package pool

import (
	"cmp"
	"time"
)

// A worker is stalled when it does not get on with what it was given. The shell says so, and when it resumes. At once
// the slot gets no new connection as long as another can take it: see steer. For long, and the worker is asked what it is
// doing and replaced.

func (p *Pool) stalled(ev Stalled) {
	w := p.known(ev.ID, "stalled")
	if w == nil {
		return // Late: it is gone, and its queue waits for another.
	}
	switch w.state {
	case StateStarting, StateStandby, StateReady, StateDraining:
		// A worker that starts, stands by or drains has a deadline of its own, so there it is only noted.
		if w.stalled() {
			return // It says how it was seen first.
		}
		w.stall, w.stalledAt = cmp.Or(ev.Reason, "stalled"), p.now
		p.recordOf(w, Record{Kind: KindStalled, Reason: ev.Reason})
	case StateKilling, StateGone:
		// It is ended whatever it does.
	}
}

func (p *Pool) resumed(ev Resumed) {
	w := p.known(ev.ID, "resumed")
	if w == nil {
		return
	}
	if !w.stalled() {
		return
	}
	switch w.state {
	case StateStarting, StateStandby, StateReady, StateDraining:
		// It gets new connections again. But if it is queued for replacement, it stays so: what stood still for so long may
		// well do it again, and one that does it every minute would else never be replaced. Its drain loses nothing.
		p.recordOf(w, Record{Kind: KindResumed, Took: p.now.Sub(w.stalledAt)})
	case StateKilling, StateGone:
		// It is ended whatever it does.
	}
	w.stall, w.stalledAt = "", never
}

// stallAt is when a worker has been stalled for too long: as ready or standby, because before that, its start has a time.
func (p *Pool) stallAt(w *worker) time.Time {
	if p.cfg.StallTimeout == 0 || !w.stalled() || w.dump != "" || w.state != StateReady && w.state != StateStandby {
		return never
	}
	since := w.stalledAt
	if w.since.After(since) {
		since = w.since
	}
	return since.Add(p.cfg.StallTimeout)
}

func (p *Pool) stalledTooLong(w *worker) {
	reason := "stalled"
	if w.stall != reason {
		reason += ": " + w.stall
	}
	if w.standby() {
		p.loseStandby(w, reason)
		return
	}
	w.askDump(reason)
	p.enqueue(w, reason, hasteSpan)
}

// askDump: the first reason stays, because one dump is all there is.
func (w *worker) askDump(reason string) {
	w.dump = cmp.Or(w.dump, reason)
}

// payDump asks a worker for the dump that is due, before anything is done about it.
func (p *Pool) payDump(w *worker) {
	if w.dump != "" && !w.dumped && w.state == StateReady && p.phase == running {
		w.dumped = true
		p.emit(Dump{ID: w.id, Reason: w.dump})
	}
}
