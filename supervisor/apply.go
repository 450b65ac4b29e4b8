package supervisor

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
)

// plan is what a new config changes. First everything that it adds is opened, in a
// goroutine because that may wait; only when all of it is there anything changes.
type plan struct {
	asked     *config.Config // as it came
	goesOn    bool           // what the last master ran with, or was applying: nobody has asked for it anew
	config    *config.Config // with its defaults
	newcomers []newcomer
	leaving   []predecessor
	given     *activation
	added     []*app        // the newcomers that are open
	places    config.Places // of all addresses, old and new; known once it is open
}

// newcomer is an app to open.
type newcomer struct {
	config config.App
}

// predecessor is an app that goes because of the same config, or is going already, and the addresses that it has.
type predecessor struct {
	app    *app
	listen []string
}

// applyConfig begins to make a validated config the one that runs. While an earlier
// one is being opened, it waits; of several that wait the newest counts.
func (l *loop) applyConfig(c *config.Config) { l.prepare(c, false) }

func (l *loop) prepare(c *config.Config, goesOn bool) {
	if l.stopping {
		l.logs.Warn().Msg("configuration not applied: stopping")
		return
	}
	if l.opening {
		l.nextConfig = c
		return
	}
	l.opening = true
	l.news()
	p := &plan{asked: c, goesOn: goesOn, config: c.In(l.s.folder).WithDefaults(), given: l.given}
	for _, config := range p.config.Apps {
		if l.find(config.Name) == nil && !l.done(config) && !l.isHalted(config.Name) {
			p.newcomers = append(p.newcomers, newcomer{config})
		}
	}
	var running []string
	for _, a := range l.apps {
		if !a.ended {
			running = append(running, a.config.Listen...)
		}
		if goes := a.leaving || !p.config.Has(a.name); !a.ended && goes && len(a.config.Listen) > 0 {
			p.leaving = append(p.leaving, predecessor{a, a.config.Listen})
		}
	}
	l.s.wg.Go(func() {
		p.places = config.PlacesOf(p.config, running)
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
func (p *plan) predecessor(config config.App) *app {
	for _, old := range p.leaving {
		if len(config.Listen) > 0 && p.places.Same(old.listen, config.Listen) {
			return old.app
		}
	}
	return nil
}

func (p *plan) open() error {
	for _, n := range p.newcomers {
		a, err := openApp(n.config, p.predecessor(n.config), p.given)
		if err != nil {
			p.close()
			return err
		}
		a.added = true
		p.added = append(p.added, a)
	}
	return nil
}

// close gives back what was opened for a plan that is not carried out.
func (p *plan) close() {
	for _, a := range p.added {
		if a.replaces == nil {
			a.sockets.Close()
		}
	}
	p.added = nil
}

// opened carries out a plan whose newcomers could all be opened.
func (l *loop) opened(p *plan, err error) {
	l.opening = false
	l.news()
	if err == nil {
		err = l.outdated(p)
	}
	if err != nil {
		p.close()
		applyFailed{err}.apply(l)
	} else {
		l.carryThrough(p)
	}
	l.applied(p.asked, err)
	if c := l.nextConfig; c != nil {
		l.nextConfig = nil
		l.applyConfig(c)
	}
}

// outdated says what has come in between that makes a plan impossible.
func (l *loop) outdated(p *plan) error {
	if l.stopping {
		return errors.New("stopping")
	}
	for _, a := range p.added {
		if a.replaces != nil && a.replaces.ended {
			return fmt.Errorf("app %s has ended meanwhile and its addresses are closed: apply the configuration again", a.replaces.name)
		}
	}
	return nil
}

// carryThrough changes what runs into what the config says. Each app is compared on
// its own: what can change under running workers does so now, what a worker is
// started with is rolled, and an app that is as it was is not touched.
//
// The config is the one that runs from the first change on: should this master end before the last, the next one makes
// the rest.
func (l *loop) carryThrough(p *plan) {
	l.config = p.config
	for _, config := range p.config.Apps {
		if a := l.find(config.Name); a != nil {
			l.change(a, config, p)
		} else if a := l.listed(config.Name); a != nil && a.halted {
			a.changeHalted(config)
		}
	}
	for _, a := range l.apps {
		switch {
		case p.config.Has(a.name):
		case a.halted: // and stays away
			a.halted, a.leaving, a.next = false, true, 0
		case a.ended || a.leaving:
			a.schedule = nil
			a.endFileWatch()
		case slices.ContainsFunc(p.added, func(n *app) bool { return n.replaces == a }):
			l.logs.Info().Str("app", a.name).Msg("app is no longer in the config; stopping it when its successor is ready")
		default:
			l.logs.Info().Str("app", a.name).Msg("app is no longer in the config; stopping it")
			l.leave(a)
		}
	}
	l.apps = slices.DeleteFunc(l.apps, func(a *app) bool {
		gone := a.ended && a.leaving && !a.halted
		if gone && a.previous != nil {
			a.previous.Drop(l.s.pins)
		}
		return gone
	})
	for _, a := range p.added {
		a.sockets.users++
		l.number(a)
		l.apps = append(l.apps, a)
	}
	if l.kept != nil {
		// Which of them are listed may have changed too; and perhaps no app has, so that no step would write it.
		l.kept.torn, l.saveDue = true, true
	}
	l.routeLogs()
	for _, a := range p.added {
		l.start(a)
	}
	l.applySources(p.config.Cache)
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

// routeLogs sends the output of each app where its config says. A file that cannot be
// opened is said when the first line comes for it.
func (l *loop) routeLogs() {
	var configs []config.App
	for _, a := range l.apps {
		configs = append(configs, a.config)
	}
	_ = l.logs.SetApps(configs, false)
}

// succeed lets the app that a replaces leave, now that a serves on its addresses.
func (l *loop) succeed(a *app) {
	if old := a.replaces; old != nil {
		l.changed(a)
		a.replaces = nil
		if !old.ended {
			l.leave(old)
		}
		// What old ordered last must not stay: it orders nothing more.
		a.admitted, a.steerDue = nil, true
	}
}

func (l *loop) change(a *app, cfg config.App, p *plan) {
	l.changed(a)
	old := a.config
	unrolled := a.unrolled(cfg) && !(p.goesOn && a.history.lastRollout != nil)
	warn := l.logs.Warn
	if p.goesOn {
		warn = l.logs.Debug // the last master has said it
	}
	if !slices.Equal(old.Listen, cfg.Listen) {
		if p.places.Same(old.Listen, cfg.Listen) {
			cfg.Listen = old.Listen // another way to write them
		}
	}
	if !slices.Equal(old.Listen, cfg.Listen) {
		warn().Str("app", a.name).Strs("listen", old.Listen).Msg("the app keeps its addresses: new ones take effect when Tine is started again")
		cfg.Listen = old.Listen
	}
	if steered := cfg.SteeredAs(old); !reflect.DeepEqual(steered, cfg) {
		warn().Str("app", a.name).Str("policy", old.Policy).Str("steering", old.Steering).Msg("the app keeps its steering: a new policy, kind or bound takes effect when Tine is started again")
		cfg = steered
	}
	if reflect.DeepEqual(old, cfg) && !unrolled {
		return
	}
	a.config = cfg
	l.setPulse(a.sockets)
	next := poolConfig(cfg)
	if cfg.Workers == old.Workers {
		// Scaled by hand since then, perhaps: that stays.
		next.Workers = a.pool.Status().Wanted
	}
	l.step(a, pool.Reconfigure{Config: next})
	if a.waiting {
		l.unsettled = true
		return // it is started with what is said then
	}
	l.setSchedule(a)
	l.setFileWatch(a)
	if a.config.OneShot {
		return // the next time
	}
	if config.StartedDifferently(old, cfg) || unrolled {
		l.step(a, pool.Roll{Reason: configReason})
	}
}

// unrolled says whether the workers were started with something else than config
// has, and no rollout is under way that may change it: the last one was aborted.
func (a *app) unrolled(cfg config.App) bool {
	st := a.pool.Status()
	g := a.generations[st.Generation]
	return st.Rollout == nil && g != nil && !g.Back && config.StartedDifferently(g.Config, cfg)
}

// isHalted says whether an app of that name was stopped by an order. It stays so,
// whatever its config becomes.
func (l *loop) isHalted(name string) bool {
	a := l.listed(name)
	return a != nil && a.halted
}

// changeHalted is for the next start.
func (a *app) changeHalted(config config.App) {
	if config.Workers != a.config.Workers {
		a.startWith = config.Slots()
	}
	a.config = config
}

// done is whether an app of this very config has run and ended by itself: it is not
// started again because another app's config has changed.
func (l *loop) done(config config.App) bool {
	return slices.ContainsFunc(l.apps, func(a *app) bool {
		return a.ended && !a.leaving && a.name == config.Name && reflect.DeepEqual(a.config, config)
	})
}

// applySources ends the sources that are gone or changed and starts those that are
// new or changed. A value whose source is gone is gone too.
func (l *loop) applySources(values []config.CacheValue) {
	for key, j := range l.jobs {
		i := slices.IndexFunc(values, func(v config.CacheValue) bool { return v.Key == key })
		if i >= 0 && sameSource(values[i], j.config) {
			continue
		}
		l.stopSource(key)
		if i < 0 {
			l.delete(key)
		}
	}
	for _, v := range values {
		if l.jobs[v.Key] == nil {
			l.startSource(v, false)
		}
	}
}
