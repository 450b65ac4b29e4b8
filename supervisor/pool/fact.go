package pool

import (
	"cmp"
	"strconv"
)

// The functions in this file say what a fact about a worker means in each of its states. A nil worker has sent its
// last fact: it exited, or was never spawned.

// known returns the worker of a fact; nil if it is gone. A fact about a worker that was never there is impossible.
func (p *Pool) known(id WorkerID, fact string) *worker {
	w := p.workers[id]
	if w == nil && (id < p.cfg.FirstID || id >= p.nextID) {
		p.impossible(nil, fact+": unknown")
	}
	return w
}

func (p *Pool) spawned(ev Spawned) {
	w := p.workers[ev.ID]
	if w == nil || w.pid != 0 || ev.PID <= 0 {
		p.impossible(w, "spawned: unknown, a second time, or without a PID")
		return
	}
	switch w.state {
	case StateStarting, StateKilling, StateGone:
		// Where it is unwanted by now, even abandoned, there is at last a process to send the signal to that it is owed:
		// else that process would run on unknown.
		w.pid = ev.PID
		p.recordOf(w, Record{Kind: KindSpawned, Took: p.now.Sub(w.ordered)})
	case StateStandby, StateReady, StateDraining:
		p.impossible(w, "spawned: has served without a PID")
	}
}

func (p *Pool) spawnFailed(ev SpawnFailed) {
	w := p.workers[ev.ID]
	if w == nil || w.pid != 0 {
		p.impossible(w, "spawn failed: unknown, or has a PID")
		return
	}
	switch w.state {
	case StateStarting:
		p.recordOf(w, Record{Kind: KindSpawnFailed, Reason: ev.Err, Took: p.now.Sub(w.ordered)})
		p.bury(w)
		p.fail(w, CodeGaveUp, "spawn failed: "+ev.Err)
	case StateKilling, StateGone:
		// Not wanted any more: that it failed is as good as an exit.
		p.recordOf(w, Record{Kind: KindSpawnFailed, Reason: ev.Err, Took: p.now.Sub(w.ordered)})
		p.bury(w)
	case StateStandby, StateReady, StateDraining:
		p.impossible(w, "spawn failed: has served")
	}
}

func (p *Pool) becameReady(ev Ready) {
	w := p.known(ev.ID, "ready")
	if w == nil {
		return // Late: the channel was read after the exit was seen.
	}
	switch w.state {
	case StateStarting:
		if w.pid == 0 {
			p.impossible(w, "ready: not spawned")
			return
		}
		if w.standby() {
			p.misled(w)
			return
		}
		p.recordOf(w, Record{Kind: KindReady, Took: p.now.Sub(w.since)})
		w.readyAt, w.share = p.now, 2*p.random()-1
		w.enter(StateReady, p.now, never)
		w.slot.generation = w.generation
		w.slot.finished, w.slot.filled = false, true
		p.served = true
	case StateStandby:
		p.misled(w)
	case StateReady:
		// A worker may say it twice; once is enough.
	case StateDraining, StateKilling, StateGone:
		// Late: it crossed with our order to go, which stands.
	}
}

func (p *Pool) leaving(ev Leaving) {
	w := p.known(ev.ID, "leaving")
	if w == nil {
		return // Late: the channel was read after the exit was seen.
	}
	switch w.state {
	case StateStarting:
		if w.pid == 0 {
			p.impossible(w, "leaving: not spawned")
			return
		}
		// It gives up before it was ready, so it has nothing to drain: it only gets the time to end by itself.
		p.drain(w, ev.Reason)
		p.fail(w, CodeGaveUp, "left while starting: "+ev.Reason)
	case StateStandby, StateReady:
		// It was not ordered here, so it counts in the slot's history, where a second one in a row has to wait: a
		// program that leaves as soon as it is ready must not be respawned in a hot loop.
		p.drain(w, ev.Reason)
		p.fail(w, 0, ev.Reason)
	case StateDraining, StateKilling, StateGone:
		// It says itself what it was told to do.
	}
}

func (p *Pool) exited(ev Exited) {
	w := p.workers[ev.ID]
	if w == nil {
		p.impossible(w, "exited: unknown, or a second time")
		return
	}
	if w.pid == 0 {
		p.impossible(w, "exited: not spawned")
	}
	reason, code := exit(ev)
	state := w.state
	p.recordOf(w, Record{Kind: KindExited, Reason: reason, Code: ev.Code, Signal: ev.Signal, Took: p.now.Sub(w.since)})
	if w == w.slot.sweep.by && code == 0 {
		w.slot.sweep.done = true
	}
	p.bury(w)
	switch state {
	case StateStarting, StateStandby, StateReady:
		if code == 0 && p.cfg.Restart != RestartAlways && !w.standby() && !p.replaces(w) {
			p.complete(w)
		} else {
			p.fail(w, code, reason)
		}
	case StateDraining, StateKilling, StateGone:
		// Asked for, or its failure is noted already: how it went is for the record only.
	}
}

func (p *Pool) recycle(ev Recycle) {
	w := p.known(ev.ID, "recycle")
	if w == nil {
		return // Late: it is gone, which is what was wanted.
	}
	reason := cmp.Or(ev.Reason, "recycle")
	if p.phase != running {
		p.ignore("recycle") // All are on their way out.
		return
	}
	switch w.state {
	case StateStarting, StateStandby:
		// There is nothing to keep until a successor is ready, and it will never be ready itself: a failed start.
		p.recordOf(w, Record{Kind: KindRecycle, Reason: reason, Took: p.now.Sub(w.since)})
		p.end(w, sigTerm, reason)
		p.fail(w, CodeGaveUp, reason)
	case StateReady:
		if ev.Dump {
			w.askDump(reason)
		}
		p.enqueue(w, reason, hasteSpan)
	case StateDraining, StateKilling, StateGone:
		// On its way out.
	}
}

// fail notes in the slot's history that a worker went, or is going, unasked. The worker is out of starting and ready.
func (p *Pool) fail(w *worker, code int, reason string) {
	if w.standby() {
		p.failStandby(w, reason)
		return
	}
	s := w.slot
	// The rollout is aborted for it. The slot, whose old worker serves on, has not failed: should that one crash, it is
	// restarted at once.
	spared := p.onTrial(w) && s.ready() != nil
	p.judge(w, reason)
	if spared {
		return
	}
	s.failures++
	s.failure, s.failedAt = reason, p.now
	if s.finished {
		return // A rollout tried to fill it again. It stays what it was.
	}
	s.retryAt = p.now.Add(p.delay(s.failures))
	if p.cfg.Restart == RestartNever {
		if s.vacant() && p.code == 0 {
			p.code = code
		}
		p.complete(w)
		return
	}
	if (p.wanted(s) || p.needsSweep(s)) && s.vacant() && s.retryAt.After(p.now) && !p.hopeless() {
		p.recordOf(w, Record{Kind: KindBackoff, Reason: reason, Delay: s.retryAt.Sub(p.now), Failures: s.failures})
	}
}

// complete notes that a worker has done its work.
func (p *Pool) complete(w *worker) {
	s := w.slot
	if s.vacant() { // else the other worker of a surge goes on
		s.finished, s.retryAt = true, never
		p.recordOf(w, Record{Kind: KindFinished})
	}
}

// replaces: the worker was to take over but was never ready. Its exit code 0 does not mean that its work is done; it is a failure like any other:
// else a bad version could finish an app that was fine.
func (p *Pool) replaces(w *worker) bool {
	return p.onTrial(w) || w.slot.ready() != nil // beside a ready worker there is only its successor
}

// judge ends the turn of a slot, and the rollout, whose new worker never was ready.
func (p *Pool) judge(w *worker, reason string) {
	if w.wasReady() {
		return
	}
	p.setTurn(w.slot, "")
	if p.onTrial(w) && p.rollout.failure == "" {
		p.rollout.failure = "worker " + strconv.FormatUint(uint64(w.id), 10) + ": " + reason
	}
}

// drain begins the time that a worker has to finish and exit.
func (p *Pool) drain(w *worker, reason string) {
	p.recordOf(w, Record{Kind: KindDraining, Reason: reason, Took: p.now.Sub(w.since)})
	delay, timeout := p.drainTimes()
	w.enter(StateDraining, p.now, p.now.Add(delay+timeout))
}

// bury forgets a worker that no fact can come from any more, but late ones from its channel.
func (p *Pool) bury(w *worker) {
	w.enter(StateGone, p.now, never)
	w.slot.remove(w)
	delete(p.workers, w.id)
	p.abandoned = without(p.abandoned, w)
}

// exit describes how a process ended, and gives the code that a shell would.
func exit(ev Exited) (reason string, code int) {
	switch {
	case ev.Signal == 0 && ev.Code < 0:
		return "exit status unknown", 1
	case ev.Signal == 0:
		return "exit code " + strconv.Itoa(ev.Code), ev.Code
	case ev.SignalName == "":
		return "signal " + strconv.Itoa(ev.Signal), 128 + ev.Signal
	}
	return "killed by " + ev.SignalName, 128 + ev.Signal
}
