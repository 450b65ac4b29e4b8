package serve

import (
	"strings"
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// TestJudgeOfReadiness holds what /readyz says of each state.
func TestJudgeOfReadiness(t *testing.T) {
	web := snapshot.App{Name: "web", State: api.AppRunning, Pool: pool.Status{Wanted: 2, Ready: 2}, EverReady: true, Listens: true}
	all := func(apps ...snapshot.App) *snapshot.Master {
		m := &snapshot.Master{}
		for i := range apps {
			m.Listed = append(m.Listed, &apps[i])
		}
		return m
	}
	with := func(change func(*snapshot.App)) *snapshot.Master {
		a := web
		change(&a)
		return all(a)
	}
	stops := all(web)
	stops.Stopping = true
	for name, c := range map[string]struct {
		is   *snapshot.Master
		ok   bool
		want string
	}{
		"ready":             {all(web), true, "web: ready, 2 of 2 workers are ready"},
		"one is enough":     {with(func(a *snapshot.App) { a.Pool.Ready = 1 }), true, "web: ready, 1 of 2 workers are ready"},
		"starting":          {with(func(a *snapshot.App) { a.Pool.Ready, a.EverReady = 1, false }), false, "web: starting, 1 of 2 workers are ready"},
		"none any more":     {with(func(a *snapshot.App) { a.Pool.Ready = 0 }), false, "web: no worker is ready, of 2"},
		"scaled to nothing": {with(func(a *snapshot.App) { a.Pool.Ready, a.Pool.Wanted = 0, 0 }), true, "web: scaled to nothing"},
		"waits":             {with(func(a *snapshot.App) { a.State, a.Trouble = api.AppWaiting, "waits: db is not ready" }), false, "web: waits: db is not ready"},
		"gave up":           {with(func(a *snapshot.App) { a.State, a.Trouble = api.AppGaveUp, "exit code 3" }), false, "web: failed: exit code 3"},
		"stops":             {with(func(a *snapshot.App) { a.State = api.AppStopping }), false, "web: stopping, 2 of 2 workers are ready"},
		"was stopped":       {with(func(a *snapshot.App) { a.State = api.AppStopped }), false, "web: stopped"},
		"has finished":      {with(func(a *snapshot.App) { a.State, a.Listens = api.AppFinished, false }), true, "web: finished"},
		"serves no more":    {with(func(a *snapshot.App) { a.State = api.AppFinished }), false, "web: finished"},
		"leaves":            {with(func(a *snapshot.App) { a.State, a.Goes = api.AppStopping, true }), true, "web: stopping, it is no longer in the config"},
		"a job":             {with(func(a *snapshot.App) { a.EverReady, a.Pool.Ready, a.OneShot = false, 0, true }), true, "web: a one-shot app, running"},
		"nothing":           {all(), true, ""},
		"all of it stops":   {stops, false, "tine is stopping\nweb: ready, 2 of 2 workers are ready"},
		"out of reach": {with(func(a *snapshot.App) {
			a.Reaches = []snapshot.Address{{Address: "/run/web.sock", Why: "the file is gone"}}
		}), false,
			"web: /run/web.sock is unreachable: the file is gone; 2 of 2 workers are ready"},
		"one of two": {all(web, snapshot.App{Name: "db", State: api.AppRunning, Pool: pool.Status{Wanted: 1}}), false,
			"web: ready, 2 of 2 workers are ready\ndb: starting, 0 of 1 workers are ready"},
	} {
		if ok, lines := judge(c.is); ok != c.ok || strings.Join(lines, "\n") != c.want {
			t.Errorf("%s: %v, %q", name, ok, lines)
		}
	}
}
