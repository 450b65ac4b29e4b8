package supervisor

import "time"

// A socket that cannot be made anew, as its address is another's by now, is seen by the watcher at each look, many times a
// second. It is tried at this pace, and told of at that one.
const (
	mendEvery = time.Second
	tellEvery = time.Minute
)

// mendPace is of one slot. The zero value has tried and told nothing.
type mendPace struct{ tried, told time.Time }

// mendDue says whether a slot is to be tried now, and notes that it is.
func (s *sockets) mendDue(slot int, now time.Time) bool {
	return due(&s.paceOf(slot).tried, mendEvery, now)
}

// tellDue says the same of its failure.
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
