package supervisor

import (
	"github.com/tinehq/tine/supervisor/launch"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/orders"
	"github.com/tinehq/tine/supervisor/pool"
	"golang.org/x/sys/unix"
)

// ordersView is what the book of orders reads of the loop's apps.
type ordersView struct{ l *loop }

func (v ordersView) Listed() (all []apps.ID) {
	for _, a := range v.l.allListed() {
		all = append(all, a.id())
	}
	return all
}

func (v ordersView) App(id apps.ID) (orders.App, bool) {
	a := v.l.runOf(id)
	if a == nil {
		return orders.App{}, false
	}
	return orders.App{
		ID: id, Name: a.name, Namespace: a.config.Namespace, State: a.runState(), Shown: shownStates[a.state()], Halted: a.halted, NextBy: a.next,
		Missing: a.waitsFor, Code: a.code, Reason: a.reason, OneShot: a.config.OneShot, Endless: a.config.StartLimit == 0,
		Shared: a.sockets.shared(), Previous: a.previous != nil, CanGoBack: a.releaseBefore() != nil, Processes: len(a.members),
		Times: patience(a.config), Pool: a.pool,
	}, true
}

func (v ordersView) Patience(id apps.ID) time.Duration { return v.l.patience(v.l.runOf(id)) }

func (v ordersView) Trouble(id apps.ID) string { return v.l.runOf(id).trouble() }

func (v ordersView) Stopping() bool { return v.l.stopping }

// runOf is the app of that ID; nil if it is none of the loop's any more.
func (l *loop) runOf(id apps.ID) *app {
	if l.desk.index == nil {
		l.desk.index = make(map[apps.ID]*app, len(l.apps))
		for _, a := range l.apps {
			l.desk.index[a.id()] = a
		}
	}
	return l.desk.index[id]
}

func (a *app) id() apps.ID { return apps.ID(a.key) }

// state is the app's, in the words of package control.
func (a *app) state() string {
	phase := a.pool.Brief().Phase
	switch {
	case !a.ended && (a.leaving || phase == pool.PhaseStopping || phase == pool.PhaseKilling):
		return control.AppStopping
	case a.next != 0:
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

var shownStates = map[string]apps.State{
	control.AppRunning: apps.Running, control.AppWaiting: apps.Waiting, control.AppStopping: apps.Stopping,
	control.AppStopped: apps.Stopped, control.AppGaveUp: apps.Failed, control.AppFinished: apps.Finished,
}

// runState is the app's, in the words of package apps.
func (a *app) runState() apps.State {
	switch {
	case a.gone():
		return apps.Gone
	case a.awaitsTime():
		return apps.Later
	case a.ended && a.halted:
		return apps.Stopped
	case a.ended && a.code != 0:
		return apps.Failed
	case a.ended:
		return apps.Finished
	case a.leaving:
		return apps.Leaving
	case a.waiting && a.blocked:
		return apps.Blocked
	case a.waiting:
		return apps.Waiting
	}
	if phase := a.pool.Brief().Phase; phase == pool.PhaseStopping || phase == pool.PhaseKilling {
		return apps.Ending
	}
	return apps.Running
}

// releaseBefore is the release that a rollback goes back to; nil: there is none.
func (a *app) releaseBefore() *launch.Generation {
	to := a.previous
	if st := a.pool.Brief(); st.Rolling {
		to = a.generations[st.Generation]
	}
	if to == nil || to.Resolved.Load() == nil {
		return nil
	}
	return to
}

// listed is the app that goes by a name now, whether it runs or not; nil if none does.
func (l *loop) listed(name string) *app {
	last := l.named[name]
	if l.named == nil {
		for _, a := range slices.Backward(l.apps) {
			if a.name == name { // those before it are replaced
				last = a
				break
			}
		}
	}
	if last == nil || last.gone() {
		return nil
	}
	return last
}

// gone says whether an app has ended by a change of the config.
func (a *app) gone() bool { return a.ended && a.leaving && !a.halted }

// allListed are the apps that are shown. One that is replaced by a namesake is not,
// and not one that is gone by a change of the config.
func (l *loop) allListed() (all []*app) {
	seen := make(map[string]bool, len(l.apps))
	for _, a := range slices.Backward(l.apps) {
		if !seen[a.name] && !a.gone() {
			all = append(all, a)
		}
		seen[a.name] = true
	}
	slices.Reverse(all)
	return all
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
