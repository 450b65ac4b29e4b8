package apps

import "github.com/tinehq/tine/supervisor/pool"

// restore puts the runs in place that the last master has left.
func (s *Apps) restore(ev Restore) {
	if s.phase != Unborn {
		s.impossible(nil, "restore again")
		return
	}
	s.phase, s.adopting = Working, true
	s.ready, s.asked, s.drainAt, s.endBy = ev.Ready, ev.Asked, ev.DrainAt, ev.EndBy
	switch {
	case ev.Stopping && !ev.DrainAt.IsZero():
		s.phase = Delaying
	case ev.Stopping:
		s.phase = StoppingAll
	}
	for _, left := range ev.Runs {
		r := s.add(Opened{left.ID, left.Spec, left.Facts, left.Replaces}, left.Origin, -1)
		if r == nil {
			continue
		}
		r.everReady, r.due, r.code, r.reason = left.EverReady, left.Due, left.Code, left.Reason
		s.place(r, left)
		if !r.Ended() && left.Facts.Phase > pool.PhaseIdle {
			r.hooks.time = open
		}
		if r.goesOn() {
			s.setClock(r)
		}
	}
	s.index()
}

// place gives a run the state that it was left in.
func (s *Apps) place(r *Run, left Restored) {
	switch {
	case left.Halted:
		r.why = ByStop
	case left.Leaving && s.Stopping():
		r.why = ByMaster
	case left.Leaving:
		r.why = ByRemoval
	}
	if left.Ended {
		switch {
		case left.Halted:
			s.enter(r, Stopped)
		case left.Leaving:
			s.enter(r, Gone)
		case left.Code == 0 && left.Spec.NotAtStart && !left.Ran:
			s.enter(r, Later)
		default:
			s.enter(r, r.endedAs())
		}
		return
	}
	switch phase := left.Facts.Phase; {
	case !r.Leaves() && phase == pool.PhaseIdle:
		s.enter(r, Waiting) // the last master has not come to start it
	case !r.Leaves() && phase == pool.PhaseRunning:
		s.enter(r, Running)
	case !r.Leaves():
		s.enter(r, Ending)
	case phase <= pool.PhaseRunning:
		s.enter(r, Leaving) // the last master has not come to tell it
	case phase == pool.PhaseKilling:
		s.enter(r, Killing)
	default:
		s.enter(r, Stopping)
	}
}

// goesOn says whether a restored run runs, or may be run again by its schedule or by a file.
func (r *Run) goesOn() bool { return !r.Ended() || r.spec.OneShot && !r.Leaves() }

// resumed goes on with what was restored.
func (s *Apps) resumed() {
	if !s.adopting {
		s.impossible(nil, "resumed: was not restored, or a second time")
		return
	}
	s.adopting, s.unsettled = false, true
	for _, r := range s.runs {
		if !r.Ended() {
			s.emit(Listen{r.id})
		}
		switch {
		case r.state == Waiting && len(r.spec.Needs) == 0:
			s.startNow(r, false)
		case r.state != Waiting && r.goesOn():
			s.watch(r)
		}
	}
}
