package serve

import (
	"testing"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/fleet/checks"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// TestAgentAnswers holds what HAProxy is told of an app in each state, and of all together.
func TestAgentAnswers(t *testing.T) {
	t.Parallel()
	web := snapshot.App{Name: "web", State: api.AppRunning, Pool: pool.Status{Wanted: 4, Ready: 3}, EverReady: true, Listens: true, MaxInFlight: 8}
	api2 := snapshot.App{Name: "api", State: api.AppRunning, Pool: pool.Status{Wanted: 1, Ready: 1}, EverReady: true, Listens: true}
	job := snapshot.App{Name: "job", State: api.AppRunning, Pool: pool.Status{Wanted: 8}}
	is := func(change func(m *snapshot.Master, web *snapshot.App)) *snapshot.Master {
		w := web
		m := &snapshot.Master{Listed: []*snapshot.App{&w, &api2, &job}}
		change(m, &w)
		return m
	}
	well := is(func(*snapshot.Master, *snapshot.App) {})
	for name, c := range map[string]struct {
		is        *snapshot.Master
		app, want string
	}{
		"one app":       {well, "web", "ready up 75% maxconn:24\n"},
		"without max":   {well, "api", "ready up 100%\n"},
		"all of them":   {well, "", "ready up 80%\n"},
		"unknown":       {well, "wbe", "ready down #there is no app \"wbe\": did you mean web?\n"},
		"no worker":     {is(func(_ *snapshot.Master, w *snapshot.App) { w.Pool.Ready = 0 }), "web", "ready down #web: no worker is ready, of 4\n"},
		"starts":        {is(func(_ *snapshot.Master, w *snapshot.App) { w.EverReady = false }), "web", "ready down #web: starting, 3 of 4 workers are ready\n"},
		"one of them":   {is(func(_ *snapshot.Master, w *snapshot.App) { w.Pool.Ready = 0 }), "", "ready down #web: no worker is ready, of 4\n"},
		"another one":   {is(func(_ *snapshot.Master, w *snapshot.App) { w.Pool.Ready = 0 }), "api", "ready up 100%\n"},
		"app leaves":    {is(func(_ *snapshot.Master, w *snapshot.App) { w.Leaving, w.State = true, api.AppStopping }), "web", "up drain #web: stopping, 3 of 4 workers are ready\n"},
		"tine leaves":   {is(func(m *snapshot.Master, _ *snapshot.App) { m.Stopping = true }), "web", "up drain #tine is stopping\n"},
		"no app at all": {&snapshot.Master{}, "", "ready down #no worker is ready\n"},
	} {
		if got := checks.Answer(agentOf(c.is, c.app)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
