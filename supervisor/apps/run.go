package apps

import (
	"time"

	"github.com/tinehq/tine/supervisor/civil"
	"github.com/tinehq/tine/supervisor/pool"
)

// Run is one run of an app, from when its sockets are open until it is forgotten. All of it is read by methods; only Step
// changes it. It is not safe for concurrent use.
type Run struct {
	id     ID
	spec   Spec
	state  State
	why    Why
	facts  pool.Brief // of the last step of its pool
	origin Origin

	everReady bool    // all its workers were ready at the same time once
	missing   string  // what it waits for, in words
	parting   string  // why its workers go, where that is not a stop
	next      OrderID // that brings the next run; 0: none
	replaces  ID      // the run that leaves when this one is ready; 0: none

	code   int
	reason string // of its end

	clock   *civil.Clock // of its schedule; nil: none
	due     time.Time    // as the last master has saved it, until clock is set
	watched bool         // its files are watched
	hooks   hooks

	vain    bool // it waits in vain: found by reconsiderAll
	unsaved bool // something has changed that the record has
	removed bool // it is in the list no more
}

// ID is that of the run.
func (r *Run) ID() ID { return r.id }

// Name is that of the app.
func (r *Run) Name() string { return r.spec.Name }

// State is where the run is.
func (r *Run) State() State { return r.state }

// Shown is the state that people are told, one of Running, Waiting, Stopping, Finished, Failed and Stopped: what an order is
// about to start counts as running.
func (r *Run) Shown() State {
	switch r.state {
	case Ending, Leaving, Stopping, Killing:
		if r.why == NotAtStart {
			return Waiting // for its time
		}
		return Stopping
	}
	switch {
	case r.next != 0:
		return Running
	case r.state == Blocked, r.state == Later:
		return Waiting
	case r.state == Gone:
		return r.endedAs()
	}
	return r.state
}

// endedAs is how a run has ended, whatever it has left for.
func (r *Run) endedAs() State {
	if r.code != 0 {
		return Failed
	}
	return Finished
}

// Why is for what the run leaves, or has left.
func (r *Run) Why() Why { return r.why }

// Ended says whether its pool is done.
func (r *Run) Ended() bool { return r.state.Ended() }

// Leaves says whether it was told to stop, or is about to be, or has ended by that.
func (r *Run) Leaves() bool { return r.why > NotAtStart }

// Halted says whether an order stops it, or has, so that it stays listed.
func (r *Run) Halted() bool { return r.why == ByStop || r.why == ByRestart }

// Waits says whether its pool was never started, though it has not ended: it waits for what it needs, or was told to stop while
// it did.
func (r *Run) Waits() bool {
	return r.state == Waiting || r.state == Blocked || r.facts.Phase == pool.PhaseIdle && (r.state == Leaving || r.state == Stopping || r.state == Killing)
}

// Missing is what it waits for, in words: "db is not ready, job has not finished". Empty if it does not wait.
func (r *Run) Missing() string {
	if r.Waits() {
		return r.missing
	}
	return ""
}

// Exit is how the run has ended: code 0 is success. It means something after the end only.
func (r *Run) Exit() (code int, reason string) { return r.code, r.reason }

// Origin says what has brought it.
func (r *Run) Origin() Origin { return r.origin }

// EverReady says whether all its workers were ready at the same time once.
func (r *Run) EverReady() bool { return r.everReady }

// Next is the order that brings the next run of the app; 0: none does.
func (r *Run) Next() OrderID { return r.next }

// Replaces is the run that leaves when this one is ready; 0: none does. It may have ended.
func (r *Run) Replaces() ID { return r.replaces }

// Starting says whether it has ended and an order brings the next one.
func (r *Run) Starting() bool { return r.Ended() && r.next != 0 }

// ComesAgain says whether the app is started by itself when it has ended: by its schedule, or when its files change.
func (r *Run) ComesAgain() bool {
	return r.spec.OneShot && !r.Leaves() && (r.clock != nil || r.watched)
}

// CanRoll says whether a rollout means something for it now.
func (r *Run) CanRoll() bool { return (r.state == Running || r.state == Ending) && !r.spec.OneShot }

// NextRun is when its schedule is due, if that counts now; zero: at no time.
func (r *Run) NextRun() time.Time {
	if !r.scheduled() {
		return time.Time{}
	}
	return r.clock.Next()
}

func (r *Run) scheduled() bool {
	return r.clock != nil && !r.Waits() && (!r.Ended() || r.ComesAgain())
}

// Holds says whether a drain of one of its workers waits for the hook before_drain, and how long at most: half of the time that
// the worker has in all. 0: it does not wait.
func (r *Run) Holds(d pool.Drain) time.Duration {
	if !r.hooks.opened() {
		return 0
	}
	return max(min(r.spec.Hooks.BeforeDrain, d.Timeout/2), 0)
}

// IsHeld says whether the drain of a worker waits for the hook before_drain.
func (r *Run) IsHeld(id pool.WorkerID) bool { return r.hooks.held(id) != nil }
