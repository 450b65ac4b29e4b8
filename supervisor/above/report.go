package above

import (
	"strconv"
	"time"

	"github.com/tinehq/tine/ipc"
)

// pace is the least time between two looks at how things are: with many workers each look costs something.
const pace = 100 * time.Millisecond

// Report is what a master has told the process above it, and when it tells the next. The loop owns it: it has no lock. All
// methods of a nil Report do nothing.
type Report struct {
	out       *notifier
	stale     bool          // something has happened since the last status was made
	due       time.Time     // when the next status is made, if the last one is stale
	reloads   int           // of the configuration, ordered by a signal and not done
	reloading bool          // RELOADING=1 was told, and READY=1 not since
	status    string        // that was told last
	stopping  bool          // STOPPING=1 was told
	interval  time.Duration // between two pings; 0: none is asked for
	lifeAt    time.Time     // when the next ping is due
	lifeless  bool          // it was reported that no ping is sent
}

// State is how things are when they are looked at.
type State struct {
	Ready    bool // all apps were ready once
	Changing bool // a config is being applied, or a rollout is under way
	Status   string
}

// Open begins to tell. send delivers one notification, within seconds; failed is told the first failure in a row, in another
// goroutine. A sign of life is told each interval; 0: none. The first word also says that this process takes signals.
func Open(send func(lines ...string) error, failed func(error), interval time.Duration, now time.Time) *Report {
	r := &Report{out: newNotifier(send, failed), interval: interval, lifeAt: now, stale: true}
	r.out.setStatus("starting")
	return r
}

// Close tells the end, if it is in order, sends what waits, and ends the goroutine. A master that ends without a word is
// started again.
func (r *Report) Close(inOrder bool) {
	if r == nil {
		return
	}
	if inOrder {
		r.Stopping()
	}
	r.out.close()
}

// Interval is the time between two signs of life; 0: none is asked for.
func (r *Report) Interval() time.Duration {
	if r == nil {
		return 0
	}
	return r.interval
}

// MarkStale has the next look find what has changed.
func (r *Report) MarkStale() {
	if r != nil {
		r.stale = true
	}
}

// LookSoon has the next look come without delay: what is to be seen may be over before the usual one.
func (r *Report) LookSoon() {
	if r != nil {
		r.due = time.Time{}
	}
}

// Ready tells that all apps were ready once.
func (r *Report) Ready() {
	if r == nil {
		return
	}
	r.out.send("READY=1")
	r.stale, r.due = true, time.Time{}
}

// Reloading reports whether a reload was told and its end was not.
func (r *Report) Reloading() bool { return r != nil && r.reloading }

// BeginReload is called before the config is read again because of a signal; tell says so at once, also in the middle of a
// rollout: the sender of the signal waits for an answer to it. EndReload follows.
func (r *Report) BeginReload(tell bool) {
	if r == nil {
		return
	}
	r.reloads++
	r.stale = true
	if tell {
		r.tellReloading()
	}
}

// EndReload is called when the config was read, and is applied or refused.
func (r *Report) EndReload() {
	if r == nil {
		return
	}
	r.reloads--
	r.stale, r.due = true, time.Time{}
}

// tellReloading tells that it changes what runs. The time says which of the orders to do so it has seen: sd_notify(3).
func (r *Report) tellReloading() {
	r.reloading = true
	r.out.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(ipc.Monotonic()/int64(time.Microsecond), 10))
}

// Stopping tells, once, that the master stops.
func (r *Report) Stopping() {
	if r == nil || r.stopping {
		return
	}
	r.stopping, r.stale = true, true
	r.out.send("STOPPING=1")
}

// Ping gives a sign of life outside of Tell: while the loop waits for something with a bound of its own.
func (r *Report) Ping() {
	if r != nil {
		r.out.ping()
	}
}

// Next is when Tell is to be called; zero: at no time.
func (r *Report) Next() time.Time {
	if r == nil {
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

// IsDue reports whether Tell is about to look at how things are.
func (r *Report) IsDue(now time.Time) bool {
	return r != nil && (r.stale && !now.Before(r.due) || r.interval > 0 && !now.Before(r.lifeAt))
}

// Tell gives a sign of life, if one is due and lives says so, and tells what look finds changed, if it is time to. Each of the two
// is called only where it is needed: both look at all apps. It reports whether a sign of life was due and was, for the first time
// in a row, not given.
func (r *Report) Tell(now time.Time, lives func() bool, look func() State) (lifeless bool) {
	if r == nil {
		return false
	}
	if r.interval > 0 && !now.Before(r.lifeAt) {
		r.lifeAt = now.Add(r.interval)
		before := r.lifeless
		if r.lifeless = !lives(); !r.lifeless {
			r.out.ping()
		}
		lifeless = r.lifeless && !before
	}
	if !r.stale || now.Before(r.due) {
		return lifeless
	}
	is := look()
	r.stale, r.due = false, now.Add(pace)
	if busy := r.reloads > 0 || is.Changing; is.Ready && !r.stopping && busy != r.reloading {
		if busy {
			r.tellReloading()
		} else {
			r.reloading = false
			r.out.send("READY=1")
		}
	}
	if is.Status != r.status {
		r.status = is.Status
		r.out.setStatus(is.Status)
	}
	return lifeless
}
