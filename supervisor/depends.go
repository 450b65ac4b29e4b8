package supervisor

import (
	"maps"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/pool"
)

// An app that depends on others waits with its sockets open, so that who connects
// meanwhile waits too, until each of them is what it needs: ready (all its workers were
// once) or exited (it has finished with code 0). When one has failed it goes on to
// wait, and says so: should somebody start that one again, it follows. A person who
// starts it has those started that do not run. A stop goes the other way: an app is
// told to stop when those that depend on it, and are to stop too, have ended.

// eventWaiting and eventNotStarted are told of an app that waits for others.
const (
	eventWaiting    = "waiting"
	eventNotStarted = "not started"
)

// dependency is what is known of an app that another one depends on.
type dependency struct {
	state     string // of package control; "": there is none of that name
	everReady bool
	starting  bool   // it was stopped or has failed, and is being started again
	blocked   bool   // it waits itself, in vain
	reason    string // of its end
}

// verdict is what a dependency means for who depends on it.
type verdict int

const (
	satisfied verdict = iota
	pending
	failed // and will not come by itself
)

// judge says whether d is what is needed, and if not, why in words.
func (d dependency) judge(name, need string) (verdict, string) {
	switch {
	case d.state == "":
		return failed, "there is no app " + name
	case d.starting:
		return pending, name + " is being started"
	case need == config.DependsReady && d.everReady && d.state == control.AppRunning:
		return satisfied, ""
	case need == config.DependsExited && d.state == control.AppFinished:
		return satisfied, ""
	}
	switch d.state {
	case control.AppGaveUp:
		return failed, name + " has failed: " + d.reason
	case control.AppFinished:
		return failed, name + " has finished and was never ready"
	case control.AppStopped:
		return pending, name + " is stopped"
	case control.AppStopping:
		return pending, name + " is stopping"
	case control.AppWaiting:
		if d.blocked {
			return failed, name + " was not started"
		}
	}
	if need == config.DependsExited {
		return pending, name + " has not finished"
	}
	return pending, name + " is not ready"
}

// judgeAll sums up: the worst verdict, and all that is missing.
func judgeAll(needs map[string]string, find func(name string) dependency) (worst verdict, why string) {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		v, text := find(name).judge(name, needs[name])
		if v != satisfied {
			missing = append(missing, text)
		}
		worst = max(worst, v)
	}
	return worst, strings.Join(missing, ", ")
}

func (l *loop) dependency(name string) dependency {
	a := l.listed(name)
	if a == nil {
		return dependency{}
	}
	return dependency{
		state: a.state(), everReady: a.everReady, blocked: a.blocked, reason: a.reason,
		starting: a.ended && a.next != 0,
	}
}

// start starts an app, or has it wait for those that it depends on.
func (l *loop) start(a *app) {
	l.changed(a)
	if a.config.NotAtStart && !a.ordered && a.history.lastID == 0 {
		l.leaveOut(a)
		return
	}
	l.watch(a)
	a.waiting = len(a.config.DependsOn) > 0
	if !a.waiting {
		l.startNow(a)
		return
	}
	l.reconsider(a)
}

// reconsider starts an app whose waiting is over, or says what it waits for.
func (l *loop) reconsider(a *app) {
	v, why := judgeAll(a.config.DependsOn, l.dependency)
	blocked := v == failed
	switch {
	case v == satisfied:
		l.changed(a)
		a.waiting, a.blocked, a.waitsFor = false, false, ""
		// What it was opened with may be old by now: what it waited for may have made it.
		a.generations[a.pool.Status().Generation] = launch.New(a.config)
		l.startNow(a)
		return
	case why == a.waitsFor && blocked == a.blocked:
		return
	case blocked:
		l.logs.Error().Str("app", a.name).Str("reason", why).Msg("app not started: what it depends on has failed")
		l.event(a, zerolog.ErrorLevel, control.Event{Kind: eventNotStarted, Reason: why, Message: "app " + a.name + " is not started: " + why})
	default:
		l.logs.Info().Str("app", a.name).Str("reason", why).Msg("app waits for what it depends on")
		l.event(a, zerolog.InfoLevel, control.Event{Kind: eventWaiting, Reason: why, Message: "app " + a.name + " waits: " + why})
	}
	l.changed(a)
	a.blocked, a.waitsFor = blocked, why
	l.unsettled = true // others may wait for it
}

// settle carries out what one message made possible or due, in the order that the
// apps' dependencies say. It is called after each.
func (l *loop) settle() {
	if !l.unsettled {
		return
	}
	defer l.judgeReady()
	for l.unsettled {
		l.unsettled = false
		l.stopInOrder()
		l.reconsiderAll()
		l.runDrainHooks()
	}
}

// reconsiderAll does so for all that wait. Who is who is looked up once for all of them.
func (l *loop) reconsiderAll() {
	if l.stopping {
		return
	}
	var waiting []*app
	for _, a := range l.apps {
		if a.waiting && !a.ended && !a.leaving {
			waiting = append(waiting, a)
		}
	}
	if len(waiting) == 0 {
		return
	}
	l.named = make(map[string]*app, len(l.apps))
	for _, a := range l.apps {
		l.named[a.name] = a
	}
	defer func() { l.named = nil }()
	for _, a := range waiting {
		l.reconsider(a)
	}
}

// leave stops an app gracefully, once: a core takes a second stop for one at once. It
// is carried out by settle, when it is known who stops with it.
func (l *loop) leave(a *app) {
	if !a.leaving {
		a.leaving, a.stopDue, l.unsettled = true, true, true
		l.changed(a)
	}
}

// stopInOrder tells those to stop that no other app needs any more.
func (l *loop) stopInOrder() {
	due, under := 0, 0 // to be told; told
	for _, a := range l.apps {
		switch {
		case a.ended || !a.leaving:
			a.stopDue = false
		case a.stopDue && !l.isNeeded(a):
			l.stopNow(a)
			under++
		case a.stopDue:
			due++
		default:
			under++
		}
	}
	if due == 0 || under > 0 {
		return
	}
	// They need each other, which two configs one after the other can bring about.
	for _, a := range l.apps {
		if a.stopDue && !a.ended {
			l.stopNow(a)
		}
	}
}

func (l *loop) stopNow(a *app) {
	a.stopDue = false
	a.cancelHooks()
	l.hurry(a)
	l.step(a, pool.Stop{Reason: l.partingOf(a)})
}

// isNeeded says whether an app that is to stop too, and runs, depends on a.
func (l *loop) isNeeded(a *app) bool {
	return slices.ContainsFunc(l.apps, func(b *app) bool {
		return b != a && b.leaving && !b.ended && !b.waiting && b.config.DependsOn[a.name] != ""
	})
}

// killNow ends an app at once, whoever needs it.
func (l *loop) killNow(a *app) {
	a.leaving, a.stopDue = true, false
	a.cancelHooks()
	l.step(a, pool.Kill{Reason: l.partingOf(a)})
}

// partingOf is why the workers of an app go; empty: it is a stop.
func (l *loop) partingOf(a *app) string {
	if l.stopping {
		return ""
	}
	return a.parting
}

// startDependencies starts those that a depends on and that do not run, because a
// person starts a.
func (l *loop) startDependencies(a *app) {
	for _, name := range slices.Sorted(maps.Keys(a.config.DependsOn)) {
		d := l.listed(name)
		if d == nil || !d.ended || d.next != 0 {
			continue
		}
		if v, _ := l.dependency(name).judge(name, a.config.DependsOn[name]); v != satisfied {
			l.orderOwn(d, "app "+a.name+" depends on it")
		}
	}
}

// trouble is why an app does not run as it should, for the status.
func (a *app) trouble() string {
	if a.waiting && a.waitsFor != "" {
		if a.blocked {
			return "not started: " + a.waitsFor
		}
		return "waits: " + a.waitsFor
	}
	if a.history.error != "" {
		return a.history.error
	}
	if why := a.unreachable(); why != "" || a.ended {
		return why
	}
	return haste(a.pool.Status())
}
