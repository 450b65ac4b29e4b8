package plan

import (
	"errors"
	"reflect"
	"slices"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/desk"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/logs"
	"github.com/tinehq/tine/supervisor/pool"
)

// Planner has the config that runs, and the one that is about to. Its methods are called by the loop alone.
type Planner struct {
	loop Loop
	o    Options

	config  *config.Config // that runs, with its defaults
	log     config.Log     // what the log was opened with
	auto    int            // workers of an app whose config leaves their number to the machine
	plan    *plan          // whose apps are being opened, or that is being carried out; nil: no config is being applied
	next    *config.Config // came meanwhile: the newest counts
	callers []ApplyFor
}

// Options are what a Planner is made with.
type Options struct {
	Folder string // that relative paths in a config mean; "": unknown
	Logs   *logs.Logs
	Crew   Crew
	Estate Estate
	// Follow is that of a [desk.Desk].
	Follow func(reason string, answer chan<- desk.Begun) (followed func())
	// Values has the sources of a config run.
	Values func(*config.Config)
}

// Message is something that has come from another goroutine for a Planner. Act runs in the loop and waits for nothing.
type Message interface{ Act(*Planner) }

// Loop is what a Planner asks of the loop that it runs in.
type Loop interface {
	// Post hands m to the loop, from any goroutine but the loop's own. It reports false when the loop has ended; m is still the
	// caller's then. Done is closed when the loop takes no more.
	Post(m Message) bool
	Done() <-chan struct{}
	// Go runs f in a goroutine that the loop waits for at its end.
	Go(f func())
	// Event enters e in the book of events; Stale has a new picture made.
	Event(a *crew.App, level zerolog.Level, e api.Event)
	Stale()

	// State is the core that decides between apps. It is for queries; Decide gives it an event and carries out what follows.
	State() *apps.Apps
	Decide(ev apps.Event)
	// Apps are those that are in charge of something. App is that of a run.
	Apps() []*crew.App
	App(id apps.ID) *crew.App
	// Enter describes apps that are open, and have their keys, to the core.
	Enter(all ...*crew.App) []apps.Opened
}

// Crew is what a Planner has a crew.Crew do.
type Crew interface {
	Step(a *crew.App, ev pool.Event)
	SetPulse(s *crew.Sockets)
	SetInner(a *crew.App)
}

// Estate is what a Planner asks of what the master leaves for the next one.
type Estate interface {
	Given() *crew.Given
	Pins() *launch.Pins
	Number(a *crew.App)
	Changed(a *crew.App)
	SaveAllSoon()
}

// New makes the Planner of a loop that runs c, which has its defaults.
func New(l Loop, c *config.Config, o Options) *Planner {
	return &Planner{loop: l, o: o, config: c, log: c.Log, auto: host.AutoWorkers()}
}

// Config is the config that runs, with its defaults.
func (p *Planner) Config() *config.Config { return p.config }

// Runs says that c runs, as the master before has left it.
func (p *Planner) Runs(c *config.Config) { p.config = c }

// Busy reports whether a config is being applied.
func (p *Planner) Busy() bool { return p.plan != nil }

// Resolved is c with the number of its workers, as the machine gave it when the config was applied: to look it up reads files.
func (p *Planner) Resolved(c config.App) config.App {
	if c.Workers == 0 {
		c.Workers = p.auto
	}
	return c
}

// Apply begins to make a validated config the one that runs. While an earlier one is being opened, it waits; of several that wait the
// newest counts.
func (p *Planner) Apply(c *config.Config) { p.begin(c, false) }

// GoOn is Apply of a config that the last master ran with, or was applying: what it had not come to is done, and nothing is told that
// it has told. A rollout that was aborted is not tried again.
func (p *Planner) GoOn(c *config.Config) { p.begin(c, true) }

// Refuse tells that a config is not applied, and why.
func (p *Planner) Refuse(err error) {
	p.loop.Event(nil, zerolog.ErrorLevel, api.Event{Kind: api.EventConfigRefused, Reason: err.Error(), Message: "configuration not applied"})
	p.o.Logs.Error().Msgf("configuration not applied, everything runs on as it was: %v", err)
}

func (p *Planner) begin(c *config.Config, goesOn bool) {
	if p.loop.State().Stopping() {
		p.o.Logs.Warn().Msg("configuration not applied: stopping")
		return
	}
	if p.plan != nil {
		p.next = c
		return
	}
	n := &plan{asked: c, goesOn: goesOn, config: c.In(p.o.Folder).WithDefaults(), given: p.o.Estate.Given(), pins: p.o.Estate.Pins()}
	p.plan = n
	p.loop.Decide(apps.Opening{})
	opens, goes := p.loop.State().Plan(p.compare(n, false))
	for _, i := range opens {
		n.newcomers = append(n.newcomers, n.config.Apps[i])
	}
	for _, r := range goes {
		if a := p.loop.App(r.ID()); len(a.Config.Listen) > 0 {
			n.leaving = append(n.leaving, predecessor{a, a.Config.Listen})
		}
	}
	var running []string
	for _, a := range p.loop.Apps() {
		if !a.Ended() {
			running = append(running, a.Config.Listen...)
		}
	}
	p.loop.Go(func() {
		if m := (opened{n, n.prepare(running, p.loop.Done())}); !p.loop.Post(m) {
			m.Drop()
		}
	})
}

// opened: what a new config adds is ready to be started, or cannot be. Nothing has changed yet.
type opened struct {
	plan *plan
	err  error
}

// Drop closes what was opened.
func (m opened) Drop() { m.plan.close() }

// Act carries out a plan whose newcomers could all be opened.
func (m opened) Act(p *Planner) {
	n, err := m.plan, m.err
	if err == nil && p.loop.State().Stopping() {
		err = errors.New("stopping")
	}
	if err == nil {
		err = n.ended()
	}
	if ended := (*endedError)(nil); n.goesOn && errors.As(err, &ended) {
		n.close()
		p.plan = nil
		p.GoOn(n.asked) // no caller applies it again; what has ended is opened anew
		return
	}
	if err != nil {
		n.close()
		p.loop.Decide(apps.Refuse{})
		p.Refuse(err)
	} else {
		followed := p.follow(n.asked)
		p.carryOut(n)
		followed()
	}
	p.plan = nil
	p.loop.Stale()
	p.turnAway(n.asked, err)
	if c := p.next; c != nil {
		p.next = nil
		p.Apply(c)
	}
}

// carryOut changes what runs into what the config says. Each app is compared on its own: what can change under running workers does so
// now, what a worker is started with is rolled, and an app that is as it was is not touched.
//
// The config is the one that runs from the first change on: should this master end before the last, the next one makes the rest.
func (p *Planner) carryOut(n *plan) {
	p.config, p.auto = n.config, n.auto
	for _, a := range n.added {
		a.Sockets.Use()
		p.o.Estate.Number(a)
	}
	ev := apps.Configure{Apps: p.compare(n, true), New: p.loop.Enter(n.added...)}
	p.o.Estate.SaveAllSoon() // which of them are listed may change too; and perhaps no app does, so that no step would write it
	p.routeLogs(n)
	p.o.Values(n.config) // first: the workers that are started now are to have what is of this config
	p.loop.Decide(ev)
	p.o.Logs.SetLevel(n.config.Log.Level)
	if n.goesOn {
		return
	}
	if is := n.config.Log; is.File != p.log.File || is.Format != p.log.Format {
		p.o.Logs.Warn().Msg("the log stays where it is: a new file or format takes effect when Tine is started again")
	}
	p.o.Logs.Info().Str("file", n.config.Path()).Msg("configuration applied")
	p.loop.Event(nil, zerolog.InfoLevel, api.Event{Kind: api.EventConfigApplied, Message: "configuration applied"})
}

// find is the app of that name that is to stay, or nil.
func (p *Planner) find(name string) *crew.App {
	if r := p.loop.State().Find(name); r != nil {
		return p.loop.App(r.ID())
	}
	return nil
}

// routeLogs sends the output of each app where its config says when n is carried out. A file that cannot be opened is said when the
// first line comes for it.
func (p *Planner) routeLogs(n *plan) {
	var configs []config.App
	for _, a := range slices.Concat(p.loop.Apps(), n.added) {
		cfg := n.app(a.Name)
		switch stays := p.find(a.Name) == a || a.Run != nil && a.Halted(); {
		case cfg != nil && stays:
			configs = append(configs, *cfg)
		case a.Run == nil || a.Run.State() != apps.Gone && !(stays && a.Ended()):
			configs = append(configs, a.Config)
		}
	}
	_ = p.o.Logs.SetApps(configs, false)
}

// compare describes the apps of a config to the core, compared with what there is under their names. carried: the config is carried out,
// and what cannot change under a running app stays as it is.
func (p *Planner) compare(n *plan, carried bool) (all []apps.Wanted) {
	n.apps = nil
	for _, cfg := range n.config.Apps {
		w := apps.Wanted{Done: p.done(cfg)}
		if a := p.find(cfg.Name); a != nil && carried {
			cfg = p.keeps(a, cfg, n)
			unrolled := a.Unrolled(cfg) && !(n.goesOn && a.History.LastRollout != nil)
			w.Equal = reflect.DeepEqual(a.Config, cfg)
			w.Rolls = config.StartedDifferently(a.Config, cfg) || unrolled
		}
		w.Spec = crew.SpecOf(cfg)
		all, n.apps = append(all, w), append(n.apps, cfg)
	}
	return all
}

// keeps is a new config of a running app with what the app keeps until Tine is started again, which is told.
func (p *Planner) keeps(a *crew.App, cfg config.App, n *plan) config.App {
	old, warn := a.Config, p.o.Logs.Warn
	if n.goesOn {
		warn = p.o.Logs.Debug // the last master has said it
	}
	if !slices.Equal(old.Listen, cfg.Listen) {
		if !n.places.Same(old.Listen, cfg.Listen) { // else it is another way to write them
			warn().Str("app", a.Name).Strs("listen", old.Listen).Msg("the app keeps its addresses: new ones take effect when Tine is started again")
		}
		cfg.Listen = old.Listen
	}
	if steered := cfg.SteeredAs(old); !reflect.DeepEqual(steered, cfg) {
		warn().Str("app", a.Name).Str("policy", old.Policy).Str("steering", old.Steering).Msg("the app keeps its steering: a new policy, kind or bound takes effect when Tine is started again")
		cfg = steered
	}
	return cfg
}

// done is whether an app of this very config has run and ended by itself: it is not started again because another app's config has
// changed.
func (p *Planner) done(c config.App) bool {
	return slices.ContainsFunc(p.loop.Apps(), func(a *crew.App) bool {
		return a.Ended() && !a.Leaves() && a.Name == c.Name && reflect.DeepEqual(a.Config, c)
	})
}

// Change gives an app its part of the config that is being carried out. stopped: it is for the next start.
func (p *Planner) Change(a *crew.App, stopped bool) {
	old, cfg := a.Config, *p.plan.app(a.Name)
	a.Config = cfg
	if stopped {
		if cfg.Workers != old.Workers {
			a.StartWith = p.Resolved(cfg).Workers
		}
		return
	}
	p.o.Crew.SetPulse(a.Sockets)
	p.o.Crew.SetInner(a)
	next := crew.PoolConfig(p.Resolved(cfg))
	if cfg.Workers == old.Workers {
		// Scaled by hand since then, perhaps: that stays.
		next.Workers = a.Pool.Status().Wanted
	}
	p.o.Crew.Step(a, pool.Reconfigure{Config: next})
	p.o.Estate.Changed(a) // the record has the config beside what a step of the pool changes
}
