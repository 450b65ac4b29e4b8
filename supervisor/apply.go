package supervisor

import (
	"maps"
	"reflect"
	"slices"

	"github.com/tinehq/tine/supervisor/pool"
)

// applyConfig makes a validated config the one that runs. Each app is compared on
// its own: what can change under running workers does so now, what a worker is
// started with is rolled, and an app that is as it was is not touched.
func (l *loop) applyConfig(c *Config) {
	if l.stopping {
		l.logs.Warn().Msg("configuration not applied: stopping")
		return
	}
	c = c.WithDefaults()
	for _, a := range l.apps {
		if !a.ended && !slices.ContainsFunc(c.Apps, func(n App) bool { return n.Name == a.name }) {
			l.logs.Info().Str("app", a.name).Msg("app is no longer in the config; stopping it")
			l.step(a, pool.Stop{})
		}
	}
	for _, config := range c.Apps {
		l.applyApp(config)
	}
	l.applySources(c.Cache)
	l.logs.setLevel(c.Log.Level)
	l.logs.Info().Str("file", c.Path()).Msg("configuration applied")
}

func (l *loop) applyApp(config App) {
	a := l.find(config.Name)
	if a != nil && a.ended {
		// Its name is free again.
		l.apps = slices.DeleteFunc(l.apps, func(x *app) bool { return x == a })
		a = nil
	}
	if a == nil {
		a, err := openApp(config)
		if err != nil {
			l.logs.Error().Str("app", config.Name).Err(err).Msg("app not started")
			return
		}
		l.apps = append(l.apps, a)
		l.logs.Info().Str("app", a.name).Strs("listen", a.listening()).Msg("starting")
		l.step(a, pool.Start{})
		return
	}
	old := a.config
	if !slices.Equal(old.Listen, config.Listen) {
		l.logs.Warn().Str("app", a.name).Strs("listen", old.Listen).Msg("the app keeps its addresses: new ones take effect when Tine is started again")
		config.Listen = old.Listen
	}
	if reflect.DeepEqual(old, config) {
		return
	}
	a.config = config
	next := poolConfig(config)
	if config.Workers == old.Workers {
		// Scaled by hand since then, perhaps: that stays.
		next.Workers = a.pool.Status().Wanted
	}
	l.step(a, pool.Reconfigure{Config: next})
	if startedDifferently(old, config) {
		l.step(a, pool.Roll{Reason: "config"})
	}
}

// startedDifferently says whether a worker of b is another process than one of a.
func startedDifferently(a, b App) bool {
	return !slices.Equal(a.Command, b.Command) || a.Dir != b.Dir || !maps.Equal(a.Env, b.Env) ||
		!slices.Equal(a.EnvFiles, b.EnvFiles) || a.GOMAXPROCS != b.GOMAXPROCS || a.GOMEMLIMIT != b.GOMEMLIMIT || a.CPUAffinity != b.CPUAffinity
}

// applySources ends the sources that are gone or changed and starts those that are
// new or changed. A value whose source is gone is gone too.
func (l *loop) applySources(values []CacheValue) {
	for key, j := range l.jobs {
		i := slices.IndexFunc(values, func(v CacheValue) bool { return v.Key == key })
		if i >= 0 && reflect.DeepEqual(values[i], j.config) {
			continue
		}
		l.stopSource(key)
		if i < 0 {
			l.delete(key)
		}
	}
	for _, v := range values {
		if l.jobs[v.Key] == nil {
			l.startSource(v)
		}
	}
}
