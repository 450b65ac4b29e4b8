package orders

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/tinehq/tine/supervisor/apps"
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
)

// order is one verb for one run of an app.
type order struct {
	api.Order
	id      ID
	request Request // 0: the master's own
	part    int     // of the request
	alone   bool    // it is the only one of its request
	follows bool    // the rollout that a config has brought, and begins none
	app     apps.ID // its run; with an exchange that becomes the next one
	name    string  // of the app: Order.App may be a namespace, or empty for all
	due     time.Time
	phase   phase

	total, done int // of the steps

	prepared   bool // the next run is, and is to be exchanged or closed
	next       apps.ID
	nextWanted int  // workers of it
	tolerant   bool // starting: the end of the last attempt is awaited, where there is a last one
	before     int  // scaling: workers that were wanted
	generation int  // rolling: its rollout's
	finished   bool // rolling: it is

	failure outcome     // learned from facts, and judged with the next Tick
	worker  pool.Record // the last failure of a worker that the order depends on; zero: none
	speaks  bool        // that worker has still to end, and may say why it failed
	output  string      // what it said
}

// outcome is how an order ends. The zero value: it does not yet.
type outcome struct {
	as  phase
	err error
}

// ErrStopped: the app was stopped while the order was to start it.
var ErrStopped = errors.New("it was stopped meanwhile")

// Error is the failure of an order that was begun.
type Error struct {
	err       error
	Cancelled bool // something else was ordered meanwhile
	Overdue   bool // it took longer than the times of its app

	// The worker that has failed; Worker is 0 if it is not about one.
	Worker uint64
	Slot   int
	PID    int
	Output string // the last lines that it printed
}

func (e *Error) Error() string { return e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

// told is err as the caller is told it: a refusal as it is.
func (o *order) told(err error) error {
	if err == nil || o.phase == refused {
		return err
	}
	e := &Error{err: err, Cancelled: o.phase == cancelled, Overdue: o.phase == overdue}
	if o.worker.ID != 0 {
		e.Worker, e.Slot, e.PID, e.Output = uint64(o.worker.ID), o.worker.Slot, o.worker.PID, o.output
	}
	return e
}

func (o *order) fails(format string, args ...any) outcome {
	return outcome{failed, fmt.Errorf(format, args...)}
}

func (o *order) isCancelled(format string, args ...any) outcome {
	return outcome{cancelled, fmt.Errorf(format, args...)}
}

// because is the reason of the caller, or else the word for it.
func (o *order) because(word string) string {
	return cmp.Or(o.Reason, word)
}
