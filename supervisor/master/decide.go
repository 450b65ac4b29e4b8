package master

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/estate"
	"github.com/tinehq/tine/supervisor/journal"
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
		l.crew.Start(l.byID[e.App], e.Anew)
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
		l.plans.Change(l.byID[e.App], e.Stopped)
	case apps.Forget:
		l.byID[e.App].Releases.Forget()
		delete(l.byID, e.App)
	case apps.OrderStart:
		l.desk.Start(e.App, e.Reason)
	case apps.Close:
		l.crew.Close(l.byID[e.App], e)
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
		o := apps.Opened{ID: a.ID(), Spec: crew.SpecOf(a.Config), Facts: a.Pool.Brief()}
		if a.Replaces != nil {
			o.Replaces, a.Replaces = a.Replaces.ID(), nil
		}
		opened = append(opened, o)
	}
	return opened
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
	l.event(nil, zerolog.InfoLevel, api.Event{Kind: api.EventStopping, Reason: e.Reason, Message: "tine is stopping: " + e.Reason})
	if e.Delay > 0 {
		l.estate.SaveAll()
	}
}

// tellRecord tells what the core has recorded, in the log and in the book of events.
func (l *loop) tellRecord(r apps.Record) {
	a, name := l.byID[r.App], ""
	if a != nil {
		name = a.Name
	}
	journal.TellApps(r, name, func(level zerolog.Level) *zerolog.Event { return l.logs.WithLevel(level) },
		func(level zerolog.Level, e api.Event) { l.event(a, level, e) })
}
