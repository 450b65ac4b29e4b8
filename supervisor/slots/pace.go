package slots

import "time"

// The watcher reports a socket that cannot be made anew, because another process has its address by now, many times a second.
const (
	mendEvery = time.Second // from one attempt to make it to the next
	tellEvery = time.Minute // from one log line about a failure to the next
)

// pace is when a slot was tried and told of last. The zero value: never.
type pace struct{ tried, told time.Time }

// MendDue reports whether a slot is to be tried now, and notes that it is.
func (s *Sockets) MendDue(slot int, now time.Time) bool {
	return due(&s.paceOf(slot).tried, mendEvery, now)
}

// TellDue reports whether the failure of a slot is to be logged now, and notes that it is.
func (s *Sockets) TellDue(slot int, now time.Time) bool {
	return due(&s.paceOf(slot).told, tellEvery, now)
}

// MendDone notes that a slot was made anew: the next failure is tried and told of at once.
func (s *Sockets) MendDone(slot int) { delete(s.pace, slot) }

func due(last *time.Time, every time.Duration, now time.Time) bool {
	if !last.IsZero() && now.Sub(*last) < every {
		return false
	}
	*last = now
	return true
}

func (s *Sockets) paceOf(slot int) *pace {
	if s.pace == nil {
		s.pace = map[int]*pace{}
	}
	if s.pace[slot] == nil {
		s.pace[slot] = &pace{}
	}
	return s.pace[slot]
}
