package apps

import (
	"slices"

	"github.com/tinehq/tine/supervisor/pool"
)

// configReason is that of the rollouts that a config brings.
const configReason = "config"

// configure changes what runs into what a config says. Each app is compared on its own: what can change under running workers
// does so now, what a worker is started with is rolled, and an app that is as it was is not touched.
func (s *Apps) configure(ev Configure) {
	s.opening = false
	if s.Stopping() {
		s.impossible(nil, "configure: the master is stopping")
		return
	}
	s.unsaved, s.unsettled = true, true
	named := map[string]bool{}
	for _, w := range ev.Apps {
		named[w.Spec.Name] = true
		if r := s.Find(w.Spec.Name); r != nil {
			s.change(r, w)
		} else if s.isHalted(w.Spec.Name) { // and stays so, whatever its config becomes
			r := s.Listed(w.Spec.Name)
			r.spec = w.Spec
			r.touch()
			s.emit(Change{r.id, true})
		}
	}
	for _, r := range s.runs {
		if !named[r.spec.Name] {
			s.drop(r, slices.ContainsFunc(ev.New, func(o Opened) bool { return o.Replaces == r.id }))
		}
	}
	s.remove(func(r *Run) bool { return r.state == Gone })
	s.start(ev.New, FromConfig)
}

// change gives the run that stays another config.
func (s *Apps) change(r *Run, w Wanted) {
	if w.Equal && !w.Rolls {
		return
	}
	r.spec = w.Spec
	r.touch()
	s.emit(Change{App: r.id})
	if r.Waits() {
		return // it is started with what is said then
	}
	s.setClock(r)
	s.watch(r)
	if w.Rolls && !r.spec.OneShot { // a one-shot app has it the next time
		s.emit(Pool{r.id, pool.Roll{Reason: configReason}})
	}
}

// drop is for a run that a config does not name any more. succeeded: another one takes over its sockets.
func (s *Apps) drop(r *Run, succeeded bool) {
	switch {
	case r.Halted(): // and stays away
		r.leaves(ByRemoval)
		r.touch()
		if r.state == Stopped {
			s.enter(r, Gone)
		}
	case r.Ended() || r.Leaves():
		r.clock = nil
		r.touch()
		s.unwatch(r)
	case succeeded:
		s.emit(Record{Kind: KindRemovedSoon, App: r.id})
	default:
		s.emit(Record{Kind: KindRemoved, App: r.id})
		s.leave(r, ByRemoval)
	}
}
