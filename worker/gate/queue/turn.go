package queue

import (
	"fmt"
	"time"
)

// Request is one that joins a queue.
type Request struct {
	Priority int       // 0 to MaxPriority; the highest is first
	Retry    bool      // it is sent again: it comes before new ones, and cannot go to every member
	Deadline time.Time // that its client has given; zero: none
	Bytes    int64     // of memory that it holds

	// Place tries to place the request. It is called with the queue locked, by any goroutine: it must not wait, nor call the queue.
	// It is not called any more once it has returned Placed, or Turn.Leave has returned true, or the request is shed.
	Place func() Answer
	// Interrupt is called once when the request is shed, in the same way, so that what its goroutine waits for beside Turn.Done ends.
	// nil: it waits for nothing else.
	Interrupt func()
}

// Turn is a request in a queue.
type Turn struct {
	queue   *Queue
	id      ID
	request Request
	at      time.Time

	done   chan struct{}
	waited time.Duration // set before done is closed
	err    error         // likewise
}

// Done is closed when the request is placed or shed.
func (t *Turn) Done() <-chan struct{} { return t.done }

// Err is nil if the request was placed, or else a *Shed. It is for when Done is closed.
func (t *Turn) Err() error { return t.err }

// Waited is how long it has waited. It is for when Done is closed.
func (t *Turn) Waited() time.Duration { return t.waited }

// Leave gives the turn up, as the client has gone. It returns false where Done is closed already: a request that was placed has to give
// its place back.
func (t *Turn) Leave() bool { return t.queue.leave(t) }

// Shed is the error of a request that waits no longer.
type Shed struct {
	Reason Reason
	Waited time.Duration
	detail string
}

func (s *Shed) Error() string {
	text := ""
	switch s.Reason {
	case QueueFull:
		text = "the queue is full"
	case TooLong:
		text = fmt.Sprintf("waited %d ms", s.Waited.Milliseconds())
	case DeadlinePassed:
		text = fmt.Sprintf("the deadline passed, after a wait of %d ms", s.Waited.Milliseconds())
	default:
		text = "no server is known"
	}
	if s.detail != "" {
		text += ": " + s.detail
	}
	return text
}
