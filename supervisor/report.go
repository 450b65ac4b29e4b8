package supervisor

import (
	"strconv"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/keeper"
)

// reportPace is the least time between two looks at how things are: with many workers each costs something.
const reportPace = 100 * time.Millisecond

// report is what the loop has told whoever is above, and when it tells the next.
type report struct {
	*notifier
	stale     bool      // something has happened since it was looked at
	due       time.Time // when it is looked at again, if it is stale
	reloads   int       // of the configuration, asked for by a signal and not done
	reloading bool      // so it was told
	status    string
	stopping  bool          // so it was told
	interval  time.Duration // between two signs of life; 0: nobody asks
	lifeAt    time.Time     // when the next is due
	lifeless  bool          // that there was none was said
}

// reloadBegun and reloadEnded are around the loading of a configuration that a signal has asked for.
type (
	reloadBegun struct{}
	reloadEnded struct{}
)

func (reloadBegun) apply(l *loop) {
	l.report.reloads++
	l.lookNow()
	l.news()
	if l.state.Ready() && !l.state.Stopping() {
		l.tellReloading() // also in the middle of a rollout: who has sent the signal waits for an answer to it
	}
}

func (reloadEnded) apply(l *loop) {
	l.report.reloads--
	l.news()
	l.report.due = time.Time{}
}

// openReport begins to tell. The first word also says that this process takes signals.
func (l *loop) openReport() {
	c := l.s.keeper
	if c == nil {
		return
	}
	l.report.notifier = newNotifier(c.Notify, func(err error) {
		l.logs.Warn().Err(err).Msg("cannot tell whoever is above how things are")
	})
	l.report.interval = keeper.WatchdogInterval() / 2
	l.report.lifeAt = time.Now()
	l.report.stale = true
	l.report.is("starting")
}

// closeReport tells the end, if it is in order. Whoever ends without a word is started again.
func (l *loop) closeReport(inOrder bool) {
	if inOrder {
		l.tellStopping()
	}
	l.report.close()
}

// news says that something has happened that describe may tell of.
func (l *loop) news() { l.report.stale, l.timerStale, l.picture.unshown = true, true, true }

// tellReady tells that all apps were ready once.
func (l *loop) tellReady() {
	l.report.change("READY=1")
	l.news()
	l.report.due = time.Time{}
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

// tellReloading tells that it changes what runs. The time says which of the orders to do so it has seen: sd_notify(3).
func (l *loop) tellReloading() {
	l.report.reloading = true
	l.report.change("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(ipc.Monotonic()/int64(time.Microsecond), 10))
}

func (l *loop) tellStopping() {
	if l.report.stopping {
		return
	}
	l.report.stopping = true
	l.news()
	l.report.change("STOPPING=1")
}

// nextReport is when the loop is to look at how things are, or to give a sign of life; zero: at no time.
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

// looksNow reports whether tell is about to look at how things are.
func (l *loop) looksNow(now time.Time) bool {
	r := &l.report
	return r.notifier != nil && (r.stale && !now.Before(r.due) || r.interval > 0 && !now.Before(r.lifeAt))
}

// tell looks at how things are, if it is time to.
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
		r.is(text)
	}
}

// tellLife gives a sign of life if every app has what it needs.
func (l *loop) tellLife() {
	if a := l.s.published.Newest().Lifeless(); a != nil {
		if !l.report.lifeless {
			l.logs.Error().Str("app", a.Name).Msg("the app has no worker and none is about to come; giving no sign of life to whoever is above")
		}
		l.report.lifeless = true
		return
	}
	l.report.lifeless = false
	l.report.lives()
}
