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
	p := s.pace[slot]
	if !p.tried.IsZero() && now.Sub(p.tried) < mendEvery {
		return false
	}
	p.tried = now
	s.setPace(slot, p)
	return true
}

// tellDue says the same of its failure.
func (s *sockets) tellDue(slot int, now time.Time) bool {
	p := s.pace[slot]
	if !p.told.IsZero() && now.Sub(p.told) < tellEvery {
		return false
	}
	p.told = now
	s.setPace(slot, p)
	return true
}

func (s *sockets) setPace(slot int, p mendPace) {
	if s.pace == nil {
		s.pace = map[int]mendPace{}
	}
	s.pace[slot] = p
}
