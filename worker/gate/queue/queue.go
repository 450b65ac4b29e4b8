package queue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinehq/tine/ipc"
)

// Queue is the requests of one pool that wait. It may be used by all goroutines at once.
type Queue struct {
	busy atomic.Bool // some wait

	mu    sync.Mutex
	core  *core
	turns map[ID]*Turn
	last  ID
	timer *time.Timer
	armed time.Time // when the timer fires; zero: it does not
	over  bool
	stats Stats

	elsewhere func(context.Context, func())
	watching  context.CancelFunc // of elsewhere; nil: it does not run
	watch     sync.WaitGroup
}

// Stats is what a queue holds, and what has become of requests in it since it was made.
type Stats struct {
	Waiting int
	Bytes   int64  // that they hold
	State   string // calm, overloaded, held or recovering

	Admitted uint64          // were placed after they had waited
	Left     uint64          // their clients went
	Shed     [reasons]uint64 // by Reason
	Waits    ipc.Histogram   // of those that were admitted
	Waited   time.Duration   // all of those together
}

// New makes a queue. An error says what is wrong with o. Close ends it.
//
// elsewhere is nil, or tells of places that are freed by other processes: it runs in a goroutine for as long as requests wait, calls its
// function after it has begun and whenever places may be free, and returns soon after its context is done.
func New(o Options, elsewhere func(context.Context, func())) (*Queue, error) {
	if faults := o.Faults(); len(faults) > 0 {
		return nil, fmt.Errorf("cannot make a queue: %s: %s", faults[0].Field, faults[0].Text)
	}
	q := &Queue{core: newCore(o), turns: map[ID]*Turn{}, elsewhere: elsewhere}
	q.timer = time.AfterFunc(time.Hour, q.tick)
	q.timer.Stop()
	return q, nil
}

// Busy reports whether a new request must join, as others wait. It takes no lock.
func (q *Queue) Busy() bool { return q.busy.Load() }

// Join has a request wait, and tries to place it where it could have been missed when a place was freed. The Turn tells how it went;
// the caller waits for Turn.Done, or calls Turn.Leave.
func (q *Queue) Join(r Request) *Turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	t := &Turn{queue: q, id: q.last, request: r, at: time.Now(), done: make(chan struct{})}
	q.turns[t.id] = t
	// A place that is freed from here on is offered (see Freed). One that was freed before is found by the offer that the core makes now.
	q.busy.Store(true)
	q.step(Joined{ID: t.id, Priority: r.Priority, Retry: r.Retry, Deadline: r.Deadline, Bytes: max(r.Bytes, 0)})
	return t
}

func (q *Queue) leave(t *Turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.turns[t.id] != t {
		return false
	}
	delete(q.turns, t.id)
	q.stats.Left++
	q.step(Left{t.id})
	return true
}

// Freed tells that one request has given up its place, which it had since a time in nanoseconds of ipc.Monotonic; 0: that is not known.
// It takes no lock where nothing waits.
func (q *Queue) Freed(since int64) {
	if !q.busy.Load() {
		return
	}
	f := Freed{Places: 1}
	if since > 0 {
		f.Took = time.Duration(ipc.Monotonic() - since)
	}
	q.wake(f)
}

// Wake tells that places may be free: the members, or what is known of them, have changed. It takes no lock where nothing waits.
func (q *Queue) Wake() {
	if q.busy.Load() {
		q.wake(Freed{})
	}
}

func (q *Queue) wake(f Freed) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.step(f)
}

func (q *Queue) tick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.armed = time.Time{}
	q.step(Tick{})
}

// Stats returns a copy.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Waiting, s.Bytes, s.State = len(q.core.waiting), q.core.bytes, q.core.mode.String()
	return s
}

// Close ends what runs for the queue, and waits for it. Requests that still wait are left to their callers, which call Leave.
func (q *Queue) Close() {
	q.mu.Lock()
	q.over = true
	q.timer.Stop()
	q.unwatch()
	q.mu.Unlock()
	q.watch.Wait()
}

// step tells the core of an event, and carries out what it wants done. q.mu is held.
func (q *Queue) step(ev Event) {
	now := time.Now()
	for ev != nil {
		effects := q.core.Step(now, ev)
		ev = nil
		for _, e := range effects {
			switch e := e.(type) {
			case Offer: // the last of the effects
				t := q.turns[e.ID]
				a := t.request.Place()
				if a == Placed {
					t.waited = now.Sub(t.at)
					q.stats.Admitted++
					q.stats.Waits[ipc.Bucket(int64(t.waited))]++
					q.end(t)
				}
				ev = Offered{e.ID, a}
			case Drop:
				t := q.turns[e.ID]
				t.waited = e.Waited
				t.err = &Shed{Reason: e.Reason, Waited: e.Waited, detail: e.Detail}
				q.stats.Shed[e.Reason]++
				if t.request.Interrupt != nil {
					t.request.Interrupt()
				}
				q.end(t)
			}
		}
	}
	q.busy.Store(len(q.core.waiting) > 0)
	q.arm()
	q.observe()
}

func (q *Queue) end(t *Turn) {
	delete(q.turns, t.id)
	close(t.done)
}

// arm sets the timer if the core wants its Tick before it fires. One that fires too early only asks again.
func (q *Queue) arm() {
	at := q.core.Deadline()
	if at.IsZero() || q.over || !q.armed.IsZero() && !at.Before(q.armed) {
		return
	}
	q.armed = at
	q.timer.Reset(time.Until(at))
}

// observe has elsewhere run for as long as requests wait.
func (q *Queue) observe() {
	switch waits := len(q.core.waiting) > 0; {
	case q.elsewhere == nil, q.over:
	case waits && q.watching == nil:
		ctx, stop := context.WithCancel(context.Background())
		q.watching = stop
		q.watch.Go(func() { q.elsewhere(ctx, q.Wake) })
	case !waits:
		q.unwatch()
	}
}

func (q *Queue) unwatch() {
	if q.watching != nil {
		q.watching()
		q.watching = nil
	}
}
