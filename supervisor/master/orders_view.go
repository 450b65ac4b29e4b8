package master

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/orders"
	"golang.org/x/sys/unix"
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
		Times: patience(v.l.resolved(a.Config)), Pool: a.Pool,
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
	most := patience(c)
	for name := range c.DependsOn {
		if d := l.listed(name); d != nil && d != a && !d.Run.EverReady() {
			most = max(most, patience(c)+l.patience(d))
		}
	}
	return most
}

// patience is what one change of an app may take at most: a start of each worker, one
// after the other, with the end of the one before it, twice, for a rollout may wait
// for another.
func patience(c config.App) time.Duration {
	one := c.ReadyTimeout + c.DrainDelay + c.DrainTimeout + 2*c.KillAfter
	attempts := max(c.StartLimit, 1)
	return 2*one*time.Duration(max(c.Slots(), 1)) + (c.ReadyTimeout+c.Backoff.Max)*time.Duration(attempts)
}

// signalOf reads the name of a signal, with or without SIG, in any case, or a number. Number is 0 if there is none.
func signalOf(text string) (number int, name string) {
	name = strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return int(sig), unix.SignalName(sig)
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 && unix.SignalName(syscall.Signal(n)) != "" {
		return n, unix.SignalName(syscall.Signal(n))
	}
	return 0, name
}
