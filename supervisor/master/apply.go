package master

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/pool"
)

// plan is what a new config changes. First everything that it adds is opened, in a
// goroutine because that may wait; only when all of it is there anything changes.
type plan struct {
	asked     *config.Config // as it came
	goesOn    bool           // it is what the last master ran with, or was applying, and no caller has asked for it anew
	config    *config.Config // with its defaults
	apps      []config.App   // those of config, when it is carried out, with what stays of those that run
	newcomers []config.App   // to open
	leaving   []predecessor
	given     *crew.Given
	added     []*crew.App   // the newcomers that are open
	auto      int           // workers of an app whose config leaves their number to the machine
	places    config.Places // of all addresses, old and new; known once it is open
}

// predecessor is an app that goes because of the same config, or is going already, and the addresses that it has.
type predecessor struct {
	app    *crew.App
	listen []string
}

// applyConfig begins to make a validated config the one that runs. While an earlier
// one is being opened, it waits; of several that wait the newest counts.
func (l *loop) applyConfig(c *config.Config) { l.prepare(c, false) }

func (l *loop) prepare(c *config.Config, goesOn bool) {
	if l.state.Stopping() {
		l.logs.Warn().Msg("configuration not applied: stopping")
		return
	}
	if l.plan != nil {
		l.nextConfig = c
		return
	}
	p := &plan{asked: c, goesOn: goesOn, config: c.In(l.s.folder).WithDefaults(), given: l.estate.Given()}
	l.plan = p
	l.decide(apps.Opening{})
	opens, goes := l.state.Plan(l.compare(p, false))
	for _, i := range opens {
		p.newcomers = append(p.newcomers, p.config.Apps[i])
	}
	for _, r := range goes {
		if a := l.appOf(r); len(a.Config.Listen) > 0 {
			p.leaving = append(p.leaving, predecessor{a, a.Config.Listen})
		}
	}
	var running []string
	for _, a := range l.apps {
		if !a.Ended() {
			running = append(running, a.Config.Listen...)
		}
	}
	l.s.wg.Go(func() {
		p.places, p.auto = config.PlacesOf(p.config, running), host.AutoWorkers()
		err := p.open()
		for until := time.Now().Add(letGoTime); p.goesOn && errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(until); {
			select {
			case <-time.After(letGoPace):
				err = p.open()
			case <-l.s.done:
				until = time.Time{}
			}
		}
		if !l.s.post(appsOpened{p, err}) {
			p.close()
		}
	})
}

// The last master has the sockets of apps that waited for others until its process has ended, which it may be about to.
const (
	// letGoTime bounds how long a config that goes on waits for the addresses in it.
	letGoTime = 10 * time.Second
	// letGoPace is the time between two attempts.
	letGoPace = 100 * time.Millisecond
)

// predecessor is the app on the very addresses of a new one, whatever they are written like.
func (p *plan) predecessor(config config.App) *crew.App {
	for _, old := range p.leaving {
		if len(config.Listen) > 0 && p.places.Same(old.listen, config.Listen) {
			return old.app
		}
	}
	return nil
}

func (p *plan) open() error {
	for _, n := range p.newcomers {
		a, err := crew.Open(n, p.predecessor(n), p.given)
		if err != nil {
			p.close()
			return err
		}
		p.added = append(p.added, a)
	}
	return nil
}

// close gives back what was opened for a plan that is not carried out.
func (p *plan) close() {
	for _, a := range p.added {
		if a.Replaces == nil {
			a.Sockets.Close()
		}
	}
	p.added = nil
}

// opened carries out a plan whose newcomers could all be opened.
func (l *loop) opened(p *plan, err error) {
	if err == nil {
		err = l.outdated(p)
	}
	if ended := (*endedMeanwhile)(nil); p.goesOn && errors.As(err, &ended) {
		p.close()
		l.plan = nil
		l.prepare(p.asked, true) // no caller applies it again; what has ended is opened anew
		return
	}
	if err != nil {
		p.close()
		l.decide(apps.Refuse{})
		applyFailed{err}.apply(l)
	} else {
		followed := l.followRollouts(p.asked)
		l.carryThrough(p)
		followed()
	}
	l.plan = nil
	l.markStale()
	l.notApplied(p.asked, err)
	if c := l.nextConfig; c != nil {
		l.nextConfig = nil
		l.applyConfig(c)
	}
}

// outdated says what has come in between that makes a plan impossible.
func (l *loop) outdated(p *plan) error {
	if l.state.Stopping() {
		return errors.New("stopping")
	}
	for _, a := range p.added {
		if a.Replaces != nil && a.Replaces.Ended() {
			return &endedMeanwhile{a.Replaces.Name}
		}
	}
	return nil
}

// endedMeanwhile says that an app whose sockets another one was opened on has ended, and they with it.
type endedMeanwhile struct{ app string }

func (e *endedMeanwhile) Error() string {
	return fmt.Sprintf("app %s has ended meanwhile and its addresses are closed: apply the configuration again", e.app)
}

// carryThrough changes what runs into what the config says. Each app is compared on
// its own: what can change under running workers does so now, what a worker is
// started with is rolled, and an app that is as it was is not touched.
//
// The config is the one that runs from the first change on: should this master end before the last, the next one makes
// the rest.
func (l *loop) carryThrough(p *plan) {
	l.config, l.auto = p.config, p.auto
	for _, a := range p.added {
		a.Sockets.Use()
		l.estate.Number(a)
	}
	ev := apps.Configure{Apps: l.compare(p, true), New: l.enter(p.added...)}
	l.estate.SaveAllSoon() // which of them are listed may change too; and perhaps no app does, so that no step would write it
	l.routeLogs(p)
	l.decide(ev)
	l.values.Apply(p.config.Cache)
	l.logs.SetLevel(p.config.Log.Level)
	if p.goesOn {
		return
	}
	if n := p.config.Log; n.File != l.logConfig.File || n.Format != l.logConfig.Format {
		l.logs.Warn().Msg("the log stays where it is: a new file or format takes effect when Tine is started again")
	}
	l.logs.Info().Str("file", p.config.Path()).Msg("configuration applied")
	l.event(nil, zerolog.InfoLevel, control.Event{Kind: control.EventConfigApplied, Message: "configuration applied"})
}

// app is the config of the app of that name; nil: there is none.
func (p *plan) app(name string) *config.App {
	i := slices.IndexFunc(p.apps, func(c config.App) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &p.apps[i]
}

// routeLogs sends the output of each app where its config says when p is carried out. A file that cannot be
// opened is said when the first line comes for it.
func (l *loop) routeLogs(p *plan) {
	var configs []config.App
	for _, a := range slices.Concat(l.apps, p.added) {
		cfg := p.app(a.Name)
		switch stays := l.find(a.Name) == a || a.Run != nil && a.Halted(); {
		case cfg != nil && stays:
			configs = append(configs, *cfg)
		case a.Run == nil || a.Run.State() != apps.Gone && !(stays && a.Ended()):
			configs = append(configs, a.Config)
		}
	}
	_ = l.logs.SetApps(configs, false)
}

// compare describes the apps of a config to the core, compared with what there is under their names. carried: the config is carried
// out, and what cannot change under a running app stays as it is.
func (l *loop) compare(p *plan, carried bool) (all []apps.Wanted) {
	p.apps = nil
	for _, cfg := range p.config.Apps {
		w := apps.Wanted{Done: l.done(cfg)}
		if a := l.find(cfg.Name); a != nil && carried {
			cfg = l.keeps(a, cfg, p)
			unrolled := a.Unrolled(cfg) && !(p.goesOn && a.History.LastRollout != nil)
			w.Equal = reflect.DeepEqual(a.Config, cfg)
			w.Rolls = config.StartedDifferently(a.Config, cfg) || unrolled
		}
		w.Spec = crew.SpecOf(cfg)
		all, p.apps = append(all, w), append(p.apps, cfg)
	}
	return all
}

// keeps is a new config of a running app with what the app keeps until Tine is started again, which is told.
func (l *loop) keeps(a *crew.App, cfg config.App, p *plan) config.App {
	old, warn := a.Config, l.logs.Warn
	if p.goesOn {
		warn = l.logs.Debug // the last master has said it
	}
	if !slices.Equal(old.Listen, cfg.Listen) {
		if !p.places.Same(old.Listen, cfg.Listen) { // else it is another way to write them
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

// change gives an app its part of the config that is being carried out. stopped: it is for the next start.
func (l *loop) change(a *crew.App, stopped bool) {
	old, cfg := a.Config, *l.plan.app(a.Name)
	a.Config = cfg
	if stopped {
		if cfg.Workers != old.Workers {
			a.StartWith = l.resolved(cfg).Workers
		}
		return
	}
	l.crew.SetPulse(a.Sockets)
	next := crew.PoolConfig(l.resolved(cfg))
	if cfg.Workers == old.Workers {
		// Scaled by hand since then, perhaps: that stays.
		next.Workers = a.Pool.Status().Wanted
	}
	l.step(a, pool.Reconfigure{Config: next})
	l.changed(a) // the record has the config beside what a step of the pool changes
}

// resolved is c with the number of its workers, as the machine gave it when the config was applied: to look it up reads files.
func (l *loop) resolved(c config.App) config.App {
	if c.Workers == 0 {
		c.Workers = l.auto
	}
	return c
}

// done is whether an app of this very config has run and ended by itself: it is not
// started again because another app's config has changed.
func (l *loop) done(config config.App) bool {
	return slices.ContainsFunc(l.apps, func(a *crew.App) bool {
		return a.Ended() && !a.Leaves() && a.Name == config.Name && reflect.DeepEqual(a.Config, config)
	})
}
