package listen

import (
	"fmt"
	"time"

	"github.com/tinehq/tine/ipc"
)

const (
	// stallAfter is how long a queue may stand still, or a heartbeat be missing, before the slot is stalled.
	stallAfter = time.Second
	// stallAgain is when a stall is told once more: the listener may have ignored it, since the worker was still starting.
	stallAgain = 5 * time.Second
)

// stall judges whether a slot serves.
//
// It is stalled when connections wait and none was accepted for stallAfter, or when the worker that came last has
// connections open and no heartbeat for as long. (In a surge the other one drains, or is about to; how long it may take
// is bounded elsewhere.) Only an admitted slot becomes stalled: nothing is expected of the others.
//
// It has resumed when neither holds any more. A stall ends only when the workers that were stalled make progress: progress of a
// worker that joined the slot later does not count.
type stall struct {
	seats  [ipc.Seats]beat
	newest int // the seat that was taken last

	on       bool
	pinned   [ipc.Seats]seatView // of the workers that are stalled, as they were
	byQueue  bool
	beatless int // the seat without a heartbeat, -1: none
	told     time.Duration
}

// beat is the heartbeat of a seat.
type beat struct {
	worker uint64
	value  int64
	at     time.Duration // when it last changed, or there was no need for one
}

// standing is a queue that stands still.
type standing struct {
	queue int // connections; 0: it does not
	since time.Duration
}

// look takes how many wait now; flows: something was accepted since the last look.
func (s *standing) look(now time.Duration, queue int, flows bool) {
	if flows || queue == 0 || s.queue == 0 {
		s.since = now
	}
	s.queue = queue
}

// verdict is what has become known of a slot. The zero value is nothing.
type verdict struct {
	stalled, resumed bool

	queue int           // why it is stalled: so many connections wait; 0: for lack of a heartbeat
	open  int64         // with so many connections open
	age   time.Duration // for so long
}

// Why is in words why the slot is stalled.
func (v verdict) Why() string {
	age := v.age.Round(10 * time.Millisecond)
	if v.queue > 0 {
		return fmt.Sprintf("for %s %s to be accepted", age, plural(int64(v.queue), "connection has waited", "connections have waited"))
	}
	return fmt.Sprintf("for %s no heartbeat with %s open", age, plural(v.open, "connection", "connections"))
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// look takes the slot as it is now, and what waits in sockets that all slots share.
func (s *stall) look(now time.Duration, t *track, shared standing) verdict {
	v := &t.last
	s.listen(now, v)
	waits := standing{v.queue, t.still}
	if shared.queue > 0 && v.accepted() > 0 && (waits.queue == 0 || shared.since < waits.since) {
		waits = shared // what a worker does not count it may still accept
	}
	byQueue := waits.queue > 0 && now-waits.since >= stallAfter && v.taken()
	newest := &v.seats[s.newest]
	byBeat := newest.worker != 0 && newest.open > 0 && now-s.seats[s.newest].at >= stallAfter

	if !s.on {
		if !v.admitted || !byQueue && !byBeat {
			return verdict{}
		}
		s.on, s.pinned, s.byQueue, s.beatless = true, v.seats, byQueue, -1
		if byBeat {
			s.beatless = s.newest
		}
		return s.tell(now, waits, newest)
	}
	if s.recovered(now, v, byQueue, byBeat, t.accepted || waits.queue == 0) {
		s.on = false
		return verdict{resumed: true}
	}
	if v.admitted && now-s.told >= stallAgain && (byQueue || byBeat) {
		return s.tell(now, waits, newest)
	}
	return verdict{}
}

// listen follows the seats' heartbeats. The values are only compared with one another: each process has a clock of its own.
func (s *stall) listen(now time.Duration, v *view) {
	taken := -1
	for i := range v.seats {
		seat, b := &v.seats[i], &s.seats[i]
		if seat.worker != 0 && seat.worker != b.worker && (taken < 0 || seat.worker > v.seats[taken].worker) {
			taken = i
		}
		if seat.worker != b.worker || seat.heartbeat != b.value || seat.open <= 0 {
			b.worker, b.value, b.at = seat.worker, seat.heartbeat, now
		}
	}
	if taken >= 0 {
		s.newest = taken
	} else if other := (s.newest + 1) % len(v.seats); v.seats[s.newest].worker == 0 && v.seats[other].worker != 0 {
		s.newest = other
	}
}

// recovered brings the reasons of the stall up to date and tells whether none is left. flows: something was accepted in
// the slot, or nothing waits.
func (s *stall) recovered(now time.Duration, v *view, byQueue, byBeat, flows bool) bool {
	present, others, accepts := false, false, false
	for i := range v.seats {
		seat, was := &v.seats[i], &s.pinned[i]
		switch {
		case seat.worker == 0:
		case seat.worker != was.worker:
			others = true
		default:
			present = true
			accepts = accepts || seat.accepted != was.accepted
			was.accepted = seat.accepted
		}
	}
	if !present {
		return true
	}
	s.byQueue = s.byQueue && !accepts && (!flows || others) || byQueue && !others
	switch {
	case byBeat && v.seats[s.newest].worker == s.pinned[s.newest].worker:
		s.beatless = s.newest
	case s.beatless >= 0 && s.seats[s.beatless].at == now:
		s.beatless = -1
	}
	return !s.byQueue && s.beatless < 0
}

func (s *stall) tell(now time.Duration, waits standing, newest *seatView) verdict {
	s.told = now
	if s.byQueue && waits.queue > 0 {
		return verdict{stalled: true, queue: waits.queue, age: now - waits.since}
	}
	return verdict{stalled: true, open: newest.open, age: now - s.seats[s.newest].at}
}
