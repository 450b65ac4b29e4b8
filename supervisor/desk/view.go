package desk

import (
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/orders"
)

// view is what the book of orders reads of the apps.
type view struct{ loop Loop }

func (v view) Listed() (all []apps.ID) {
	for _, r := range v.loop.State().List() {
		all = append(all, r.ID())
	}
	return all
}

func (v view) App(id apps.ID) (orders.App, bool) {
	a := v.loop.App(id)
	if a == nil {
		return orders.App{}, false
	}
	code, reason := a.Run.Exit()
	return orders.App{
		ID: id, Name: a.Name, Namespace: a.Config.Namespace, State: a.Run.State(), Shown: a.Run.Shown(), Halted: a.Halted(), NextBy: a.Run.Next(),
		Missing: a.Run.Missing(), Code: code, Reason: reason, OneShot: a.Config.OneShot, Endless: a.Config.StartLimit == 0, Target: a.Config.Inner,
		Shared: a.Sockets.Shared(), Processes: len(a.Members),
		Times: v.loop.Resolved(a.Config).Patience(), Pool: a.Pool,
	}, true
}

func (v view) Patience(id apps.ID) time.Duration { return v.patience(v.loop.App(id)) }

// patience is what an order for an app may take: what the app may, and what those may that it waits for.
func (v view) patience(a *crew.App) time.Duration {
	if a.Config.OneShot {
		return config.OneShotTime
	}
	c := v.loop.Resolved(a.Config)
	c.ReadyTimeout = c.StartTimeout()
	most := c.Patience()
	for name := range c.DependsOn {
		if r := v.loop.State().Listed(name); r != nil && r != a.Run && !r.EverReady() {
			most = max(most, c.Patience()+v.patience(v.loop.App(r.ID())))
		}
	}
	return most
}

func (v view) Trouble(id apps.ID) string { return v.loop.App(id).Trouble() }

func (v view) Releases(id apps.ID) (previous, goBack bool) {
	a := v.loop.App(id)
	return a.Releases.HasPrevious(), a.ReleaseBefore() != nil
}

func (v view) Stopping() bool { return v.loop.State().Stopping() }
