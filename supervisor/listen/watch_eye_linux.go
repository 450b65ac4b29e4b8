package listen

import (
	"time"

	"github.com/tinehq/tine/ipc"
)

// eye is what a slot is looked at through.
type eye struct {
	line   *ipc.Line
	queues []int // descriptors of its own sockets
	inner  int   // of its inner socket; -1: it has none
	fixed  int64 // what was corrected of Accepted, by seat 0
	ledger ledger
}

// sit fills in whose seat it is, and what that worker says of itself. Rows of empty seats are left alone: they take no
// memory as long as they are not read.
func (w *watcher) sit(slot, seat int, v *seatView) {
	if v.worker = w.set.seats[slot][seat]; v.worker == 0 {
		return
	}
	row := w.set.board.Row(slot, seat)
	v.heartbeat = row.Heartbeat.Load()
	v.open = int64(row.Opened.Load() - row.Closed.Load())
}

// count reads what the workers count. Corrections are not among it.
func (e *eye) count(v *view) {
	for i := range v.seats {
		v.seats[i].accepted = e.line.Accepted[i].Load()
		v.seats[i].held = e.line.Held(i)
	}
	v.seats[0].accepted -= uint64(e.fixed)
}

// look reads the line and the queues (r.deaf: a socket of them listens no more), and settles the account of a line that the kernel counts on. It answers how many
// connections are missing there after that.
//
// A connection is assigned, then queued, then accepted. Read the other way round, none is seen twice, and so nothing is
// missing less than is true.
func (e *eye) look(at int64, v *view, r *queueReader, counted bool) (missing int64) {
	e.count(v)
	if last := e.line.AcceptedAt.Load(); last > 0 {
		v.since = time.Duration(at - last)
	}
	for _, fd := range e.queues {
		v.queue += r.queue(fd)
	}
	if e.inner >= 0 && r.waits(e.inner) {
		v.queue++ // any number that waits counts as one
	}
	if !counted {
		return 0
	}
	v.assigned = e.line.Assigned.Load()
	missing = int64(v.assigned - v.accepted() - uint64(v.queue) - uint64(e.fixed))
	n := e.ledger.look(at, missing)
	if n != 0 {
		e.line.Accepted[0].Add(uint64(n))
		e.line.Released[0].Add(uint64(n) * ipc.Weight)
		e.fixed += n
	}
	return missing - n
}
