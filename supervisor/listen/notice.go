package listen

import "time"

// Watch is what [Set.Watch] is asked for.
type Watch struct {
	Notify func(Notice)  // called by one goroutine; must not block for long
	Pulse  time.Duration // the time between two Pulse notices, as long as anything is busy; 0: none
}

// SetPulse changes the Pulse of a Set that is watched.
func (s *Set) SetPulse(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observer != nil {
		s.observer.setPulse(d)
	}
	if s.awaited != nil {
		s.awaited.Pulse = d
	}
}

// Wake is to be called when a worker says that it has counted a connection while [ipc.Header.Asleep] was not 0: what it has
// counted may be all that is to be seen of it. The watcher looks at once, or is just about to. A Set that is not watched
// ignores it. It never waits for the watcher.
func (s *Set) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observer != nil {
		s.observer.wake()
	}
}

// NoticeKind is what a [Notice] is about.
type NoticeKind string

const (
	Stalled NoticeKind = "stalled" // a slot does not serve: Slot, Why
	Resumed NoticeKind = "resumed" // it does again: Slot
	Pulse   NoticeKind = "pulse"   // there is load, or a request in flight
	Deaf    NoticeKind = "deaf"    // a socket of a slot listens no more, and [Set.Mend] is to be called: Slot
	Fell    NoticeKind = "fell"    // steering fell to another kind: Kind, Why
)

// Notice is something that a watched Set has noticed. Only the fields that its kind names are set.
type Notice struct {
	What NoticeKind
	Slot int
	Why  string
	Kind Kind
}

// observer is the watcher as the Set sees it.
type observer interface {
	// fell and changed are called with Set.mu held: they hand over and return. changed: slots were opened or closed,
	// others are admitted, or a seat has changed hands.
	fell(Notice)
	changed()
	// setPulse changes Watch.Pulse. It is called with Set.mu held too.
	setPulse(time.Duration)
	// wake makes it look, if it rests. It is called with Set.mu held too.
	wake()
	// end is called without Set.mu, once, and returns when the watcher's goroutine has.
	end()
}
