package pool

import "time"

// A limit that a program reaches as soon as it serves would have its worker replaced for ever. A recycled worker that has
// served for less than hasteSpan makes its slot hasty. After hasteFree of those in a row the next replacement waits, from
// leastPace, doubling, to mostPace, in which the worker serves on. A worker that serves for hasteSpan ends it.
//
// An age is a wish and no limit: it makes hasty only where to start takes longer than to grow old.
const (
	hasteSpan = time.Minute
	hasteFree = 3
	leastPace = time.Second
	mostPace  = 5 * time.Minute
)

// enqueue has a ready worker replaced when its turn comes. The first reason stays.
func (p *Pool) enqueue(w *worker, reason string, span time.Duration) {
	if w.recycle != "" {
		return
	}
	r := Record{Kind: KindRecycle, Reason: reason, Took: p.now.Sub(w.since)}
	w.recycle = reason
	s := w.slot
	if p.now.Sub(w.readyAt) >= span {
		s.hasty = 0
	} else if s.hasty++; s.hasty > hasteFree {
		r.Delay, r.Failures = pace(s.hasty), s.hasty
		if at := p.now.Add(r.Delay); at.After(s.retryAt) {
			s.retryAt = at
		}
	}
	p.recordOf(w, r)
}

// pace is how long the replacement waits after so many hasty ones in a row.
func pace(hasty int) time.Duration {
	d := leastPace
	for i := hasteFree + 1; i < hasty && d < mostPace; i++ {
		d *= 2
	}
	return min(d, mostPace)
}

// calmAt is when the slot is hasty no longer, if its worker goes on as it does.
func (s *slot) calmAt() time.Time {
	w := s.holder()
	if s.hasty == 0 || w == nil || w.recycle != "" {
		return never
	}
	return w.readyAt.Add(hasteSpan)
}
