package listen

import "time"

// pace decides when the watcher looks again.
type pace struct {
	loadUntil time.Duration // restAfter the last change
	fastUntil time.Duration // fastAfter the last connection that has arrived or been accepted
	started   bool
}

const (
	tickFast  = 10 * time.Millisecond  // connections arrive, and the loop of the watch decides which slot gets them
	tickCalm  = 2 * tickFast           // but there is nothing to decide just now: the wake-up itself costs more than the look
	tickLoad  = 250 * time.Millisecond // anything changes, or waits
	tickQuiet = time.Second            // connections are open, and nothing changes
	// restAfter is how long nothing may change before the watcher rests, fastAfter how long no connection may arrive
	// before it leaves tickFast.
	restAfter = time.Second
	fastAfter = 250 * time.Millisecond

	// A look costs about 1.5 us a socket: tickFast is for so many, and longer for more.
	fastSockets = 128
)

// circumstances are what the watcher knows besides the slots.
type circumstances struct {
	rang    bool // the doorbell has
	decides bool // the loop of the watch decides which slot gets connections
	calm    bool // and there is nothing to decide
	pulse   time.Duration
	sockets int
	shared  int // connections that wait in sockets that all slots share; any number may be 1
	// unsettled: something is to end soon that the doorbell does not tell of.
	unsettled bool
}

// look answers how long to sleep, 0: until the doorbell rings; and whether it is to ring at all. It rings at once if
// anything is queued, so it must not then.
func (p *pace) look(now time.Duration, tracks []track, c circumstances) (next time.Duration, arm bool) {
	if !p.started || c.rang {
		p.started, p.loadUntil = true, now+restAfter
	}
	if c.rang {
		p.fastUntil = now + fastAfter
	}
	queued, busy := c.shared > 0, false
	for i := range tracks {
		t := &tracks[i]
		if t.moved {
			p.loadUntil = now + restAfter
		}
		if t.accepted || t.moved && t.last.queue > 0 {
			p.fastUntil = now + fastAfter
		}
		queued = queued || t.last.queue > 0
		busy = busy || t.last.busy() > 0 || t.last.open() > 0
	}
	switch {
	case c.decides && now < p.fastUntil:
		next = tickFast * time.Duration(1+max(c.sockets-1, 0)/fastSockets)
		if c.calm {
			next = max(next, tickCalm)
		}
		return next, false
	case queued:
		return tickLoad, false
	case now < p.loadUntil || c.unsettled:
		// Here the next connection need not be noticed at once, except to decide where those after it go.
		return tickLoad, c.decides
	case busy:
		return tickQuiet, true
	}
	return 0, true
}
