package apps

import (
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// An Event is a fact that the shell observed, or a command that a caller gave it. One that names a run that does not exist, or
// that cannot happen in the run's state, is told as [KindImpossible] and changes nothing.
type Event interface{ event() }

// Facts.
type (
	// Tick says that time goes on. Only then is anything done for which the time has come.
	Tick struct{}

	// Stepped comes once after each Step of a run's pool, when the effects of that Step are carried out.
	Stepped struct {
		App   ID
		Facts pool.Brief
		// Moved: in this step a worker became ready or ended, a slot finished or was closed, or a rollout was done.
		Moved   bool
		Crashes []Crash         // workers that ended unasked, with a code other than 0 or by a signal
		Held    []Held          // drains that wait for the hook before_drain, because Run.Holds said so
		Told    []pool.WorkerID // workers that were told to drain once more: what is held for them is dropped
		Done    *pool.Done      // the pool is done: the run has ended. nil: it goes on
	}

	// HookEnded: a hook that RunHook has started is over, however it went.
	HookEnded struct {
		App  ID
		Hook Hook
	}

	// FilesChanged: watched files of an app have changed, and it has been quiet since.
	FilesChanged struct {
		App  ID
		What string
	}
)

// What the master does.
type (
	// Begin starts a master that follows no other. It comes first, once.
	Begin struct{ Runs []Opened }

	// Restore puts the runs in place that the last master has left. It comes first, once; Resumed follows. What comes between
	// the two is learned, and nothing is decided.
	Restore struct {
		Runs     []Restored // in the order of the config
		Ready    bool       // all runs were ready once
		Stopping bool
		Asked    bool      // by a person
		DrainAt  time.Time // when the drains of the stop begin; zero: they have begun, or there is no stop
		EndBy    time.Time // when the stop must be over; zero: it may take as long as it takes
	}

	// Resumed: what the workers have done meanwhile is told.
	Resumed struct{}

	// Stop ends the master. A second one that a person gives ends all at once, but during the delay it ends only the delay.
	Stop struct {
		Now    bool // at once
		Own    bool // the master's own, and not a person's
		Reason string
	}

	// Opening: the runs of a new config are being opened. Configure or Refuse follows. The master does not end meanwhile. It may
	// come before Resumed: what the last master has not recorded is opened anew.
	Opening struct{}

	// Refuse: the config is not applied.
	Refuse struct{}

	// Configure makes a config the one that runs. Runs that it does not name leave.
	Configure struct {
		Apps []Wanted // in the order of the config
		New  []Opened // the runs that [Apps.Plan] has asked for
	}
)

// Wanted is an app of a config, compared with what there is under its name.
type Wanted struct {
	Spec  Spec
	Equal bool // the run that stays ([Apps.Find]) has this very config
	Rolls bool // its workers were started with something else than this config says, and no rollout is under way that changes it
	Done  bool // a run that has ended by itself had this very config: the app is not started again
}

// Commands for one run, from an order. Which run an order is for it finds out by [Apps.Listed].
type (
	// StopApp ends a run. It stays listed, and only an order starts it again. What was to bring its next run is void.
	StopApp struct {
		App ID
		Now bool // kill it
	}

	// StopForNext ends a run whose next one is prepared: NextRun has come before.
	StopForNext struct {
		App    ID
		Now    bool
		Reason string // for the records of its workers
	}

	// NextRun says that an order brings the next run of an app. Runs that wait for the app go on to wait meanwhile. It is
	// impossible where another order does so already ([Run.Next]), and for a run that leaves, but not by an order. When the run
	// is stopped for another reason, the order brings none any more.
	NextRun struct {
		App   ID
		Order OrderID
	}

	// NoNextRun says that the order brings none. It is ignored if the order does not bring the next run of the app.
	NoNextRun struct {
		App   ID
		Order OrderID
	}

	// Exchange puts the next run of an app in the place of one that has ended.
	Exchange struct {
		App  ID
		Next Opened
	}

	// StartNeeds has the apps started that an app needs and that have ended: see [OrderStart].
	StartNeeds struct{ App ID }
)

// Crash is the unasked end of a worker.
type Crash struct {
	Worker pool.WorkerID
	PID    int
	Slot   int // -1: it was a standby
	Code   int
	Signal int // 0: none
	// Generation is that of the worker.
	Generation int
}

// Held is a drain that waits for its hook.
type Held struct {
	Drain      pool.Drain
	PID        int
	Generation int
}

func (Tick) event()         {}
func (Stepped) event()      {}
func (HookEnded) event()    {}
func (FilesChanged) event() {}
func (Begin) event()        {}
func (Restore) event()      {}
func (Resumed) event()      {}
func (Stop) event()         {}
func (Opening) event()      {}
func (Refuse) event()       {}
func (Configure) event()    {}
func (StopApp) event()      {}
func (StopForNext) event()  {}
func (NextRun) event()      {}
func (NoNextRun) event()    {}
func (Exchange) event()     {}
func (StartNeeds) event()   {}

// name is that of an event, for a record.
func name(ev Event) string {
	switch ev.(type) {
	case Tick:
		return "tick"
	case Stepped:
		return "stepped"
	case HookEnded:
		return "hook ended"
	case FilesChanged:
		return "files changed"
	case Begin:
		return "begin"
	case Restore:
		return "restore"
	case Resumed:
		return "resumed"
	case Stop:
		return "stop"
	case Opening:
		return "opening"
	case Refuse:
		return "refuse"
	case Configure:
		return "configure"
	case StopApp:
		return "stop app"
	case StopForNext:
		return "stop for next"
	case NextRun:
		return "next run"
	case NoNextRun:
		return "no next run"
	case Exchange:
		return "exchange"
	case StartNeeds:
		return "start needs"
	}
	return "unknown event"
}
