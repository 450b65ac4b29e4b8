package apps

import (
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// An Effect is an order to the shell. Those of one Step are carried out in their order, all of them before the next event is
// given to Step: an event that one of them brings about waits until then.
type Effect interface{ effect() }

type (
	// Order says which runs there are, and in which order they are shown: runs have come or gone. It comes before all others.
	Order struct{ Apps []ID }

	// Save comes next: the record of these runs, or of the master itself, is out of date. Now: it is written before anything
	// else is done, else with the next step of a pool, or soon.
	Save struct {
		Apps []ID
		Now  bool
	}

	// Listen: a new run begins to wait or to run, so its sockets are looked after.
	Listen struct{ App ID }

	// Start gives the run's pool pool.Start. Anew: the run has waited, so what its workers are started with is looked up anew.
	Start struct {
		App  ID
		Anew bool
	}

	// Pool gives the run's pool an event.
	Pool struct {
		App   ID
		Event pool.Event
	}

	// Watch has the files of an app watched as its config says; it is repeated when that may have changed. Unwatch ends it.
	Watch   struct{ App ID }
	Unwatch struct{ App ID }

	// RunHook starts a hook. HookEnded follows, in a bounded time. At most one of each kind runs for a run.
	RunHook struct {
		App        ID
		Hook       Hook
		Generation int
		Workers    []HookWorker // that it is about: none for AfterReady
		Code       int          // OnCrash: of the worker's exit
		Signal     int          // OnCrash: that ended the worker; 0: none
	}

	// CancelHooks ends the hooks of a run that only make sense while it runs on: AfterReady, and before_start.
	CancelHooks struct{ App ID }

	// Release tells a worker to drain whose drain was held. Timeout is what is left of its time. The worker may have gone.
	Release struct {
		App   ID
		Drain pool.Drain
	}

	// Serves: a run serves on the sockets that it shares with the one that it replaces, which leaves, or has ended.
	Serves struct{ App ID }

	// Change gives a run the config that was applied, under its name. Stopped: it is for its next run only.
	Change struct {
		App     ID
		Stopped bool
	}

	// Forget: a run that is in the list no more is not remembered any more either. No event names it from here on.
	Forget struct{ App ID }

	// OrderStart is an order of the master's own to start an app that has ended. NextRun follows before any other event, or the
	// order is refused.
	OrderStart struct {
		App    ID
		Reason string
	}

	// Close: a run has ended. Its sockets are given up, and it is told.
	Close struct {
		App    ID
		Code   int
		Reason string
	}

	// AllReady: no app is waited for any more. It comes once in the life of a master and those that follow it.
	AllReady struct{ Failed []ID } // but for these

	// Stops: the master was told to stop.
	Stops struct {
		Reason string
		Now    bool
		Delay  time.Duration // until the drains begin
		Within time.Duration // in which it is to be over; 0: it may take as long as it takes
	}

	// NoTime: the time for the stop is over. What else would be waited for at the end is ended.
	NoTime struct{}

	// Done is the last effect: nothing runs, and nothing can run again. Code is not 0 where an app has failed; App and Reason
	// say which and why.
	Done struct {
		Code        int
		App, Reason string
	}

	// Record is one line of log, and for some kinds an event in the book of events.
	Record struct {
		Kind   Kind
		App    ID
		Reason string
		Next   time.Time // KindLeftOut: when it is run; zero: unknown
		Count  int       // KindMissed: crashes
		State  State     // KindNotAgain, KindImpossible: that the run is in
	}
)

// Kind says what a Record reports.
type Kind uint8

const (
	KindWaiting     Kind = iota // the run waits for what it needs; Reason says what
	KindNotStarted              // likewise, in vain
	KindLeftOut                 // the start of the master leaves it out
	KindCron                    // its schedule is due; Reason is for what follows
	KindWatch                   // its files have changed; Reason is for what follows
	KindNotAgain                // a one-shot app is not run again, because it has not ended
	KindMissed                  // on_crash was not run for some crashes
	KindRemoved                 // it is not in the config any more, and leaves
	KindRemovedSoon             // it is not in the config any more, and leaves when its successor is ready
	KindImpossible              // an event that cannot happen: a bug in the shell. Reason names it
)

var kindNames = [...]string{"waiting", "not started", "left out", "cron", "watch", "not again", "missed", "removed", "removed soon", "impossible"}

func (k Kind) String() string { return kindNames[k] }

// Hook is one of the hooks whose runs are decided here. before_start belongs to the start of a worker.
type Hook uint8

const (
	AfterReady Hook = iota
	BeforeDrain
	OnCrash
)

var hookNames = [...]string{"after_ready", "before_drain", "on_crash"}

func (h Hook) String() string { return hookNames[h] }

// HookWorker is a worker that a hook is about.
type HookWorker struct {
	ID   pool.WorkerID
	Slot int // -1: it was a standby
	PID  int
}

func (Order) effect()       {}
func (Save) effect()        {}
func (Listen) effect()      {}
func (Start) effect()       {}
func (Pool) effect()        {}
func (Watch) effect()       {}
func (Unwatch) effect()     {}
func (RunHook) effect()     {}
func (CancelHooks) effect() {}
func (Release) effect()     {}
func (Serves) effect()      {}
func (Change) effect()      {}
func (Forget) effect()      {}
func (OrderStart) effect()  {}
func (Close) effect()       {}
func (AllReady) effect()    {}
func (Stops) effect()       {}
func (NoTime) effect()      {}
func (Done) effect()        {}
func (Record) effect()      {}
