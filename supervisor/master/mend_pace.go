package master

import "time"

// The watcher reports a socket that cannot be made anew, because another process has its address by now, many times a second.
const (
	mendEvery = time.Second // from one attempt to make it to the next
	tellEvery = time.Minute // from one log line about a failure to the next
)

// mendPace has when a slot was tried and told of last. The zero value: never.
type mendPace struct{ tried, told time.Time }

// mendDue reports whether a slot is to be tried now, and notes that it is.
func (s *sockets) mendDue(slot int, now time.Time) bool {
	return due(&s.paceOf(slot).tried, mendEvery, now)
}

// tellDue reports whether its failure is to be logged now, and notes that it is.
func (s *sockets) tellDue(slot int, now time.Time) bool {
	return due(&s.paceOf(slot).told, tellEvery, now)
}

func due(last *time.Time, every time.Duration, now time.Time) bool {
	if !last.IsZero() && now.Sub(*last) < every {
		return false
	}
	*last = now
	return true
}

func (s *sockets) paceOf(slot int) *mendPace {
	if s.pace == nil {
		s.pace = map[int]*mendPace{}
	}
	if s.pace[slot] == nil {
		s.pace[slot] = &mendPace{}
	}
	return s.pace[slot]
}
