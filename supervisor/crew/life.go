package crew

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// SpecOf is what the core between the apps needs of an app's config.
func SpecOf(c config.App) apps.Spec {
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

// Start starts an app that waits for no other. anew: what it was opened with may be old by now, as what it has waited for may have
// made it.
func (c *Crew) Start(a *App, anew bool) {
	if anew {
		a.Releases.Renew(a.Pool.Brief().Generation, a.Config)
	}
	st := a.Sockets.Steering()
	c.logs.Info().Str("app", a.Name).Strs("listen", a.Listening()).Int("workers", a.Pool.Status().Wanted).
		Str("steering", string(st.Kind)).Str("policy", string(st.Policy)).Msg("starting")
	for _, note := range st.Notes {
		c.logs.Info().Str("app", a.Name).Str("steering", string(st.Kind)).Str("note", note).Msg("steering is not what it could be")
	}
	a.OpenHooks(c.loop.Context())
	c.SetInner(a)
	c.Step(a, pool.Start{})
}

// Close gives up what an app has whose pool is done, and tells its end.
func (c *Crew) Close(a *App, e apps.Close) {
	level := zerolog.InfoLevel
	a.History.Err = ""
	if e.Code != 0 {
		level, a.History.Err = zerolog.ErrorLevel, e.Reason
	}
	for _, m := range a.Members {
		a.Tally(m) // it outlived SIGKILL; its row goes with the sockets
	}
	a.Releases.Close()
	c.CloseSurplus(a)
	c.SetPulse(a.Sockets)
	if !a.Sockets.Shared() {
		c.estate.SaveChanged() // a record that still has the app would miss its sockets
		c.estate.RemoveSockets(a.Sockets)
	}
	folder := filepath.Dir(a.Sockets.Inner())
	a.Sockets.Release()
	if strings.HasSuffix(folder, ".inner") {
		os.Remove(folder) // if it was the last app's
		c.giveAllTickets()
	}
	c.loop.Event(a, level, api.Event{Kind: api.EventAppEnded, Code: e.Code, Reason: e.Reason, Message: "app " + a.Name + " ended: " + e.Reason})
	c.logs.WithLevel(level).Str("app", a.Name).Int("code", e.Code).Str("reason", e.Reason).Msg("app ended")
}

// CloseSurplus closes the slots that only a, which has ended, had workers in: those that the app on the same sockets does not have.
// That app itself closes those whose workers are still leaving it: as long as a worker holds a socket, the kernel counts it.
func (c *Crew) CloseSurplus(a *App) {
	for b := range c.on(a.Sockets) {
		if b == a {
			continue
		}
		for slot := b.Sockets.Slots() - 1; slot >= max(b.Pool.Slots(), 1); slot-- {
			c.estate.CloseSlot(b.Sockets, slot)
		}
	}
}
