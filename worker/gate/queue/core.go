package queue

import (
	"container/heap"
	"fmt"
	"time"
)

// mode is what the queue is in: see the page of the package.
type mode uint8

const (
	calm mode = iota
	overloaded
	held
	recovering
)

func (m mode) String() string {
	return [...]string{"calm", "overloaded", "held", "recovering"}[m]
}

// waiter is one request that waits.
type waiter struct {
	Joined
	at    time.Time // it came
	until time.Time // it waits
	slot  int       // in core.times
	round int       // of offers in which it had no use for a place

	before, after *waiter // in its list
}

// core decides. One caller at a time gives it events.
type core struct {
	options Options
	mode    mode

	waiting map[ID]*waiter
	bytes   int64
	retries list
	fresh   [MaxPriority + 1]list // by priority
	times   times

	calmAt time.Time     // the newest time at which nobody waited, or a request was placed that had waited for Target at most
	over   time.Time     // the newest end of an overload
	until  time.Time     // of recovering
	took   time.Duration // the median time for which a request has its place, as far as it is known

	// Of the round of offers that goes on.
	offered *waiter // nil: none
	places  int     // that may be offered yet
	round   int     // its number, and
	missed  int     // how many retries had no use for a place in it

	effects []Effect // of the step that goes on
}

const (
	// anyNumber of places may be free.
	anyNumber = -1
	// mostMissed bounds how many retries are offered a place that they have no use for, before new requests are.
	mostMissed = 8
)

func newCore(o Options) *core { return &core{options: o.Bounds(), waiting: map[ID]*waiter{}} }

// Step tells the core of an event. What it returns is valid until the next call.
func (c *core) Step(now time.Time, ev Event) []Effect {
	c.effects = c.effects[:0]
	switch ev := ev.(type) {
	case Joined:
		c.join(now, ev)
	case Left:
		if w := c.waiting[ev.ID]; w != nil {
			c.remove(now, w)
		}
	case Freed:
		c.free(ev)
	case Offered:
		c.answered(now, ev)
	case Tick:
	}
	if c.mode == recovering && !now.Before(c.until) {
		c.calmAt = now
		c.enter(now, calm)
	}
	c.expire(now)
	c.offer()
	return c.effects
}

// Deadline is when the core wants a Tick; zero: it waits for no time.
func (c *core) Deadline() (at time.Time) {
	if len(c.times) > 0 {
		at = c.times[0].until
	}
	if c.mode == recovering && (at.IsZero() || c.until.Before(at)) {
		at = c.until
	}
	return at
}

// target and interval are those of the options, or longer ones where requests take long.
func (c *core) target() time.Duration   { return max(c.options.Target, 2*c.took) }
func (c *core) interval() time.Duration { return max(c.options.Interval, 10*c.took) }

// patience is how long requests may wait for longer than the target until that is an overload: the interval, or, where one has ended less
// than an interval ago, the target.
func (c *core) patience(now time.Time) time.Duration {
	if now.Sub(c.over) < c.interval() {
		return c.target()
	}
	return c.interval()
}

func (c *core) join(now time.Time, j Joined) {
	j.Priority = min(max(j.Priority, 0), MaxPriority)
	w := &waiter{Joined: j, at: now}
	switch {
	case c.waiting[j.ID] != nil:
		return
	case !j.Deadline.IsZero() && !j.Deadline.After(now):
		c.drop(now, w, DeadlinePassed)
		return
	case j.Bytes > c.options.MaxBytes:
		c.drop(now, w, QueueFull)
		return
	case len(c.waiting) == 0:
		c.calmAt = now
	}
	// All others are known to find no place, unless only retries wait, which cannot go everywhere.
	if j.Retry || len(c.waiting) == c.retries.n {
		c.begin(anyNumber)
	}
	wait := c.options.Timeout
	if c.mode == overloaded {
		wait = min(wait, c.target())
	}
	c.limit(w, wait)
	c.waiting[j.ID] = w
	c.bytes += j.Bytes
	heap.Push(&c.times, w)
	c.listOf(w).add(w)
	for len(c.waiting) > c.options.Max || c.bytes > c.options.MaxBytes {
		last := c.last()
		c.drop(now, last, QueueFull)
		c.remove(now, last)
	}
}

// limit sets until when w waits.
func (c *core) limit(w *waiter, wait time.Duration) {
	w.until = w.at.Add(wait)
	if !w.Deadline.IsZero() && w.Deadline.Before(w.until) {
		w.until = w.Deadline
	}
}

func (c *core) listOf(w *waiter) *list {
	if w.Retry {
		return &c.retries
	}
	return &c.fresh[w.Priority]
}

func (c *core) newestFirst() bool { return c.mode == overloaded && !c.options.FIFO }

// next is the request that comes next; nil: none can use a place.
func (c *core) next() *waiter {
	if w := c.retries.first; w != nil && w.round != c.round && c.missed < mostMissed {
		return w
	}
	for p := MaxPriority; p >= 0; p-- {
		switch l := &c.fresh[p]; {
		case l.n == 0:
		case c.newestFirst():
			return l.last
		default:
			return l.first
		}
	}
	return nil
}

// last is the request that would be served last.
func (c *core) last() *waiter {
	for p := range c.fresh {
		switch l := &c.fresh[p]; {
		case l.n == 0:
		case c.newestFirst():
			return l.first
		default:
			return l.last
		}
	}
	return c.retries.last
}

func (c *core) free(f Freed) {
	if f.Took > 0 {
		c.takes(f.Took)
	}
	if f.Places <= 0 {
		f.Places = anyNumber
	}
	c.begin(f.Places)
}

// begin begins a round of offers, or adds to the one that goes on.
func (c *core) begin(places int) {
	if places == anyNumber || c.places == anyNumber {
		c.places = anyNumber
	} else {
		c.places += places
	}
	c.round++
	c.missed = 0
}

// takes moves the median by a sixteenth of itself towards a sample, or to the first one: so it follows a change within some tens of
// requests, and one that lasts for an hour moves it no more than any other.
func (c *core) takes(sample time.Duration) {
	switch step := max(c.took/16, time.Microsecond); {
	case c.took == 0:
		c.took = min(sample, c.options.Timeout)
	case sample > c.took:
		c.took = min(c.took+step, sample, c.options.Timeout)
	default:
		c.took = max(c.took-step, sample)
	}
}

// offer offers a place to the next request, if there may be one.
func (c *core) offer() {
	switch {
	case c.offered != nil:
		return
	case len(c.waiting) == 0:
		c.places = 0
	}
	if c.places == 0 {
		return
	}
	if c.offered = c.next(); c.offered == nil {
		c.places = 0
		return
	}
	c.effects = append(c.effects, Offer{c.offered.ID})
}

func (c *core) answered(now time.Time, o Offered) {
	w := c.offered
	if w == nil || w.ID != o.ID {
		return
	}
	c.offered = nil
	if c.mode == held && (o.Answer == Placed || o.Answer == Full) {
		c.enter(now, recovering)
	}
	if c.waiting[w.ID] == nil {
		return // it left in the meantime
	}
	switch o.Answer {
	case Placed:
		if c.places > 0 {
			c.places--
		}
		c.placed(now, w)
	case Full:
		if !w.Retry {
			c.places = 0
			return
		}
		w.round = c.round // it may not go where there is a place, but the next one may
		c.missed++
		c.retries.remove(w)
		c.retries.add(w)
	case NotReady:
		c.places = 0
		c.enter(now, held)
	case Hopeless:
		c.drop(now, w, NoMember)
		c.remove(now, w)
	}
}

// placed takes in how long a request has waited for its place.
func (c *core) placed(now time.Time, w *waiter) {
	c.remove(now, w)
	switch {
	case now.Sub(w.at) <= c.target():
		c.calmAt = now
	case c.mode == calm && len(c.waiting) > 0 && now.Sub(c.calmAt) >= c.patience(now):
		c.enter(now, overloaded)
	}
}

// enter changes the mode, and with it how long each may wait.
func (c *core) enter(now time.Time, m mode) {
	if m == c.mode {
		return
	}
	before := c.mode
	c.mode = m
	switch {
	case m == overloaded:
		c.limitAll(min(c.options.Timeout, c.patience(now)))
	case before == overloaded:
		c.over = now
		c.limitAll(c.options.Timeout)
	}
	if m == recovering {
		c.until = now.Add(c.options.Timeout)
	}
}

func (c *core) limitAll(wait time.Duration) {
	for _, w := range c.times {
		c.limit(w, wait)
	}
	heap.Init(&c.times)
}

// expire sheds those that have waited for as long as they may. The one that is being offered a place has it, or not, first.
func (c *core) expire(now time.Time) {
	for len(c.times) > 0 && !c.times[0].until.After(now) && c.times[0] != c.offered {
		w := c.times[0]
		reason := TooLong
		if !w.Deadline.IsZero() && !w.Deadline.After(now) {
			reason = DeadlinePassed
		}
		c.drop(now, w, reason)
		c.remove(now, w)
	}
}

func (c *core) remove(now time.Time, w *waiter) {
	delete(c.waiting, w.ID)
	c.bytes -= w.Bytes
	heap.Remove(&c.times, w.slot)
	c.listOf(w).remove(w)
	if len(c.waiting) == 0 {
		c.enter(now, calm)
	}
}

func (c *core) drop(now time.Time, w *waiter, why Reason) {
	c.effects = append(c.effects, Drop{ID: w.ID, Reason: why, Waited: now.Sub(w.at), Detail: c.detail(w, why)})
}

func (c *core) detail(w *waiter, why Reason) string {
	switch {
	case why == QueueFull && c.waiting[w.ID] == w:
		return fmt.Sprintf("%d waiting, %d bytes", len(c.waiting)-1, c.bytes-w.Bytes)
	case why == QueueFull:
		return fmt.Sprintf("%d waiting, %d bytes", len(c.waiting), c.bytes)
	case why == NoMember, c.waiting[w.ID] != w:
		return ""
	case c.mode == held:
		return "no server is ready"
	}
	return "all servers are busy"
}
