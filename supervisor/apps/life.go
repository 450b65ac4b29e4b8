package apps

import (
	"slices"
	"strconv"

	"github.com/tinehq/tine/supervisor/pool"
)

// add puts a run in the list, at a place; -1: at the end.
func (s *Apps) add(o Opened, origin Origin, at int) *Run {
	if o.ID == 0 || s.byID[o.ID] != nil {
		s.impossible(nil, "a run whose number is not new")
		return nil
	}
	r := &Run{id: o.ID, spec: o.Spec, facts: o.Facts, origin: origin, replaces: o.Replaces, unsaved: true}
	s.moved = true
	s.byID[r.id] = r
	if at < 0 {
		at = len(s.runs)
	}
	s.runs = slices.Insert(s.runs, at, r)
	return r
}

// remove takes runs out of the list. A run whose hook is under way is known until that has ended.
func (s *Apps) remove(gone func(*Run) bool) {
	s.runs = slices.DeleteFunc(s.runs, func(r *Run) bool {
		if !gone(r) {
			return false
		}
		s.moved = true
		r.removed = true
		s.forget(r)
		return true
	})
	s.index()
}

// forget drops a run that was removed, as soon as it has no hook any more.
func (s *Apps) forget(r *Run) {
	if r.removed && r.hooks.quiet() {
		delete(s.byID, r.id)
		s.emit(Forget{r.id})
	}
}

// index finds the last run of each name.
func (s *Apps) index() {
	clear(s.byName)
	for _, r := range s.runs {
		s.byName[r.spec.Name] = r
	}
}

// begin starts what a master that follows no other has.
func (s *Apps) begin(ev Begin) {
	if s.phase != Unborn {
		s.impossible(nil, "begin again")
		return
	}
	s.phase = Working
	s.start(ev.Runs, FromStart)
}

// start adds runs and starts each of them, or has it wait for what it needs.
func (s *Apps) start(opened []Opened, origin Origin) {
	var added []*Run
	for _, o := range opened {
		if r := s.add(o, origin, -1); r != nil {
			added = append(added, r)
		}
	}
	s.index()
	for _, r := range s.runs {
		if r.Ended() && s.byName[r.spec.Name] != r { // a namesake follows it: nothing starts it again
			r.clock = nil
			r.touch()
			s.unwatch(r)
		}
	}
	for _, r := range added {
		s.startRun(r)
	}
	s.unsettled = true
}

func (s *Apps) startRun(r *Run) {
	switch {
	case r.spec.NotAtStart && r.origin != FromOrder:
		s.leaveOut(r)
	case len(r.spec.Needs) > 0:
		s.emit(Listen{r.id})
		s.enter(r, Waiting)
		s.reconsider(r)
	default:
		s.emit(Listen{r.id})
		s.startNow(r, false)
	}
}

// startNow starts a run that waits for no other.
func (s *Apps) startNow(r *Run, anew bool) {
	s.enter(r, Running)
	r.missing = ""
	r.hooks.time = open
	s.setClock(r)
	s.watch(r)
	s.emit(Start{r.id, anew})
}

// leaveOut ends a one-shot app before it was run: its first time is still to come.
func (s *Apps) leaveOut(r *Run) {
	s.enter(r, Ending)
	r.why = NotAtStart
	s.setClock(r)
	s.watch(r)
	rec := Record{Kind: KindLeftOut, App: r.id}
	if r.clock != nil {
		rec.Next = r.clock.Next()
	}
	s.emit(rec)
	s.emit(Pool{r.id, pool.Stop{Reason: "not run at the start"}})
}

// stepped takes in what a step of the pool has changed.
func (s *Apps) stepped(r *Run, ev Stepped) {
	if r.Ended() {
		return // the last fact of a worker that was given up for lost
	}
	if (ev.Facts.Phase > pool.PhaseIdle || ev.Done != nil) && (r.state == Waiting || r.state == Blocked) {
		s.impossible(r, "stepped: its pool runs")
		return
	}
	if ev.Facts != r.facts {
		r.facts, s.unsettled = ev.Facts, true
	}
	s.hooksOf(r, ev)
	switch {
	case ev.Done != nil:
		s.ended(r, *ev.Done)
		return
	case r.state == Running && r.facts.Phase > pool.PhaseRunning:
		s.enter(r, Ending)
	}
	if r.facts.AllReady {
		if !r.everReady {
			r.everReady, s.unsettled = true, true
			r.touch()
		}
		s.serves(r)
	}
}

// serves has the run leave that r replaces, because r serves on its sockets.
func (s *Apps) serves(r *Run) {
	if r.replaces == 0 {
		return
	}
	old := s.byID[r.replaces]
	r.replaces = 0
	r.touch()
	if old != nil && !old.Ended() {
		s.leave(old, BySuccessor)
	}
	s.emit(Serves{r.id})
}

// ended takes in that the pool of a run is done. In the start an app that fails takes the others with it: what runs the master
// sees that, and starts all of it anew elsewhere. Later, or where it was added to what runs, the others run on. A one-shot app
// ends no other: those that depend on it are not started, and the code of the master tells in the end.
func (s *Apps) ended(r *Run, ev pool.Done) {
	r.code, r.reason, r.facts.Phase = ev.Code, ev.Reason, pool.PhaseDone
	switch {
	case r.why == NotAtStart:
		r.why = Stays
		s.enter(r, Later)
	case r.Halted():
		s.enter(r, Stopped)
	case r.Leaves():
		s.enter(r, Gone)
	default:
		s.enter(r, r.endedAs())
	}
	s.cancelHooks(r)
	r.hooks.waiting, r.hooks.inRun = nil, nil
	if !r.ComesAgain() {
		s.unwatch(r)
	}
	for _, b := range s.runs {
		if b.replaces == r.id {
			b.touch()
		}
	}
	s.emit(Close{r.id, ev.Code, ev.Reason})
	if ev.Code == 0 || s.Stopping() || s.ready || r.origin != FromStart || r.spec.OneShot {
		return
	}
	if s.gaveUp == nil {
		s.gaveUp = r
	}
	for _, b := range s.runs {
		if (b.state == Waiting || b.state == Blocked) && b.spec.needs(r.spec.Name) {
			s.reconsider(b) // says that it is not started, and why
		}
	}
	s.stop(Stop{Own: true, Reason: "app " + r.spec.Name + " ended with status " + strconv.Itoa(ev.Code)})
}
