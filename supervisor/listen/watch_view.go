package listen

import (
	"time"

	"github.com/tinehq/tine/ipc"
)

// view is a slot at one moment, as the watcher sees it. Workers write much of it, so any value can be anything.
type view struct {
	admitted bool // it may get new connections
	queue    int  // connections that wait for an accept, in sockets of its own
	assigned uint64
	// since is how long ago the last one was accepted, as the slot's workers say. Not above 0: they do not.
	since time.Duration
	seats [ipc.Seats]seatView
}

type seatView struct {
	worker    uint64 // whose seat it is; 0: it is free
	accepted  uint64 // connections
	held      int64  // weight of those that are open
	heartbeat int64
	open      int64 // connections; 0 for a program that does not count them
}

// accepted of both seats: seats change hands, the sum only grows.
func (v *view) accepted() (sum uint64) {
	for i := range v.seats {
		sum += v.seats[i].accepted
	}
	return sum
}

func (v *view) held() (sum int64) {
	for i := range v.seats {
		sum += v.seats[i].held
	}
	return sum
}

func (v *view) open() (sum int64) {
	for i := range v.seats {
		sum += max(v.seats[i].open, 0)
	}
	return sum
}

func (v *view) taken() bool {
	for i := range v.seats {
		if v.seats[i].worker != 0 {
			return true
		}
	}
	return false
}

// busy is how many connections a slot is busy with, those in the queue not among them. What a worker writes cannot make
// it more than counts in a sum.
func (v *view) busy() int { return int(min(max(v.held(), 0)/ipc.Busy, 1<<20)) }

// track is what the watcher remembers of a slot between two looks.
type track struct {
	last view
	seen bool // last is one
	// still is when its queue was last seen empty, or moving.
	still time.Duration
	at    time.Duration // of last
	// accepted: connections were accepted since the look before. moved: anything has changed since then.
	accepted, moved bool
}

// look takes the slot's next view, at a time of the watcher's own clock.
func (t *track) look(now time.Duration, v *view) {
	t.accepted, t.moved = false, false
	if t.seen {
		// A queue that gets shorter is accepted from, also by a program that does not count.
		t.accepted = v.accepted() != t.last.accepted() || v.queue < t.last.queue
		t.moved = t.accepted || v.queue != t.last.queue || v.assigned != t.last.assigned || v.held() != t.last.held()
	}
	if !t.seen || t.accepted || v.queue == 0 || t.last.queue == 0 {
		t.still = now
		// Several that wait have not all come just now: they stand since the last accept, if that was since the last look.
		if t.seen && t.accepted && v.queue > 1 && v.since > 0 && v.since < now-t.at {
			t.still = now - v.since
		}
	}
	t.last, t.at, t.seen = *v, now, true
}

// stands is how long the slot's queue has been standing still; 0 if nothing waits.
func (t *track) stands(now time.Duration) time.Duration {
	if t.last.queue == 0 {
		return 0
	}
	return now - t.still
}

// runClock measures time in which the watcher has really run. When it was stopped, frozen or starved of CPU, the workers
// may have been too: what they did not do meanwhile does not count. So of a sleep that took much longer than
// asked for, only what was asked for counts.
type runClock struct {
	now  time.Duration
	last int64 // ns, of any monotonic clock
}

// standstill is how much later than asked for a process that runs is never woken.
const standstill = 20 * time.Millisecond

// look reads the clock: at is the time, asked how long the watcher wanted to sleep; 0 for a sleep without an end, of
// which nothing counts.
func (c *runClock) look(at int64, asked time.Duration) time.Duration {
	took := max(time.Duration(at-c.last), 0)
	if took > asked+standstill || asked == 0 {
		took = asked
	}
	c.last = at
	c.now += took
	return c.now
}
