package orders

import (
	"fmt"
	"net/http"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

var verbs = []string{api.VerbStart, api.VerbStop, api.VerbRestart, api.VerbReload, api.VerbRollback, api.VerbScale, api.VerbDrain, api.VerbSignal, api.VerbPause, api.VerbResume}

// placed begins a request, or refuses it. Of several apps each is an order of its own: one that is refused has failed, and the
// others go on.
func (b *Book) placed(ev Placed) {
	all, err := b.addressees(ev.Order)
	if err == nil && len(b.orders)+len(all) > MaxOrders {
		err = b.tooMany()
	}
	if err != nil {
		b.emit(Refused{ev.Request, err})
		return
	}
	var begun []*order
	for _, a := range all {
		o := b.newOrder(ev.Order, a)
		o.request, o.part = ev.Request, len(begun)
		if len(all) > 1 && b.passesOver(o, a) {
			text := "app " + a.Name + " is " + words[a.shown()]
			if (o.Verb == api.VerbPause || o.Verb == api.VerbResume) && !a.Target {
				text = "no gateway passes requests on to app " + a.Name
			}
			b.tell(o, api.Progress{State: "skipped", Message: text})
			continue
		}
		begun = append(begun, o)
	}
	b.orders = append(b.orders, begun...) // before they are begun: their first facts are for them
	if len(all) == 1 {
		begun[0].alone = true
		b.placedOne(begun[0], all[0])
		return
	}
	b.emit(Begun{ev.Request, len(begun)})
	for _, o := range begun {
		a, _ := b.app(o.app)
		if err := b.begin(o, a); err != nil {
			b.end(o, refused, err)
		}
	}
}

func (b *Book) placedOne(o *order, a App) {
	switch err := b.begin(o, a); {
	case err != nil:
		b.refuse(o, err)
	case o.phase != signalling && !o.phase.over(): // of which it is not known yet whether it is refused
		b.emit(Begun{o.request, 1})
	}
}

// refuse ends the only order of a request, of which nothing was begun.
func (b *Book) refuse(o *order, err error) {
	b.enter(o, refused)
	b.remove(o)
	b.emit(Refused{o.request, err})
}

// own begins an order of the master's own.
func (b *Book) own(ev Own) {
	a, ok := b.app(ev.App)
	if !ok {
		return
	}
	o := b.newOrder(api.Order{Verb: api.VerbStart, App: a.Name, Reason: ev.Reason}, a)
	if len(b.orders) >= MaxOrders {
		b.emit(Warn{o.name, o.Verb, o.Reason, b.tooMany()})
		return
	}
	b.orders = append(b.orders, o)
	if err := b.begin(o, a); err != nil {
		b.end(o, refused, err)
	}
}

func (b *Book) tooMany() error {
	return api.Refuse(http.StatusTooManyRequests, "%d orders are under way already", len(b.orders))
}

func (b *Book) newOrder(asked api.Order, a App) *order {
	b.last++
	return &order{Order: asked, id: b.last, app: a.ID, name: a.Name, due: b.now.Add(b.apps.Patience(a.ID) + Grace)}
}

// addressees are the runs that an order is for.
func (b *Book) addressees(o api.Order) ([]App, error) {
	if len(o.Reason) > api.MaxReason {
		return nil, api.WrongField("reason", "a reason has at most %d bytes, not %d", api.MaxReason, len(o.Reason))
	}
	if b.apps.Stopping() && o.Verb != api.VerbStop && o.Verb != api.VerbSignal {
		return nil, api.Refuse(http.StatusConflict, "tine is stopping")
	}
	var all, group []App
	var names []string
	for _, id := range b.apps.Listed() {
		a, ok := b.app(id)
		if !ok {
			continue
		}
		if o.App != "" && a.Name == o.App {
			return []App{a}, nil
		}
		if a.Namespace == o.App {
			group = append(group, a)
		}
		all, names = append(all, a), append(names, a.Name)
	}
	switch {
	case o.App == "" && o.Slot != nil:
		return nil, api.WrongField("slot", "a slot is of one app: name it")
	case o.App == "":
		return all, nil
	case len(group) > 0 && o.Slot == nil:
		return group, nil
	}
	return nil, api.Unknown("app", o.App, names)
}

// passesOver says whether an order for several apps leaves this one as it is. Of an order for it alone that is an error.
func (b *Book) passesOver(o *order, a App) bool {
	switch o.Verb {
	case api.VerbReload, api.VerbRollback:
		if a.OneShot {
			return true
		}
	case api.VerbScale, api.VerbSignal, api.VerbDrain, api.VerbPause, api.VerbResume:
	default:
		return false
	}
	if (o.Verb == api.VerbPause || o.Verb == api.VerbResume) && !a.Target {
		return true
	}
	if a.shown() != apps.Running || o.Verb != api.VerbRollback {
		return a.shown() != apps.Running
	}
	previous, _ := b.apps.Releases(a.ID)
	return !previous && !a.Pool.Brief().Rolling
}

// begin orders the first of an order, or refuses it.
func (b *Book) begin(o *order, a App) error {
	if o.Slot != nil {
		switch o.Verb {
		case api.VerbStart, api.VerbRestart, api.VerbDrain, api.VerbSignal:
		default:
			return api.WrongField("slot", "%s is not for one slot", o.Verb)
		}
		if err := a.checkSlot(*o.Slot); err != nil {
			return err
		}
	}
	switch o.Verb {
	case api.VerbStart:
		return b.beginStart(o, a)
	case api.VerbStop:
		return b.beginStop(o, a)
	case api.VerbRestart:
		return b.beginRestart(o, a)
	case api.VerbReload:
		return b.beginReload(o, a)
	case api.VerbRollback:
		return b.beginRollback(o, a)
	case api.VerbScale:
		return b.beginScale(o, a)
	case api.VerbDrain:
		return b.beginDrain(o, a)
	case api.VerbSignal:
		return b.beginSignal(o, a)
	case api.VerbPause, api.VerbResume:
		return b.beginPause(o, a)
	}
	return api.Unknown("verb", o.Verb, verbs)
}

func (a App) checkSlot(slot int) error {
	n := a.Pool.Wanted()
	if slot >= 0 && slot < n {
		return nil
	}
	r := api.Refuse(http.StatusNotFound, "app %s has no slot %d: it has %d to %d", a.Name, slot, 0, n-1)
	if n == 0 {
		r.Detail = fmt.Sprintf("app %s has no slot: it is scaled to nothing", a.Name)
	}
	r.Field = "slot"
	return r
}

// mustRun refuses what makes no sense for an app that does not run.
func (b *Book) mustRun(o *order, a App) error {
	switch shown := a.shown(); {
	case shown == apps.Waiting:
		return api.Refuse(http.StatusConflict, "cannot %s app %s: it %s", o.Verb, a.Name, b.apps.Trouble(a.ID))
	case shown == apps.Stopping:
		return api.Refuse(http.StatusConflict, "cannot %s app %s: it is %s", o.Verb, a.Name, words[shown])
	case shown != apps.Running:
		return api.Refuse(http.StatusConflict, "cannot %s app %s: it is %s; start it", o.Verb, a.Name, words[shown])
	case a.NextBy != 0 || a.Pool.Phase() == pool.PhaseIdle:
		return api.Refuse(http.StatusConflict, "cannot %s app %s: it is only being started", o.Verb, a.Name)
	}
	return nil
}
