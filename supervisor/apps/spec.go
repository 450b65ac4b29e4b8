package apps

import (
	"time"

	"github.com/tinehq/tine/supervisor/civil"
	"github.com/tinehq/tine/supervisor/pool"
)

// ID names one run of an app for ever: an app that is started again is a new run of the same name. It is never used again, also
// not by a master that follows. Zero stands for no run.
type ID uint64

// OrderID names the order that brings the next run of an app. Zero stands for no order.
type OrderID uint64

// Spec is what this package needs of an app's configuration. It is immutable once it was given to a Step.
type Spec struct {
	Name       string
	Needs      []Need // what must be there before a run starts; sorted by name, each name once
	OneShot    bool   // it does its work and ends; nothing of it is rolled
	NotAtStart bool   // with OneShot: the start of the master leaves it out
	Schedule   *civil.Schedule
	Watched    bool // some of its files are watched
	Hooks      Hooks
}

// Need is an app that another one depends on.
type Need struct {
	Name   string
	Exited bool // it must have finished with code 0; else all its workers must have been ready once
}

// Hooks says which hooks an app has whose runs this package decides about.
type Hooks struct {
	AfterReady, OnCrash bool
	BeforeDrain         time.Duration // the time that the hook has; 0: there is no such hook
}

// Limits are the times of a stop of the master.
type Limits struct {
	StopDelay   time.Duration // from the order to the first drain
	StopTimeout time.Duration // from the order to the end; 0: it may take as long as it takes
}

// delay leaves three quarters of the time for the drains.
func (l Limits) delay() time.Duration {
	if l.StopTimeout > 0 {
		return min(l.StopDelay, l.StopTimeout/4)
	}
	return l.StopDelay
}

// Opened is a new run whose sockets are open. Its ID is new.
type Opened struct {
	ID       ID
	Spec     Spec
	Facts    pool.Brief
	Replaces ID // the run that leaves when this one is ready, because both have the same sockets; 0: none
}

// Origin says what has brought a run.
type Origin uint8

const (
	FromStart  Origin = iota // the start of the master: where it gives up before all was ready, the master ends
	FromConfig               // a config that was applied later
	FromOrder                // an order, which tells its caller how it went
)

// Restored is a run that the last master has left.
type Restored struct {
	ID       ID
	Spec     Spec
	Facts    pool.Brief
	Replaces ID
	Origin   Origin

	EverReady bool
	Leaving   bool      // it was told to stop, or was about to be
	Halted    bool      // by an order: it stays listed
	Due       time.Time // when its schedule is due; zero: unknown

	// Of a run that has ended.
	Ended  bool
	Ran    bool // the app had a worker once
	Code   int
	Reason string
}
