package supervisor

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/pool"
)

// begin starts to carry out an order on one app, or refuses it.
func (l *loop) begin(o *order, a *app) error {
	l.changed(a)
	l.lookNow()
	if o.Slot != nil {
		switch o.Verb {
		case control.VerbStart, control.VerbRestart, control.VerbDrain, control.VerbSignal:
		default:
			return wrongField("slot", "%s is not for one slot", o.Verb)
		}
		if err := a.checkSlot(*o.Slot); err != nil {
			return err
		}
	}
	switch o.Verb {
	case control.VerbStart:
		return l.beginStart(o, a)
	case control.VerbStop:
		return l.beginStop(o, a)
	case control.VerbRestart:
		return l.beginRestart(o, a)
	case control.VerbReload:
		return l.beginReload(o, a)
	case control.VerbRollback:
		return l.beginRollback(o, a)
	case control.VerbScale:
		return l.beginScale(o, a)
	case control.VerbDrain:
		return l.beginDrain(o, a)
	case control.VerbSignal:
		return l.beginSignal(o, a)
	}
	return control.Unknown("verb", o.Verb, []string{control.VerbStart, control.VerbStop, control.VerbRestart,
		control.VerbReload, control.VerbRollback, control.VerbScale, control.VerbDrain, control.VerbSignal})
}

func (a *app) checkSlot(slot int) error {
	n := a.pool.Status().Wanted
	if slot >= 0 && slot < n {
		return nil
	}
	r := control.Refuse(http.StatusNotFound, "app %s has no slot %d: it has %d to %d", a.name, slot, 0, n-1)
	if n == 0 {
		r.Detail = fmt.Sprintf("app %s has no slot: it is scaled to nothing", a.name)
	}
	r.Field = "slot"
	return r
}

// mustRun refuses what makes no sense for an app that does not run.
func (a *app) mustRun(verb string) error {
	if state := a.state(); state != control.AppRunning {
		r := control.Refuse(http.StatusConflict, "cannot %s app %s: it is %s", verb, a.name, pastState(state))
		if state == control.AppWaiting {
			r.Detail = fmt.Sprintf("cannot %s app %s: it %s", verb, a.name, a.trouble())
			return r
		}
		if state != control.AppStopping {
			r.Detail += "; start it"
		}
		return r
	}
	if a.opening != nil || a.pool.Status().Phase == "idle" {
		return control.Refuse(http.StatusConflict, "cannot %s app %s: it is only being started", verb, a.name)
	}
	return nil
}

func pastState(state string) string {
	if state == control.AppGaveUp {
		return "not running: its start gave up"
	}
	return state
}

// state is the app's, in the words of package control.
func (a *app) state() string {
	phase := a.pool.Status().Phase
	switch {
	case !a.ended && (a.leaving || phase == "stopping" || phase == "killing"):
		return control.AppStopping
	case a.opening != nil:
		return control.AppRunning
	case a.waiting:
		return control.AppWaiting
	case a.awaitsTime():
		return control.AppWaiting
	case a.ended && a.halted:
		return control.AppStopped
	case a.ended && a.code != 0:
		return control.AppGaveUp
	case a.ended:
		return control.AppFinished
	}
	return control.AppRunning
}

// beginReload orders a rollout and waits for the one that this order has begun, or
// has its part in: all who ask during a rollout get the same next one.
func (l *loop) beginReload(o *order, a *app) error {
	if a.config.OneShot {
		return l.beginRestart(o, a)
	}
	return l.beginRollout(o, a, pool.Roll{Reason: because(o.Reason, "reload")}, nil)
}

// beginRollback orders a rollout to the release before. Asked for while a rollout is under way, that is the one which this
// replaces: second thoughts do not mean one more before.
func (l *loop) beginRollback(o *order, a *app) error {
	if a.config.OneShot {
		return control.Refuse(http.StatusConflict, "app %s is a one-shot: each of its runs takes what is on disk", a.name)
	}
	to := a.previous
	if st := a.pool.Status(); st.Rollout != nil {
		to = a.generations[st.Generation]
	}
	if to == nil || to.resolved.Load() == nil {
		return control.Refuse(http.StatusConflict, "app %s has no release to go back to: none that differs was replaced since it was started", a.name)
	}
	return l.beginRollout(o, a, pool.Roll{Reason: because(o.Reason, "rollback"), Back: true}, to)
}

func (l *loop) beginRollout(o *order, a *app, roll pool.Roll, to *generation) error {
	if err := a.mustRun(o.Verb); err != nil {
		return err
	}
	switch o.IfRunning {
	case "", control.IfRunningQueue, control.IfRunningRefuse:
	default:
		return wrongField("if_running", "if_running is queue or refuse, not %q", o.IfRunning)
	}
	st := a.pool.Status()
	if r := st.Rollout; r != nil {
		if o.IfRunning == control.IfRunningRefuse {
			return control.Refuse(http.StatusConflict, "app %s is being reloaded already (%s): %d of %d", a.name, r.Reason, r.Rolled, st.Wanted)
		}
		o.total = st.Wanted
		o.tell(control.Progress{State: "queued", Message: fmt.Sprintf("waits for the reload under way (%s): %d of %d", r.Reason, r.Rolled, st.Wanted)})
	}
	o.total = st.Wanted
	generation, done := 0, 0
	var over error
	finished := false
	o.see = func(e control.Event) {
		switch e.Kind {
		case pool.KindRolloutBegin.String():
			if generation == 0 {
				generation = e.Generation
				o.total = a.pool.Status().Wanted
				o.tell(control.Progress{State: "rolling", Message: fmt.Sprintf("%s of %d workers begins", o.Verb, o.total)})
			}
		case pool.KindRolloutDone.String():
			finished = finished || e.Generation == generation
		case pool.KindRolloutAborted.String():
			if e.Generation == generation && over == nil {
				over = fmt.Errorf("%s of app %s aborted, the old workers stay: %s", o.Verb, a.name, e.Reason)
			}
		case pool.KindRolloutCancelled.String(), pool.KindRolloutDropped.String():
			if generation == 0 || e.Generation == generation {
				over = fmt.Errorf("%s of app %s ended by a stop", o.Verb, a.name)
			}
		default:
			if generation == 0 {
				return
			}
			if e.Generation == generation {
				if startFailed(e) {
					o.failed = e
				}
				if e.Kind == pool.KindReady.String() {
					done = min(done+1, o.total)
				}
			}
			o.step(e, done)
		}
	}
	o.over = func() (bool, error) {
		if finished {
			o.failed = control.Event{}
			return true, nil
		}
		if over == nil && a.ended {
			over = fmt.Errorf("%s of app %s ended with the app: %s", o.Verb, a.name, a.reason)
		}
		return false, over
	}
	if to != nil {
		before := a.generationsHeld()
		a.backTo = to
		l.dropUnheld(a, before)
	}
	l.step(a, roll)
	return nil
}

// because is what the caller says, or else the word for it.
func because(said, otherwise string) string {
	if said == "" {
		return otherwise
	}
	return said
}

// beginScale changes the number of workers and waits until the new ones are ready and
// those too many are gone with their slots.
func (l *loop) beginScale(o *order, a *app) error {
	if err := a.mustRun(o.Verb); err != nil {
		return err
	}
	before := a.pool.Status().Wanted
	n := o.N
	if o.By {
		n += before
	}
	if n < 0 || n > host.MaxWorkers {
		return wrongField("n", "app %s can have 0 to %d workers, not %d", a.name, host.MaxWorkers, n)
	}
	o.total = n
	over := l.awaitReady(o, a, func(slot int) bool { return slot >= before })
	o.over = func() (bool, error) {
		if now := a.pool.Status().Wanted; now != n && !a.ended {
			return false, fmt.Errorf("app %s was scaled to %d by somebody else meanwhile", a.name, now)
		}
		done, err := over()
		return done && len(a.pool.Status().Slots) == n, err
	}
	l.step(a, pool.Scale{N: n})
	l.greet(a)
	return nil
}

// awaitReady makes an order see the app's workers start, and returns what says whether
// all slots that shall have one have a ready worker. The first failure of a start in
// a slot that mustStart holds for is the order's failure: the app goes on to try.
func (l *loop) awaitReady(o *order, a *app, mustStart func(slot int) bool) func() (bool, error) {
	var failure error
	o.see = func(e control.Event) {
		if e.Slot != nil && startFailed(e) {
			o.failed = e
			if mustStart(*e.Slot) {
				failure = fmt.Errorf("cannot %s app %s: %s", o.Verb, a.name, e.Message)
			}
		}
		o.step(e, a.pool.Status().Ready)
	}
	return func() (bool, error) {
		if a.ended {
			if a.code != 0 {
				return false, fmt.Errorf("cannot %s app %s: %s", o.Verb, a.name, a.reason)
			}
			if a.halted || l.stopping {
				return false, fmt.Errorf("cannot %s app %s: it was stopped meanwhile", o.Verb, a.name)
			}
			return true, nil // its work is done already
		}
		if failure == nil {
			failure = a.neverStarted()
		}
		if failure != nil {
			return false, failure
		}
		done := settled(a.pool.Status())
		if done {
			o.failed = control.Event{}
		}
		return done, nil
	}
}

// settled says whether every slot that shall have a worker has a ready one.
func settled(st pool.Status) bool {
	for n := range st.Wanted {
		if n >= len(st.Slots) {
			return false
		}
		if s := st.Slots[n]; s.Held == "" && !s.Finished && !hasReady(s) {
			return false
		}
	}
	return true
}

// beginDrain takes the worker out of one slot. It is done when the slot is empty.
func (l *loop) beginDrain(o *order, a *app) error {
	if err := a.mustRun(o.Verb); err != nil {
		return err
	}
	if o.Slot == nil {
		return wrongField("slot", "say which slot of app %s to drain; to take all of them, stop the app", a.name)
	}
	slot := *o.Slot
	others := 0
	for _, s := range a.pool.Status().Slots {
		if s.Slot != slot && !s.Retiring && hasReady(s) {
			others++
		}
	}
	if others == 0 {
		return control.Refuse(http.StatusConflict, "slot %d is the only one of app %s that serves: stop the app, or scale it first", slot, a.name)
	}
	l.empty(o, a, slot, because(o.Reason, "drain"))
	empty := o.over
	o.over = func() (bool, error) {
		if a.heldSlot(slot) == "" && !a.ended {
			return false, fmt.Errorf("slot %d of app %s was given a worker again by somebody else meanwhile", slot, a.name)
		}
		return empty()
	}
	return nil
}

// empty holds a slot; the order is over when it has no worker.
func (l *loop) empty(o *order, a *app, slot int, why string) {
	o.total = 1
	o.see = func(e control.Event) {
		if e.Slot == nil || *e.Slot != slot {
			return
		}
		gone := 0
		if e.Kind == pool.KindExited.String() {
			gone = 1
		}
		o.step(e, gone)
	}
	o.over = func() (bool, error) {
		if a.ended {
			return false, errors.New("the app has ended meanwhile")
		}
		st := a.pool.Status()
		return slot >= len(st.Slots) || len(st.Slots[slot].Workers) == 0, nil
	}
	l.step(a, pool.Hold{Slot: slot, Reason: why})
	l.greet(a)
}

func (a *app) heldSlot(slot int) string {
	if st := a.pool.Status(); slot < len(st.Slots) {
		return st.Slots[slot].Held
	}
	return ""
}

func hasReady(s pool.SlotStatus) bool {
	return slices.ContainsFunc(s.Workers, func(w pool.WorkerStatus) bool { return w.State == pool.StateReady })
}
