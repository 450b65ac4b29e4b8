package snapshot

import "sync/atomic"

// Published has the newest Master. The loop calls Begin, Wanted, Publish and End; readers call Current, from any goroutine. No
// call waits. The zero Published is in its first turn and has no Master.
type Published struct {
	newest  atomic.Pointer[Master]
	holds   atomic.Bool                   // no turn is under way, and the newest is of the last one
	waiting atomic.Pointer[chan struct{}] // closed by the next End; nil: no reader waits
}

// Begin says that a turn has begun: from here on the loop may do something that the newest Master does not have.
func (p *Published) Begin() { p.holds.Store(false) }

// Wanted reports whether a reader waits for the end of this turn.
func (p *Published) Wanted() bool { return p.waiting.Load() != nil }

// Publish puts m in the place of the newest.
func (p *Published) Publish(m *Master) { p.newest.Store(m) }

// End says that the newest Master has all that the loop has done.
func (p *Published) End() {
	p.holds.Store(true)
	if c := p.waiting.Swap(nil); c != nil {
		close(*c)
	}
}

// Newest is what was published last, which may lack what a turn under way has done; nil: nothing was. It is for the loop itself, and
// for a reader that has waited: see Current.
func (p *Published) Newest() *Master { return p.newest.Load() }

// Current is the newest Master. Where a turn is under way it is nil, and over is closed at the end of that turn: then Newest has all
// that the reader can have seen a sign of before it called, whatever turn has begun since. So a reader waits for one turn at most,
// also beside a loop that is never at rest. It has to bound that wait.
func (p *Published) Current() (m *Master, over <-chan struct{}) {
	if p.holds.Load() {
		return p.newest.Load(), nil
	}
	mine := make(chan struct{})
	c := p.waiting.Load()
	for c == nil {
		if p.waiting.CompareAndSwap(nil, &mine) {
			c = &mine
			break
		}
		c = p.waiting.Load()
	}
	if p.holds.Load() { // the turn has ended meanwhile, perhaps before it could see that a reader waits
		return p.newest.Load(), nil
	}
	return nil, *c
}
