package orders

import (
	"fmt"
	"net/http"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// beginReload orders a rollout and waits for the one that this order has begun, or has its part in: all orders that come during a
// rollout get the same next one. A one-shot app is run again.
func (b *Book) beginReload(o *order, a App) error {
	if a.OneShot {
		return b.beginRestart(o, a)
	}
	return b.beginRollout(o, a, pool.Roll{Reason: o.because("reload")})
}

// beginRollback orders a rollout to the release before. During a rollout that is the release which the rollout replaces: second
// thoughts do not mean one more before.
func (b *Book) beginRollback(o *order, a App) error {
	_, goBack := b.apps.Releases(a.ID)
	switch {
	case a.OneShot:
		return api.Refuse(http.StatusConflict, "app %s is a one-shot: each of its runs takes what is on disk", a.Name)
	case !goBack:
		return api.Refuse(http.StatusConflict, "app %s has no release to go back to: none that differs was replaced since it was started", a.Name)
	}
	return b.beginRollout(o, a, pool.Roll{Reason: o.because("rollback"), Back: true})
}

func (b *Book) beginRollout(o *order, a App, roll pool.Roll) error {
	if err := b.mustRun(o, a); err != nil {
		return err
	}
	switch o.IfRunning {
	case "", api.IfRunningQueue, api.IfRunningRefuse:
	default:
		return api.WrongField("if_running", "if_running is queue or refuse, not %q", o.IfRunning)
	}
	st := a.Pool.Status()
	o.total = st.Wanted
	if r := st.Rollout; r != nil {
		if o.IfRunning == api.IfRunningRefuse {
			return api.Refuse(http.StatusConflict, "app %s is being reloaded already (%s): %d of %d", a.Name, r.Reason, r.Rolled, st.Wanted)
		}
		b.tell(o, api.Progress{State: "queued", Message: fmt.Sprintf("waits for the reload under way (%s): %d of %d", r.Reason, r.Rolled, st.Wanted)})
	}
	b.enter(o, queued)
	b.emit(Pool{a.ID, roll})
	return nil
}

// factRollout learns what has become of the rollout of an order.
func (b *Book) factRollout(o *order, ev Fact) {
	r := ev.Record
	mine := o.phase == rolling && r.Generation == o.generation
	switch r.Kind {
	case pool.KindRolloutBegin:
		if o.phase == queued {
			a, _ := b.app(o.app)
			o.generation, o.total = r.Generation, a.Pool.Wanted()
			b.enter(o, rolling)
			b.tell(o, api.Progress{State: "rolling", Message: fmt.Sprintf("%s of %d workers begins", o.Verb, o.total)})
		}
	case pool.KindRolloutDone:
		o.finished = o.finished || mine
	case pool.KindRolloutAborted:
		if mine && o.failure.err == nil {
			o.failure = o.aborted(r.Reason)
		}
	case pool.KindRolloutCancelled, pool.KindRolloutDropped:
		if mine || o.phase == queued {
			o.failure = o.isCancelled("%s of app %s ended by a stop", o.Verb, o.name)
		}
	default:
		if o.phase == queued {
			return
		}
		if mine && startFailed(r) {
			o.fault(r)
		}
		if mine && r.Kind == pool.KindReady {
			o.done = min(o.done+1, o.total)
		}
		b.step(o, ev, o.done)
	}
}

func (b *Book) judgeRollout(o *order, a App) outcome {
	if o.finished {
		return outcome{as: done}
	}
	if o.failure.err == nil && a.ended() && o.follows {
		o.failure = o.isCancelled("the app has ended")
	}
	if o.failure.err == nil && a.ended() {
		o.failure = o.fails("%s of app %s ended with the app: %s", o.Verb, o.name, a.Reason)
	}
	return o.failure
}
