package master

import (
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/orders"
)

// ordersView is what the book of orders reads of the loop's apps.
type ordersView struct{ l *loop }

func (v ordersView) Listed() (all []apps.ID) {
	for _, a := range v.l.allListed() {
		all = append(all, a.ID())
	}
	return all
}

func (v ordersView) App(id apps.ID) (orders.App, bool) {
	a := v.l.runOf(id)
	if a == nil {
		return orders.App{}, false
	}
	code, reason := a.Run.Exit()
	return orders.App{
		ID: id, Name: a.Name, Namespace: a.Config.Namespace, State: a.Run.State(), Shown: a.Run.Shown(), Halted: a.Halted(), NextBy: a.Run.Next(),
		Missing: a.Run.Missing(), Code: code, Reason: reason, OneShot: a.Config.OneShot, Endless: a.Config.StartLimit == 0,
		Shared: a.Sockets.Shared(), Processes: len(a.Members),
		Times: v.l.resolved(a.Config).Patience(), Pool: a.Pool,
	}, true
}

func (v ordersView) Patience(id apps.ID) time.Duration { return v.l.patience(v.l.runOf(id)) }

func (v ordersView) Trouble(id apps.ID) string { return v.l.runOf(id).Trouble() }

func (v ordersView) Releases(id apps.ID) (previous, goBack bool) {
	a := v.l.runOf(id)
	return a.Previous != nil, a.ReleaseBefore() != nil
}

func (v ordersView) Stopping() bool { return v.l.state.Stopping() }

// runOf is the app of that run; nil if there is none any more.
func (l *loop) runOf(id apps.ID) *crew.App {
	if a := l.byID[id]; a != nil && a.Run != nil {
		return a
	}
	return nil
}

// listed is the app that goes by a name now, whether it runs or not; nil if none does.
func (l *loop) listed(name string) *crew.App { return l.appOf(l.state.Listed(name)) }

// allListed are the apps that are shown.
func (l *loop) allListed() (all []*crew.App) {
	for _, r := range l.state.List() {
		all = append(all, l.appOf(r))
	}
	return all
}

// patience is what an order for a may take: what a may, and what those may that it
// waits for.
func (l *loop) patience(a *crew.App) time.Duration {
	if a.Config.OneShot {
		return config.OneShotTime
	}
	c := l.resolved(a.Config)
	c.ReadyTimeout = c.StartTimeout()
	most := c.Patience()
	for name := range c.DependsOn {
		if d := l.listed(name); d != nil && d != a && !d.Run.EverReady() {
			most = max(most, c.Patience()+l.patience(d))
		}
	}
	return most
}
