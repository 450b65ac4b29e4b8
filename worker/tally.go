package worker

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
)

// tally is where the worker writes what it does: its line and its row on the app's scoreboard. No other process writes the
// fields that it writes, and the master and the kernel read them at any time, also after the process has died. The
// memory stays mapped as long as the process lives: a connection may outlast the drain, and the master.
//
// A nil tally counts nothing.
type tally struct {
	line *ipc.Line
	row  *ipc.Row
	seat int
	over <-chan struct{} // ends the beat with the worker

	waker *waker

	open    atomic.Int64 // connections that are counted and open
	coarse  atomic.Int64 // the time of the last beat
	sampled atomic.Bool  // requests are many: only some are timed

	mu      sync.Mutex
	beating bool
	gauges  gauges
}

// sampleEach is how many requests one timed request stands for when requests are many.
const sampleEach = 8

func newTally(line *ipc.Line, row *ipc.Row, seat int, over <-chan struct{}, w *waker) *tally {
	return &tally{line: line, row: row, seat: seat, over: over, waker: w}
}

// accepted takes the weight of a busy connection.
func (t *tally) accepted() {
	now := ipc.Monotonic()
	if t.open.Add(1) == 1 {
		t.wake(now) // before the connection shows: no reader sees one without a fresh heartbeat
	}
	t.row.Opened.Add(1)
	t.line.AcceptedAt.Store(now)
	t.line.Accepted[t.seat].Add(1)
	t.waker.counted()
}

// passed counts a connection that cannot be followed.
func (t *tally) passed() {
	t.accepted()
	t.closed(ipc.Weight)
}

// closed gives the last weight of a connection back.
func (t *tally) closed(weight uint64) {
	t.line.Released[t.seat].Add(weight)
	t.row.Closed.Add(1)
	t.open.Add(-1)
}

// span is a request that is being answered.
type span struct {
	start  int64  // monotonic nanoseconds, if it is timed
	cell   int    // -1: none was free
	weight uint64 // how many requests its latency stands for; 0: it is not timed
}

// begin claims a cell. When requests are many, most of them get the time of the last beat instead of their own: that
// is good enough to see which one hangs, and spares both readings of the clock.
func (t *tally) begin() span {
	if !t.sampled.Load() {
		now := ipc.Monotonic()
		return span{now, t.row.Begin(now), 1}
	}
	s := span{cell: t.row.Begin(t.coarse.Load())}
	dice := uint32(s.cell) // Begin has thrown them
	if s.cell < 0 {
		dice = rand.Uint32()
	}
	if dice%sampleEach == 0 {
		s.start, s.weight = ipc.Monotonic(), sampleEach
	}
	return s
}

// end counts the request when its handler is through. returned is false when it ended by a panic.
func (t *tally) end(s span, rw http.ResponseWriter, returned bool) {
	if s.cell >= 0 {
		t.row.End(s.cell)
	}
	class := ipc.ClassUnknown // a panic: the answer is cut, whatever its status was
	if returned {
		class = classOf(rw)
	}
	t.row.Classes[class].Add(1)
	if s.weight > 0 {
		t.row.Histogram[ipc.Bucket(ipc.Monotonic()-s.start)].Add(s.weight)
	}
}

const (
	// beatEvery is how often a worker with open connections shows that it lives. The master takes a worker for
	// stalled when it has seen no beat for several times as long.
	beatEvery = 100 * time.Millisecond
	// gaugeEach is how many beats pass between two looks at the runtime.
	gaugeEach = 10
	// manyRequests are so many in a beat that only some are timed.
	manyRequests = 500
)

// wake starts the beat, if it rests.
func (t *tally) wake(now int64) {
	t.row.Heartbeat.Store(now)
	t.coarse.Store(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.beating {
		t.beating = true
		go t.beat(now)
	}
}

// rest ends the beat when no connection is open.
func (t *tally) rest() bool {
	if t.open.Load() > 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open.Load() > 0 { // who opened it found the beat running, or waits for the lock
		return false
	}
	t.sampled.Store(false)
	t.beating = false
	return true
}

// beat runs as long as connections are open, so that a worker at rest wakes no process.
func (t *tally) beat(last int64) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	requests := t.row.Requests()
	for n := 0; ; n++ {
		if n%gaugeEach == 0 {
			t.gauges.show(t.row)
		}
		select {
		case <-tick.C:
		case <-t.over:
			return
		}
		now := ipc.Monotonic()
		t.row.Heartbeat.Store(now)
		t.coarse.Store(now)
		if now-last > int64(5*beatEvery) {
			t.forgive(last, now)
		}
		r := t.row.Requests()
		t.sampled.Store(float64(r-requests)*float64(beatEvery) > manyRequests*float64(now-last))
		requests, last = r, now
		if t.rest() {
			return
		}
	}
}

// forgive moves the requests that carry the time of the beat before a standstill of the whole process to its end: the
// first ones after it carry that time too, and would look as old as the standstill was long.
func (t *tally) forgive(before, now int64) {
	for i := range t.row.Cells {
		t.row.Cells[i].CompareAndSwap(before, now)
	}
}
