package supervisor

import (
	"strconv"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/keeper"
)

// reportPace is the least time between two statuses: to make one costs something with many apps.
const reportPace = 100 * time.Millisecond

// report is what the loop has told the keeper or systemd, and when it tells the next.
type report struct {
	*notifier
	stale     bool          // something has happened since the last status was made
	due       time.Time     // when the next status is made, if the last one is stale
	reloads   int           // of the configuration, ordered by a signal and not done
	reloading bool          // RELOADING=1 was told, and READY=1 not since
	status    string        // that was told last
	stopping  bool          // STOPPING=1 was told
	interval  time.Duration // between two pings; 0: none is asked for
	lifeAt    time.Time     // when the next ping is due
	lifeless  bool          // it was logged that no ping is sent
}

// reloadBegun and reloadEnded are around the loading of a configuration that a signal has asked for.
type (
	reloadBegun struct{}
	reloadEnded struct{}
)

func (reloadBegun) apply(l *loop) {
	l.report.reloads++
	l.lookNow()
	l.markStale()
	if l.state.Ready() && !l.state.Stopping() {
		l.tellReloading() // also in the middle of a rollout: systemctl reload waits for it
	}
}

func (reloadEnded) apply(l *loop) {
	l.report.reloads--
	l.markStale()
	l.report.due = time.Time{}
}

// openReport begins to notify. The first status also says that this process takes signals.
func (l *loop) openReport() {
	c := l.s.keeper
	if c == nil {
		return
	}
	l.report.notifier = newNotifier(c.Notify, func(err error) {
		l.logs.Warn().Err(err).Msg("cannot notify the keeper or systemd")
	})
	l.report.interval = keeper.WatchdogInterval() / 2
	l.report.lifeAt = time.Now()
	l.report.stale = true
	l.report.setStatus("starting")
}

// closeReport tells the end, if it is in order. A master that ends without STOPPING=1 is started again.
func (l *loop) closeReport(inOrder bool) {
	if inOrder {
		l.tellStopping()
	}
	l.report.close()
}

// markStale makes the loop publish a new picture and send a new status line, if that is another one.
func (l *loop) markStale() { l.report.stale, l.timerStale, l.picture.unshown = true, true, true }

// tellReady tells that all apps were ready once.
func (l *loop) tellReady() {
	l.report.change("READY=1")
	l.markStale()
	l.report.due = time.Time{}
}

// tellAdopted tells again what the last master had told, as this one goes on with its work.
func (l *loop) tellAdopted() {
	if l.state.Ready() {
		l.tellReady()
	}
	if l.state.Stopping() {
		l.tellStopping()
	}
}

// tellReloading tells that this master changes what runs. The time says which order to reload it has seen: see sd_notify(3).
func (l *loop) tellReloading() {
	l.report.reloading = true
	l.report.change("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(ipc.Monotonic()/int64(time.Microsecond), 10))
}

func (l *loop) tellStopping() {
	if l.report.stopping {
		return
	}
	l.report.stopping = true
	l.markStale()
	l.report.change("STOPPING=1")
}

// nextReport is when the loop is to make a status, or to ping; zero: at no time.
func (l *loop) nextReport() time.Time {
	r := &l.report
	if r.notifier == nil {
		return time.Time{}
	}
	next := time.Time{}
	if r.interval > 0 {
		next = r.lifeAt
	}
	if r.stale && (next.IsZero() || r.due.Before(next)) {
		next = r.due
	}
	return next
}

// looksNow reports whether tell is about to look at the picture.
func (l *loop) looksNow(now time.Time) bool {
	r := &l.report
	return r.notifier != nil && (r.stale && !now.Before(r.due) || r.interval > 0 && !now.Before(r.lifeAt))
}

// tell pings and sends a new status, if either is due.
func (l *loop) tell(now time.Time) {
	r := &l.report
	if r.notifier == nil {
		return
	}
	if r.interval > 0 && !now.Before(r.lifeAt) {
		r.lifeAt = now.Add(r.interval)
		l.timerStale = true
		l.tellLife()
	}
	if !r.stale || now.Before(r.due) {
		return
	}
	r.stale, r.due = false, now.Add(reportPace)
	l.timerStale = true
	text, rolling := l.s.published.Newest().Describe()
	if busy := r.reloads > 0 || l.plan != nil || rolling; l.state.Ready() && !r.stopping && busy != r.reloading {
		if busy {
			l.tellReloading()
		} else {
			r.reloading = false
			r.change("READY=1")
		}
	}
	if text != r.status {
		r.status = text
		r.setStatus(text)
	}
}

// tellLife pings if every app has a worker, or is about to.
func (l *loop) tellLife() {
	if a := l.s.published.Newest().Lifeless(); a != nil {
		if !l.report.lifeless {
			l.logs.Error().Str("app", a.Name).Msg("the app has no worker and none is about to come; sending no WATCHDOG=1")
		}
		l.report.lifeless = true
		return
	}
	l.report.lifeless = false
	l.report.ping()
}
