package master

import (
	"time"

	"github.com/tinehq/tine/supervisor/above"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/snapshot"
)

// WithKeeper notifies the process above this one, the keeper or systemd: READY=1 when all apps are ready, RELOADING=1 and READY=1
// around a new configuration and around rollouts, STATUS=, STOPPING=1, and WATCHDOG=1 if it is asked for, as long as the
// supervisor goes on and its apps have workers. The client stays the caller's, which closes it after Run. nil does nothing.
func WithKeeper(c *keeper.Client) Option { return func(o *options) { o.keeper = c } }

// reloadBegun and reloadEnded are around the loading of a configuration that a signal has asked for.
type (
	reloadBegun struct{}
	reloadEnded struct{}
)

func (reloadBegun) apply(l *loop) {
	l.crew.LookSoon(time.Now())
	l.markStale()
	l.report.BeginReload(l.state.Ready() && !l.state.Stopping())
}

func (reloadEnded) apply(l *loop) {
	l.markStale()
	l.report.EndReload()
}

// openReport begins to tell the process above how things are, if there is one.
func (l *loop) openReport() {
	if c := l.s.keeper; c != nil {
		l.report = above.Open(c.Notify, func(err error) {
			l.logs.Warn().Err(err).Msg("cannot notify the keeper or systemd")
		}, keeper.WatchdogInterval()/2, time.Now())
	}
}

// markStale has a new picture made at the end of the turn, and a new status sent.
func (l *loop) markStale() {
	l.report.MarkStale()
	l.picture.Stale()
	l.timerStale = true
}

// tellReady tells that all apps were ready once.
func (l *loop) tellReady() {
	l.markStale()
	l.report.Ready()
}

func (l *loop) tellStopping() {
	l.markStale()
	l.report.Stopping()
}

// tellAdopted tells what was told by the last master, whose work goes on.
func (l *loop) tellAdopted() {
	if l.state.Ready() {
		l.tellReady()
	}
	if l.state.Stopping() {
		l.tellStopping()
	}
}

// tell looks at how things are, if it is time to.
func (l *loop) tell(now time.Time) {
	if !l.report.IsDue(now) {
		return
	}
	l.timerStale = true
	picture := l.s.published.Newest()
	var lifeless *snapshot.App
	if l.report.Tell(now, func() bool { lifeless = picture.Lifeless(); return lifeless == nil }, func() above.State {
		text, rolling := picture.Describe()
		return above.State{Ready: l.state.Ready(), Changing: l.plans.Busy() || rolling, Status: text}
	}) {
		l.logs.Error().Str("app", lifeless.Name).Msg("the app has no worker and none is about to come; sending no WATCHDOG=1")
	}
}
