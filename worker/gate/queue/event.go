package queue

import "time"

// ID names a request in the queue. It is never used twice.
type ID uint64

// Event is what happens to the core.
type Event interface{ event() }

type (
	// Joined: a request cannot be placed, or others wait, and it waits too.
	Joined struct {
		ID       ID
		Priority int       // 0 to MaxPriority; the highest is first
		Retry    bool      // it is sent again: it comes before new ones, and cannot go to every member
		Deadline time.Time // that its client has given; zero: none
		Bytes    int64     // of memory that it holds, 0 or more
	}
	// Left: the client of a request has gone.
	Left struct{ ID ID }
	// Freed: places may be free.
	Freed struct {
		Places int           // how many; 0: that is not known
		Took   time.Duration // how long the request that was there had it; 0: that is not known
	}
	// Offered answers an Offer.
	Offered struct {
		ID     ID
		Answer Answer
	}
	// Tick: time has passed.
	Tick struct{}
)

func (Joined) event()  {}
func (Left) event()    {}
func (Freed) event()   {}
func (Offered) event() {}
func (Tick) event()    {}

// Answer is what became of an offer.
type Answer uint8

// The answers.
const (
	Placed   Answer = iota // the request has its place
	Full                   // every member that it may go to has as many as it may have
	NotReady               // no member is ready
	Hopeless               // there is no member that could become ready
)

// Effect is what the core wants done.
type Effect interface{ effect() }

type (
	// Offer: the request is to be placed now. Offered tells how that went, before any other event.
	Offer struct{ ID ID }
	// Drop: the request waits no longer, and is told why.
	Drop struct {
		ID     ID
		Reason Reason
		Waited time.Duration
		Detail string // of the reason, in words; "": there is nothing to add
	}
)

func (Offer) effect() {}
func (Drop) effect()  {}

// Reason is why a request was shed.
type Reason uint8

// The reasons.
const (
	QueueFull      Reason = iota // the queue is full
	TooLong                      // it has waited for as long as it may
	DeadlinePassed               // its client's deadline has passed
	NoMember                     // there is no member that could become ready
	reasons                      // how many there are
)

// Reasons are all of them.
var Reasons = []Reason{QueueFull, TooLong, DeadlinePassed, NoMember}

// String is the reason as a metric's label has it.
func (r Reason) String() string {
	switch r {
	case QueueFull:
		return "full"
	case TooLong:
		return "timeout"
	case DeadlinePassed:
		return "deadline"
	}
	return "no_member"
}
