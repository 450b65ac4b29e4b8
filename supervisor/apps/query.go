package apps

import (
	"slices"
	"time"
)

// Phase is where the master is.
func (s *Apps) Phase() Phase { return s.phase }

// Stopping says whether the master was told to stop.
func (s *Apps) Stopping() bool { return s.phase >= Delaying }

// Ready says whether all apps were ready once, or none is waited for any more.
func (s *Apps) Ready() bool { return s.ready }

// Asked says whether a person has asked the master to stop.
func (s *Apps) Asked() bool { return s.asked }

// StopTimes are when the drains of the stop begin, and when it must be over. Zero: they have begun, or there is no stop; it may
// take as long as it takes.
func (s *Apps) StopTimes() (drainAt, endBy time.Time) { return s.drainAt, s.endBy }

// Run is the run of that ID; nil if there is none, or it was forgotten. It stays the same until then.
func (s *Apps) Run(id ID) *Run { return s.byID[id] }

// Runs are all runs, in the order in which they are shown. The slice is the caller's.
func (s *Apps) Runs() []*Run { return slices.Clone(s.runs) }

// Find is the run of a name that is to stay; nil if there is none.
func (s *Apps) Find(name string) *Run {
	for _, r := range s.runs {
		if r.spec.Name == name && !r.Ended() && !r.Leaves() {
			return r
		}
	}
	return nil
}

// Listed is the run that goes by a name now, whether it runs or not; nil if none does.
func (s *Apps) Listed(name string) *Run {
	if r := s.byName[name]; r != nil && r.state != Gone {
		return r
	}
	return nil
}

// List are the runs that are shown, in order. A run that is replaced by a namesake is not, and not one that is gone.
func (s *Apps) List() (all []*Run) {
	for _, r := range s.runs {
		if s.Listed(r.spec.Name) == r {
			all = append(all, r)
		}
	}
	return all
}

// Yields says whether a run leaves the steering of its sockets to the one that it replaces, which serves still.
func (s *Apps) Yields(r *Run) bool {
	old := s.byID[r.replaces]
	return old != nil && !old.Ended() && !old.Leaves()
}

// Plan says what a config changes before any of it is done: which of its apps are to be opened, by their place, and which runs
// go because of it, or are going already. What Configure does follows from the same.
func (s *Apps) Plan(config []Wanted) (opens []int, goes []*Run) {
	named := map[string]bool{}
	for i, w := range config {
		named[w.Spec.Name] = true
		if s.Find(w.Spec.Name) == nil && !w.Done && !s.isHalted(w.Spec.Name) {
			opens = append(opens, i)
		}
	}
	for _, r := range s.runs {
		if !r.Ended() && (r.Leaves() || !named[r.spec.Name]) {
			goes = append(goes, r)
		}
	}
	return opens, goes
}

// isHalted says whether the app of that name was stopped by an order. It stays so, whatever its config becomes.
func (s *Apps) isHalted(name string) bool {
	r := s.Listed(name)
	return r != nil && r.Halted()
}
