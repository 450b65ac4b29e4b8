package orders

import (
	"net/http"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// An app that is stopped by an order stays listed, without workers and without sockets: its addresses are free, as they are
// when a service manager stops a unit, and clients are refused at once instead of waiting in vain. A restart keeps the sockets:
// clients that connect meanwhile wait for the new workers. The number of workers that an order scaled to survives both, and the
// counters go on.

// beginStart gives an app that does not run its workers again, or a held slot its one. What runs is left as it is.
func (b *Book) beginStart(o *order, a App) error {
	if o.Slot != nil {
		if err := b.mustRun(o, a); err != nil {
			return err
		}
		b.fill(o, a)
		return nil
	}
	switch {
	case a.NextBy != 0:
		b.enter(o, following)
	case a.ended() || a.shown() == apps.Stopping:
		if !a.ended() && !a.Halted {
			return api.Refuse(http.StatusConflict, "cannot start app %s: it is ending", a.Name)
		}
		b.claim(o)
		b.enter(o, ending)
	default:
		o.total = a.Pool.Wanted()
		b.enter(o, starting)
		if a.State != apps.Waiting && a.State != apps.Blocked {
			b.emit(Pool{a.ID, pool.Release{Slot: -1}})
		}
	}
	b.emit(Do{apps.StartNeeds{App: a.ID}})
	return nil
}

// beginRestart stops a run, or one slot, and starts it again. What is on disk is read before, so that a program that is not
// there stops nothing.
func (b *Book) beginRestart(o *order, a App) error {
	switch {
	case o.Slot != nil:
		return b.restartSlot(o, a)
	case a.ended() || a.NextBy != 0 || a.shown() == apps.Stopping:
		return b.beginStart(o, a)
	case a.Shared:
		return api.Refuse(http.StatusConflict, "app %s is just taking over from another: try again when that has ended", a.Name)
	}
	b.claim(o)
	b.enter(o, preparing)
	b.emit(Open{o.id, a.ID, true})
	return nil
}

// claim makes an order the one that brings the next run of its app.
func (b *Book) claim(o *order) {
	b.claims[o.app] = o.id
	b.emit(Do{apps.NextRun{App: o.app, Order: o.id}})
}

func (b *Book) disclaim(o *order) {
	delete(b.claims, o.app)
	if _, known := b.apps.App(o.app); known { // else a config has taken it out
		b.emit(Do{apps.NoNextRun{App: o.app, Order: o.id}})
	}
}

// lost says whether the app of an order was stopped while the order was to bring its next run.
func (b *Book) lost(o *order) outcome {
	a, ok := b.apps.App(o.app) // as the core of the apps has it: a config may have taken the app out
	if ok && a.NextBy == o.id && b.claims[o.app] == o.id && !b.apps.Stopping() {
		return outcome{}
	}
	return o.isCancelled("cannot %s app %s: %w", o.Verb, o.name, ErrStopped)
}

// opened goes on with the next run. A run that no order waits for any more is closed.
func (b *Book) opened(ev Opened) {
	o := b.find(ev.Order)
	if o == nil || o.phase != opening && o.phase != preparing {
		b.emit(Close{ev.Order})
		return
	}
	o.prepared, o.next, o.nextWanted = true, ev.Next, ev.Wanted
	if v := b.lost(o); v.err != nil {
		b.emit(Blame{o.app, v.err})
		b.end(o, v.as, v.err)
		return
	}
	if o.phase == opening {
		b.exchange(o)
		return
	}
	a, _ := b.app(o.app)
	if a.ended() { // by itself, and its sockets are closed
		b.emit(Close{o.id})
		o.prepared = false
		b.enter(o, opening)
		b.emit(Open{o.id, a.ID, false})
		return
	}
	b.enter(o, replacing)
	o.total = a.Processes
	b.emit(Hold{o.id})
	b.emit(Do{apps.StopForNext{App: a.ID, Now: o.Now, Reason: o.because("restart")}})
}

func (b *Book) openFailed(ev OpenFailed) {
	o := b.find(ev.Order)
	if o == nil || o.phase != opening && o.phase != preparing {
		return
	}
	b.emit(Blame{o.app, ev.Err})
	b.end(o, failed, ev.Err)
}

// exchange puts the next run in the place of the one that has ended.
func (b *Book) exchange(o *order) {
	old := o.app // which the order claims until the next Tick: those that follow it do not take the old run for the last
	o.prepared = false
	o.app, o.total, o.done, o.tolerant = o.next, o.nextWanted, 0, true
	b.enter(o, starting)
	b.emit(Exchange{o.id, old})
}

// judgeNext judges an order that is to bring the next run of its app, and is not waiting for the shell.
func (b *Book) judgeNext(o *order) outcome {
	if v := b.lost(o); v.err != nil {
		return v
	}
	a, _ := b.app(o.app)
	switch {
	case !a.ended():
	case o.phase == ending:
		b.enter(o, opening)
		b.emit(Open{o.id, a.ID, false})
	default:
		b.exchange(o)
	}
	return outcome{}
}

// judgeFollowing judges an order that waits for the one which brings the next run.
func (b *Book) judgeFollowing(o *order) outcome {
	a, ok := b.named(o.name)
	switch {
	case !ok || a.NextBy == 0 && a.ended() && a.Halted:
		return outcome{cancelled, ErrStopped}
	case a.NextBy != 0:
		return outcome{}
	}
	o.app, o.total, o.tolerant = a.ID, a.Pool.Wanted(), true
	b.enter(o, starting)
	return b.judgeReady(o, a)
}

// judgeReady judges an order that waits until each slot of a run that shall have a ready worker has one. The first failure of a
// start that counts is the order's failure, though the app goes on to try.
func (b *Book) judgeReady(o *order, a App) outcome {
	switch {
	case a.ended() && a.Code != 0:
		return o.fails("cannot %s app %s: %s", o.Verb, a.Name, a.Reason)
	case a.ended() && (a.Halted || b.apps.Stopping()):
		return o.isCancelled("cannot %s app %s: %w", o.Verb, a.Name, ErrStopped)
	case a.State == apps.Gone:
		return o.isCancelled("cannot %s app %s: it was taken out of the config meanwhile", o.Verb, a.Name)
	case a.ended():
		return outcome{as: done} // its work is done already
	}
	if o.failure.err == nil && a.State == apps.Blocked {
		o.failure = o.fails("app %s is not started: %s", a.Name, a.Missing)
	}
	if o.failure.err == nil && a.Pool.Settled() {
		return outcome{as: done}
	}
	return o.failure
}
