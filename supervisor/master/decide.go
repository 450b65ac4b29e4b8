package master

import (
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/pool"
)

// The loop decides nothing between apps: it tells the core of package apps what has happened, and carries out what that orders.

// decide gives the core an event and carries out what follows. An event that comes of that is given when the effects of the
// event before are carried out.
func (l *loop) decide(ev apps.Event) {
	l.facts = append(l.facts, ev)
	if l.deciding {
		return
	}
	l.deciding = true
	for len(l.facts) > 0 {
		ev := l.facts[0]
		l.facts = l.facts[1:]
		effects := l.state.Step(time.Now(), ev)
		if _, tick := ev.(apps.Tick); !tick || len(effects) > 0 {
			l.markStale() // a tick that orders nothing has changed nothing
		}
		for _, effect := range effects {
			l.carryOutOfApps(effect)
		}
	}
	l.deciding, l.facts = false, nil
}

func (l *loop) carryOutOfApps(effect apps.Effect) {
	switch e := effect.(type) {
	case apps.Order:
		l.apps = make([]*crew.App, len(e.Apps))
		for i, id := range e.Apps {
			l.apps[i] = l.byID[id]
			l.apps[i].Run = l.state.Run(id)
		}
		l.estate.SaveSoon()
	case apps.Save:
		for _, id := range e.Apps {
			l.touched(l.byID[id])
		}
		l.estate.SaveSoon()
		if e.Now {
			l.estate.SaveChanged()
		}
	case apps.Listen:
		l.crew.Watch(l.byID[e.App])
	case apps.Start:
		l.start(l.byID[e.App], e.Anew)
	case apps.Pool:
		l.step(l.byID[e.App], e.Event)
	case apps.Watch:
		l.crew.WatchFiles(l.byID[e.App])
	case apps.Unwatch:
		l.byID[e.App].EndFileWatch()
	case apps.RunHook:
		l.crew.RunHook(l.byID[e.App], e)
	case apps.CancelHooks:
		l.byID[e.App].CancelHooks()
	case apps.Release:
		if m := l.byID[e.App].Members[e.Drain.ID]; m != nil {
			l.crew.TellDrain(m, e.Drain)
		}
	case apps.Serves:
		// What the one before ordered last must not stay: it orders nothing more.
		l.byID[e.App].Steering.Enforce()
	case apps.Change:
		l.change(l.byID[e.App], e.Stopped)
	case apps.Forget:
		if a := l.byID[e.App]; a.Previous != nil {
			a.Previous.Drop(l.s.pins)
		}
		delete(l.byID, e.App)
	case apps.OrderStart:
		l.desk.Start(e.App, e.Reason)
	case apps.Close:
		l.closeApp(l.byID[e.App], e)
	case apps.AllReady:
		l.allReady(e)
	case apps.Stops:
		l.stops(e)
	case apps.NoTime:
		l.logs.Warn().Msg("the time for the stop is over: not waiting for hooks")
		l.cancel()
	case apps.Done:
		l.end = &e
	case apps.Record:
		l.tellRecord(e)
	default:
		panic("master: effect of the apps without a hand to carry it out")
	}
}

// enter describes apps that are open, and have their keys, to the core.
func (l *loop) enter(all ...*crew.App) (opened []apps.Opened) {
	for _, a := range all {
		l.byID[a.ID()] = a
		o := apps.Opened{ID: a.ID(), Spec: specOf(a.Config), Facts: a.Pool.Brief()}
		if a.Replaces != nil {
			o.Replaces, a.Replaces = a.Replaces.ID(), nil
		}
		opened = append(opened, o)
	}
	return opened
}

// specOf is what the core needs of an app's config.
func specOf(c config.App) apps.Spec {
	s := apps.Spec{
		Name: c.Name, OneShot: c.OneShot, NotAtStart: c.NotAtStart, Watched: len(c.Watch.Paths) > 0,
		Hooks: apps.Hooks{AfterReady: len(c.Hooks.AfterReady.Command) > 0, OnCrash: len(c.Hooks.OnCrash.Command) > 0},
	}
	if len(c.Hooks.BeforeDrain.Command) > 0 {
		s.Hooks.BeforeDrain = c.Hooks.BeforeDrain.Timeout
	}
	for name, what := range c.DependsOn {
		s.Needs = append(s.Needs, apps.Need{Name: name, Exited: what == config.DependsExited})
	}
	slices.SortFunc(s.Needs, func(a, b apps.Need) int { return strings.Compare(a.Name, b.Name) })
	if c.CronRestart != "" {
		s.Schedule, _ = config.ParseSchedule(c.CronRestart) // Validate has done so before
	}
	return s
}

// start starts an app that waits for no other. anew: what it was opened with may be old by now, as what it has waited for may
// have made it.
func (l *loop) start(a *crew.App, anew bool) {
	if anew {
		a.Generations[a.Pool.Status().Generation] = launch.New(a.Config)
	}
	st := a.Sockets.Steering()
	l.logs.Info().Str("app", a.Name).Strs("listen", a.Listening()).Int("workers", a.Pool.Status().Wanted).
		Str("steering", string(st.Kind)).Str("policy", string(st.Policy)).Msg("starting")
	for _, note := range st.Notes {
		l.logs.Info().Str("app", a.Name).Str("steering", string(st.Kind)).Str("note", note).Msg("steering is not what it could be")
	}
	a.OpenHooks(l.ctx)
	l.step(a, pool.Start{})
}

// closeApp gives up what an app has had whose pool is done, and tells its end.
func (l *loop) closeApp(a *crew.App, e apps.Close) {
	level := zerolog.InfoLevel
	a.History.Err = ""
	if e.Code != 0 {
		level, a.History.Err = zerolog.ErrorLevel, e.Reason
	}
	for _, m := range a.Members {
		a.Tally(m) // it outlived SIGKILL; its row goes with the sockets
	}
	for _, g := range a.Generations {
		if g != a.Previous {
			g.Drop(l.s.pins) // a start resolves anew
		}
	}
	l.closeSurplus(a)
	l.crew.SetPulse(a.Sockets)
	if !a.Sockets.Shared() {
		l.estate.SaveChanged() // a record that still has it would miss its sockets
		l.estate.RemoveSockets(a.Sockets)
	}
	a.Sockets.Release()
	l.event(a, level, control.Event{Kind: control.EventAppEnded, Code: e.Code, Reason: e.Reason, Message: "app " + a.Name + " ended: " + e.Reason})
	l.logs.WithLevel(level).Str("app", a.Name).Int("code", e.Code).Str("reason", e.Reason).Msg("app ended")
}

// allReady tells that no app is waited for any more.
func (l *loop) allReady(e apps.AllReady) {
	// A client that has waited for this connects now, and is to find every slot open.
	l.crew.SteerAll()
	l.estate.SaveAll() // a master that takes over has to tell it again
	close(l.s.ready)
	l.tellReady()
	took := api.Milliseconds(time.Since(l.startedAt))
	if len(e.Failed) == 0 {
		l.logs.Info().Float64("took_ms", took).Msg("all workers are ready")
		return
	}
	var lost []string
	for _, id := range e.Failed[:min(len(e.Failed), maxLost)] {
		lost = append(lost, l.byID[id].Name)
	}
	l.logs.Warn().Float64("took_ms", took).Int("failed", len(e.Failed)).Strs("apps", lost).Msg("ready, but for apps that have failed")
}

// maxLost bounds the apps that one line names.
const maxLost = 20

// stops tells that the master is to end.
func (l *loop) stops(e apps.Stops) {
	l.s.server.CallOff(estate.ErrStopping)
	l.tellStopping()
	line := l.logs.Info().Str("reason", e.Reason).Bool("at_once", e.Now)
	if e.Delay > 0 {
		line = line.Dur("delay_ms", e.Delay)
	}
	if e.Within != 0 {
		line = line.Dur("within_ms", e.Within.Round(time.Millisecond))
	}
	line.Msg("stopping")
	l.event(nil, zerolog.InfoLevel, control.Event{Kind: control.EventStopping, Reason: e.Reason, Message: "tine is stopping: " + e.Reason})
	if e.Delay > 0 {
		l.estate.SaveAll()
	}
}

// tellRecord writes what the core has to say to the log and, for some kinds, to the book of events.
func (l *loop) tellRecord(r apps.Record) {
	line := func(level zerolog.Level) *zerolog.Event {
		e := l.logs.WithLevel(level)
		if a := l.byID[r.App]; a != nil {
			e = e.Str("app", a.Name)
		}
		return e
	}
	event := func(level zerolog.Level, kind, said string) {
		a := l.byID[r.App]
		l.event(a, level, control.Event{Kind: kind, Reason: r.Reason, Message: strings.Replace(said, "APP", "app "+a.Name, 1) + r.Reason})
	}
	switch r.Kind {
	case apps.KindWaiting:
		line(zerolog.InfoLevel).Str("reason", r.Reason).Msg("app waits for what it depends on")
		event(zerolog.InfoLevel, eventWaiting, "APP waits: ")
	case apps.KindNotStarted:
		line(zerolog.ErrorLevel).Str("reason", r.Reason).Msg("app not started: what it depends on has failed")
		event(zerolog.ErrorLevel, eventNotStarted, "APP is not started: ")
	case apps.KindLeftOut:
		e := line(zerolog.InfoLevel)
		if !r.Next.IsZero() {
			e = e.Time("next_run", r.Next)
		}
		e.Msg("one-shot app not run at the start")
	case apps.KindCron:
		event(zerolog.InfoLevel, "cron", "APP is restarted: ")
	case apps.KindWatch:
		l.event(l.byID[r.App], zerolog.InfoLevel, control.Event{Kind: "watch", Reason: r.Reason,
			Message: "files of app " + l.byID[r.App].Name + " have changed: " + strings.TrimPrefix(r.Reason, "watch: ")})
	case apps.KindNotAgain:
		line(zerolog.WarnLevel).Str("reason", r.Reason).Str("state", crew.AppWords[r.State]).Msg("one-shot app not run again: it has not ended")
	case apps.KindMissed:
		line(zerolog.WarnLevel).Int("crashes", r.Count).Msg("hook on_crash not run for some crashes: too many at once")
	case apps.KindRemoved:
		line(zerolog.InfoLevel).Msg("app is no longer in the config; stopping it")
	case apps.KindRemovedSoon:
		line(zerolog.InfoLevel).Msg("app is no longer in the config; stopping it when its successor is ready")
	case apps.KindImpossible:
		line(zerolog.ErrorLevel).Str("state", r.State.String()).Str("reason", r.Reason).Msg("this cannot happen; please report it")
	}
}

// eventWaiting and eventNotStarted are told of an app that waits for others.
const (
	eventWaiting    = "waiting"
	eventNotStarted = "not started"
)
