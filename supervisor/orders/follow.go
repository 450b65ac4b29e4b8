package orders

import (
	"fmt"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// follow is a config that is being carried out for a request: the rollouts that it brings become orders.
type follow struct {
	request Request
	reason  string
	parts   int
	err     error // why some rollout is not followed
}

// followRollout makes an order of a rollout that the config brings. The order is told the fact with all others.
func (b *Book) followRollout(ev Fact) {
	f, r := b.follow, ev.Record
	if f == nil || r.Reason != f.reason || r.Kind != pool.KindRolloutBegin && r.Kind != pool.KindRolloutQueued {
		return
	}
	mine := func(o *order) bool { return o.request == f.request && o.app == ev.App }
	a, ok := b.app(ev.App)
	if !ok || slices.ContainsFunc(b.orders, mine) {
		return
	}
	if len(b.orders) >= MaxOrders {
		f.err = b.tooMany()
		return
	}
	o := b.newOrder(api.Order{Verb: api.VerbReload, App: a.Name, Reason: f.reason}, a)
	o.request, o.part, o.follows = f.request, f.parts, true
	f.parts++
	b.orders = append(b.orders, o)
	b.enter(o, queued)
}

// followed: the config is carried out, and its rollouts are known.
func (b *Book) followed(ev Followed) {
	f := b.follow
	if f == nil || f.request != ev.Request {
		return
	}
	b.follow = nil
	if f.err == nil {
		b.emit(Begun{f.request, f.parts})
		return
	}
	b.emit(Begun{f.request, f.parts + 1})
	b.emit(Result{f.request, f.parts, f.err})
}

// aborted is the failure of an order whose rollout was.
func (o *order) aborted(why string) outcome {
	if o.follows {
		return o.fails("the configuration is applied, but the reload of app %s was aborted, its old workers stay: %s", o.name, why)
	}
	return o.fails("%s of app %s aborted, the old workers stay: %s", o.Verb, o.name, why)
}

func (o *order) isOverdue(times time.Duration) error {
	if o.follows {
		return fmt.Errorf("the configuration is applied, but the reload of app %s is not done within its own times (%s)", o.name, times)
	}
	return fmt.Errorf("cannot %s app %s: not done within its own times (%s)", o.Verb, o.name, times)
}
