package desk

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
)

// nextRun is the next run of an app, which is prepared for an order.
type nextRun struct {
	old, next *crew.App
	held      bool // the sockets that both have are counted for it
}

// hold counts the sockets that both runs have for the next one too.
func (n *nextRun) hold() {
	n.held = true
	n.next.Sockets.Use()
}

// Drop gives up its sockets, but those of the run before.
func (n *nextRun) Drop() {
	switch {
	case n.next == nil: // it could not be opened
	case n.next.Sockets != n.old.Sockets:
		n.next.Sockets.Close()
	case n.held:
		n.next.Sockets.Release()
	}
}

// opened: the next run of an app was prepared, or cannot be.
type opened struct {
	order orders.ID
	*nextRun
	err error
}

// open prepares the next run of an app in a goroutine, because that may wait: on the sockets of the run before, or on new ones.
func (d *Desk) open(a *crew.App, e orders.Open) {
	config, wanted, given, pins := a.Config, a.Pool.Brief().Wanted, d.loop.Given(), a.Releases.Pins()
	if a.StartWith > 0 {
		wanted = a.StartWith
	}
	var keeps *crew.App
	if e.Keep {
		keeps = a
	}
	firstID, number := a.History.LastID+1, a.NextGeneration()
	asked := config
	asked.Workers = max(wanted, 1)
	d.loop.Go(func() {
		next, err := crew.Open(asked, keeps, given, pins)
		if err == nil {
			c := crew.PoolConfig(config)
			c.Workers, c.FirstID, c.FirstGeneration, c.Seed = wanted, firstID, number, rand.Uint64()
			next.Releases.Renumber(next.Pool.Brief().Generation, number, config)
			next.Config, next.Pool, next.Replaces = config, pool.New(c), nil
		}
		if m := (opened{e.Order, &nextRun{old: a, next: next}, err}); !d.loop.Post(m) {
			m.Drop()
		}
	})
}

func (m opened) Act(d *Desk) {
	d.loop.Changed(m.old)
	if m.err != nil {
		d.step(orders.OpenFailed{Order: m.order, Err: m.err})
		return
	}
	d.loop.Number(m.next)
	d.prepared[m.order] = m.nextRun
	d.step(orders.Opened{Order: m.order, Next: m.next.ID(), Wanted: m.next.Pool.Brief().Wanted})
}

// catchUp gives a run that was prepared, and has not begun, the config that was applied to the one before it meanwhile.
func (d *Desk) catchUp(next, old *crew.App) {
	if reflect.DeepEqual(next.Config, old.Config) {
		return
	}
	number := next.Pool.Brief().Generation
	c := crew.PoolConfig(d.loop.Resolved(old.Config))
	c.Workers, c.FirstID, c.FirstGeneration, c.Seed = next.Pool.Brief().Wanted, old.History.LastID+1, number, rand.Uint64()
	if old.StartWith > 0 {
		c.Workers = old.StartWith
	}
	next.Config, next.Pool = old.Config, pool.New(c)
	next.Releases.Renew(number, old.Config)
}

// exchange puts the next run of an app in the place of the one that has ended, and starts it.
func (d *Desk) exchange(e orders.Exchange) {
	n := d.prepared[e.Order]
	delete(d.prepared, e.Order)
	old, next := d.loop.App(e.App), n.next
	if old == nil || !slices.Contains(d.loop.Apps(), old) { // a config has taken the app out, which the order learns of
		n.Drop()
		return
	}
	if !n.held {
		next.Sockets.Use()
	}
	next.Inherit(old)
	d.catchUp(next, old)
	if n.held {
		next.Sockets.Use() // shared, for as long as this takes: they are watched already
		defer next.Sockets.Release()
	}
	id := d.loop.Enter(next)
	hold, held := old.Pool.RequestsHeld(time.Now())
	d.loop.Decide(apps.Exchange{App: e.App, Next: id})
	if held { // in the same turn: gateways see no app that is not paused
		d.crew.Step(next, hold)
	}
	if n.held { // a config may have made it smaller meanwhile
		d.crew.CloseSurplus(old)
	}
}
