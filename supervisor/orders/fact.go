package orders

import (
	"cmp"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// fact shows the orders of a run what its pool has recorded.
func (b *Book) fact(ev Fact) {
	b.followRollout(ev)
	for _, o := range b.orders {
		if o.app != ev.App {
			continue
		}
		switch o.phase {
		case stopping, replacing:
			if ev.Record.Kind == pool.KindExited {
				o.done = min(o.done+1, o.total)
			}
			b.step(o, ev, o.done)
		case starting, scaling, filling:
			b.factStart(o, ev)
		case queued, rolling:
			b.factRollout(o, ev)
		case emptying:
			if ev.Record.Slot == *o.Slot {
				gone := 0
				if ev.Record.Kind == pool.KindExited {
					gone = 1
				}
				b.step(o, ev, gone)
			}
		}
		o.hear(ev)
	}
}

// factStart learns of a start that failed.
func (b *Book) factStart(o *order, ev Fact) {
	a, ok := b.app(o.app)
	if !ok {
		return
	}
	if r := ev.Record; r.Slot >= 0 && startFailed(r) {
		o.fault(r)
		if o.mustStart(r.Slot, a) {
			o.failure = o.fails("cannot %s app %s: %s", o.Verb, o.name, ev.Message)
		}
	}
	b.step(o, ev, a.Pool.ReadyCount())
}

// mustStart says whether a failure to start a worker in a slot is the order's failure.
func (o *order) mustStart(slot int, a App) bool {
	switch o.phase {
	case scaling:
		return slot >= o.before
	case filling:
		return slot == *o.Slot
	}
	return !o.tolerant || a.Endless
}

// startFailed says whether r is the failure of a worker that never was ready, or that ended unasked.
func startFailed(r pool.Record) bool {
	switch r.Kind {
	case pool.KindSpawnFailed, pool.KindReadyTimeout:
		return true
	case pool.KindExited:
		return r.Unasked()
	}
	return false
}

// fault remembers which worker has failed. One that has to be killed speaks until it has ended.
func (o *order) fault(r pool.Record) {
	o.worker, o.output = r, ""
	o.speaks = r.Kind == pool.KindReadyTimeout && r.PID != 0
}

// hear learns the last words of the worker that has failed.
func (o *order) hear(ev Fact) {
	if o.worker.ID == 0 || ev.Record.ID != o.worker.ID {
		return
	}
	switch ev.Record.Kind {
	case pool.KindExited:
		o.speaks, o.output = false, ev.Output
	case pool.KindAbandoned:
		o.speaks = false
	}
}

// judge ends an order that is over, or gives the next of its orders.
func (b *Book) judge(o *order) {
	var v outcome
	a, ok := b.app(o.app)
	switch {
	case o.phase == signalling || o.phase == opening || o.phase == preparing:
		return // for an answer of the shell
	case o.phase == ending || o.phase == replacing:
		v = b.judgeNext(o)
	case o.phase == following:
		v = b.judgeFollowing(o)
	case o.phase == stopping:
		if !ok || a.ended() {
			v.as = done
		}
	case !ok:
		v = o.isCancelled("cannot %s app %s: it was taken out of the config meanwhile", o.Verb, o.name)
	case o.phase == starting:
		v = b.judgeReady(o, a)
	case o.phase == queued || o.phase == rolling:
		v = b.judgeRollout(o, a)
	case o.phase == scaling:
		v = b.judgeScaling(o, a)
	case o.phase == emptying:
		v = b.judgeEmptying(o, a)
	case o.phase == filling:
		v = b.judgeFilling(o, a)
	}
	switch {
	case v.as == done:
		o.worker = pool.Record{}
		b.end(o, done, nil)
	case v.err != nil && !(o.speaks && ok && !a.ended()):
		b.end(o, v.as, v.err)
	}
}

// steps are the kinds of records that are a worker's way through an order, with the state that it then has.
var steps = map[pool.Kind]string{
	pool.KindSpawned:      "starting",
	pool.KindReady:        "ready",
	pool.KindAssigned:     "starting",
	pool.KindDraining:     "draining",
	pool.KindTerminating:  "killing",
	pool.KindKilling:      "killing",
	pool.KindExited:       "gone",
	pool.KindSpawnFailed:  "gone",
	pool.KindReadyTimeout: "killing",
	pool.KindBackoff:      "backoff",
	pool.KindDrainTimeout: "draining",
	pool.KindStalled:      "stalled",
	pool.KindFinished:     "finished",
	pool.KindRetired:      "retired",
	pool.KindReleased:     "released",
	pool.KindHeld:         "draining",
}

// step tells a record that is a step of this order, with how many are done.
func (b *Book) step(o *order, ev Fact, done int) {
	r := ev.Record
	state, ok := steps[r.Kind]
	if !ok || r.Slot < 0 {
		return
	}
	b.tell(o, api.Progress{Slot: &r.Slot, Worker: uint64(r.ID), PID: r.PID, State: state, Message: ev.Message, Done: done})
}

func (b *Book) tell(o *order, p api.Progress) {
	if o.request == 0 {
		return
	}
	p.Time, p.App = b.now.Round(time.Millisecond), o.name
	p.Total = cmp.Or(p.Total, o.total)
	b.emit(Progress{o.request, p})
}
