package master

import (
	"math/rand/v2"
	"reflect"
	"slices"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
)

// nextRun is the next run of an app, which is prepared for an order.
type nextRun struct {
	old, next *app
	held      bool // the sockets that both have are counted for it
}

// close gives up its sockets, but those of the run before.
func (n *nextRun) close() {
	switch {
	case n.next.sockets != n.old.sockets:
		n.next.sockets.Close()
	case n.held:
		n.next.sockets.Release()
	}
}

// nextOpened: the next run of an app was prepared, or cannot be.
type nextOpened struct {
	order orders.ID
	nextRun
	err error
}

// openNext prepares the next run of an app in a goroutine, because that may wait: on the sockets of the run before, or on new ones.
func (l *loop) openNext(a *app, e orders.Open) {
	config, wanted, given := a.config, a.pool.Brief().Wanted, l.given
	if a.startWith > 0 {
		wanted = a.startWith
	}
	var keeps *app
	if e.Keep {
		keeps = a
	}
	firstID, number := a.history.LastID+1, a.nextGeneration()
	asked := config
	asked.Workers = max(wanted, 1)
	l.s.wg.Go(func() {
		next, err := openApp(asked, keeps, given)
		if err == nil {
			c := poolConfig(config)
			c.Workers, c.FirstID, c.FirstGeneration, c.Seed = wanted, firstID, number, rand.Uint64()
			g := next.generations[next.pool.Brief().Generation]
			next.config, next.pool, next.replaces = config, pool.New(c), nil
			next.generations = map[int]*launch.Generation{number: g}
			g.Config = config
		}
		if m := (nextOpened{e.Order, nextRun{old: a, next: next}, err}); !l.s.post(m) && err == nil {
			m.close()
		}
	})
}

// nextGeneration is that of a new run, which reads all anew as a rollout does.
func (a *app) nextGeneration() int {
	return max(a.history.LastGeneration, a.pool.Brief().Generation) + 1
}

func (m nextOpened) apply(l *loop) {
	l.changed(m.old)
	if m.err != nil {
		l.order(orders.OpenFailed{Order: m.order, Err: m.err})
		return
	}
	l.number(m.next)
	l.desk.prepared[m.order] = &m.nextRun
	l.order(orders.Opened{Order: m.order, Next: m.next.id(), Wanted: m.next.pool.Brief().Wanted})
}

// bringUpToDate gives a run that was prepared, and has not begun, the config that was applied to the one before it meanwhile.
func (l *loop) bringUpToDate(next, old *app) {
	if reflect.DeepEqual(next.config, old.config) {
		return
	}
	number := next.pool.Brief().Generation
	c := poolConfig(l.resolved(old.config))
	c.Workers, c.FirstID, c.FirstGeneration, c.Seed = next.pool.Brief().Wanted, old.history.LastID+1, number, rand.Uint64()
	if old.startWith > 0 {
		c.Workers = old.startWith
	}
	next.config, next.pool = old.config, pool.New(c)
	next.generations = map[int]*launch.Generation{number: launch.New(old.config)}
}

// exchange puts the next run of an app in the place of the one that has ended, and starts it.
func (l *loop) exchange(e orders.Exchange) {
	n := l.desk.prepared[e.Order]
	delete(l.desk.prepared, e.Order)
	old, next := l.runOf(e.App), n.next
	if old == nil || !slices.Contains(l.apps, old) { // a config has taken the app out, which the order learns of
		n.close()
		return
	}
	if !n.held {
		next.sockets.Use()
	}
	next.inherit(old)
	l.bringUpToDate(next, old)
	if n.held {
		next.sockets.Use() // shared, for as long as this takes: they are watched already
		defer next.sockets.Release()
	}
	l.decide(apps.Exchange{App: e.App, Next: l.enter(next)[0]})
	if n.held { // a config may have made it smaller meanwhile
		l.closeSurplus(old)
	}
}
