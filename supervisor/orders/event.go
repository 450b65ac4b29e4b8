package orders

import (
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// ID names one order for ever: one verb for one run of an app. It only grows, and is the one by which package apps knows
// what brings the next run of an app.
type ID = apps.OrderID

// Request names what a caller has asked for: one order for each app that it is for. Zero is the master itself.
type Request uint64

// An Event is a fact that the shell observed, or a request. Step takes each of them in each phase of each order: see the table
// in table_test.go. One that names an order that has ended is ignored, but for Opened, whose run is closed.
type Event interface{ event() }

type (
	// Placed is a request. Refused or Begun follows: at once, or when Signalled has come.
	Placed struct {
		Request Request // not 0, and never used before
		Order   api.Order
	}

	// Own is an order of the master's own, to start one app. No caller waits for it: if it fails, Warn follows.
	Own struct {
		App    apps.ID
		Reason string
	}

	// Follow has each rollout that begins or is queued for a reason, from here on until Followed, be an order of a request: those
	// that a new config brings. Followed is answered by Begun.
	Follow struct {
		Request Request // not 0, and never used before
		Reason  string
	}
	Followed struct{ Request Request }

	// Fact is what the pool of a run has recorded. It comes after the Step of the pool that it is of.
	Fact struct {
		App     apps.ID
		Record  pool.Record
		Message string // the same for people
		Output  string // of an exit: the last lines that the worker printed
	}

	// Opened answers Open: the next run of the order's app is prepared.
	Opened struct {
		Order  ID
		Next   apps.ID
		Wanted int // workers that it will have
	}

	// OpenFailed answers Open likewise.
	OpenFailed struct {
		Order ID
		Err   error
	}

	// Signalled answers Send, before any other event.
	Signalled struct {
		Order ID
		Sent  []Sent // the workers that got it
	}

	// Paused: the machine or the master has not run for so long until now. No order is overdue by it.
	Paused struct{ For time.Duration }

	// Tick comes when the apps have come to rest after each thing that has happened, and at Deadline. Only then is anything
	// judged. It is repeated as long as it returns orders to the shell for an app.
	Tick struct{}
)

// Sent is a worker that got a signal.
type Sent struct {
	Slot   int
	Worker pool.WorkerID
	PID    int
}

func (Placed) event()     {}
func (Own) event()        {}
func (Follow) event()     {}
func (Followed) event()   {}
func (Fact) event()       {}
func (Opened) event()     {}
func (OpenFailed) event() {}
func (Signalled) event()  {}
func (Paused) event()     {}
func (Tick) event()       {}
