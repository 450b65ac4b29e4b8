package orders

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
)

const (
	// MaxOrders bounds the orders under way, the master's own among them. Each beyond it is refused with 429.
	MaxOrders = 2048
	// Grace is what an order may take beyond the times of its app.
	Grace = 10 * time.Second
)

// Signals finds a signal by a name with SIG, or by a number. Number is 0 if there is none.
type Signals func(text string) (number int, name string)

// Book is all orders under way. It is not safe for concurrent use: one loop owns it.
type Book struct {
	apps    Apps
	signals Signals

	orders []*order // in the order in which they were begun, which is that of their IDs
	last   ID
	claims map[apps.ID]ID // which order brings the next run of an app
	follow *follow        // of the config that is being carried out; nil: of none

	now     time.Time // of the Step under way
	effects []Effect  // likewise

	strict bool                   // tests: a way that is none panics
	went   func(from, next phase) // tests: is told each way
}

// New returns an empty book, which reads of apps what it needs to know.
func New(from Apps, signals Signals) *Book {
	return &Book{apps: from, signals: signals, claims: map[apps.ID]ID{}}
}

// Step takes in one event and returns what to do about it, in order. The slice belongs to the caller.
func (b *Book) Step(now time.Time, ev Event) []Effect {
	b.now = now
	switch ev := ev.(type) {
	case Placed:
		b.placed(ev)
	case Own:
		b.own(ev)
	case Follow:
		b.follow = &follow{request: ev.Request, reason: ev.Reason}
	case Followed:
		b.followed(ev)
	case Fact:
		b.fact(ev)
	case Opened:
		b.opened(ev)
	case OpenFailed:
		b.openFailed(ev)
	case Signalled:
		b.signalled(ev)
	case Paused:
		for _, o := range b.orders {
			o.due = o.due.Add(ev.For)
		}
	case Tick:
		b.tick()
	}
	effects := b.effects
	b.effects = nil
	return effects
}

// Deadline is when the book wants a Tick; zero: not by time.
func (b *Book) Deadline() (next time.Time) {
	for _, o := range b.orders {
		if next.IsZero() || o.due.Before(next) {
			next = o.due
		}
	}
	return next
}

// Len is how many orders are under way.
func (b *Book) Len() int { return len(b.orders) }

// Listens says whether facts mean anything to the book now.
func (b *Book) Listens() bool { return len(b.orders) > 0 || b.follow != nil }

func (b *Book) emit(e Effect) { b.effects = append(b.effects, e) }

func (b *Book) find(id ID) *order {
	i, found := slices.BinarySearchFunc(b.orders, id, func(o *order, id ID) int { return cmp.Compare(o.id, id) })
	if !found {
		return nil
	}
	return b.orders[i]
}

// app is a run as it is with what this Step has ordered already.
func (b *Book) app(id apps.ID) (App, bool) {
	a, ok := b.apps.App(id)
	if ok {
		a.NextBy = b.claims[id]
	}
	return a, ok
}

// tick judges all orders, and ends those whose time is over.
func (b *Book) tick() {
	maps.DeleteFunc(b.claims, func(app apps.ID, id ID) bool { // exchanged by now
		o := b.find(id)
		return o == nil || o.app != app
	})
	for _, o := range slices.Clone(b.orders) {
		b.judge(o)
		if !o.phase.over() && !b.now.Before(o.due) {
			a, _ := b.named(o.name) // its config may have changed
			b.end(o, overdue, o.isOverdue(a.Times))
		}
	}
}

func (b *Book) named(name string) (App, bool) {
	for _, id := range b.apps.Listed() {
		if a, ok := b.app(id); ok && a.Name == name {
			return a, true
		}
	}
	return App{}, false
}

func (b *Book) remove(o *order) {
	b.orders = slices.DeleteFunc(b.orders, func(x *order) bool { return x == o })
}

// end ends an order: it undoes what the order has begun and nothing else would end, and tells the caller.
func (b *Book) end(o *order, as phase, err error) {
	if b.claims[o.app] == o.id {
		b.disclaim(o)
	}
	if o.prepared {
		b.emit(Close{o.id})
		o.prepared = false
	}
	if as == overdue && o.phase == emptying && o.Verb == api.VerbRestart {
		b.refill(o)
	}
	if o.follows && as == cancelled {
		err = nil // that something else was ordered meanwhile is no failure of the config
	}
	b.enter(o, as)
	b.remove(o)
	switch {
	case o.request != 0:
		b.emit(Result{o.request, o.part, o.told(err)})
	case err != nil:
		b.emit(Warn{o.name, o.Verb, o.Reason, err})
	}
}
