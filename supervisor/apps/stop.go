package apps

import (
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/pool"
)

// A stop of the master has up to three parts:
//
//	signal ── stop_delay ── drains, in the order of dependencies ── the end
//	   │      nothing but /readyz changes                           │
//	   └──────────────────────── stop_timeout ──────────────────────┘
//
// The delay lets load balancers notice. A second order skips what is left of it, and one during the drains kills. stop_timeout is
// the time after which systemd, Kubernetes or Docker kill all of this: see [pool.Hurry]. Orders for one app and rollouts know neither.

// LastMoment is what a stop with a deadline leaves itself for its last acts.
const LastMoment = 250 * time.Millisecond

func (s *Apps) stop(ev Stop) {
	first := !s.Stopping()
	now := ev.Now || s.asked && !ev.Own && s.phase != Delaying
	s.asked = s.asked || !ev.Own
	s.unsaved, s.unsettled = true, true
	if first && s.limits.StopTimeout > 0 {
		s.endBy = s.now.Add(s.limits.StopTimeout)
	}
	told := Stops{Reason: ev.Reason, Now: now}
	if first && !now && !ev.Own && s.ready { // else no load balancer sends anything yet
		told.Delay = s.limits.delay()
	}
	if !s.endBy.IsZero() {
		told.Within = s.endBy.Sub(s.now)
	}
	s.emit(told)
	switch {
	case now:
		s.phase = KillingAll
	case told.Delay > 0:
		s.phase, s.drainAt = Delaying, s.now.Add(told.Delay)
	case s.phase != KillingAll:
		s.phase = StoppingAll
	}
	if first {
		for _, r := range s.runs {
			if r.state == Stopping || r.state == Killing {
				s.hurry(r) // it was told by an order of its own
			}
		}
	}
	if s.phase != Delaying {
		s.drainAt = time.Time{}
		s.stopAll(now)
	}
}

func (s *Apps) stopAll(now bool) {
	for _, r := range s.runs {
		switch {
		case r.Ended():
		case now:
			s.kill(r, ByMaster)
		default:
			s.leave(r, ByMaster)
		}
	}
}

// leave stops a run gracefully, once: a pool takes a second stop for one at once. It is carried out by stopInOrder, when it is
// known which others stop with it.
func (s *Apps) leave(r *Run, why Why) {
	if !r.Leaves() {
		r.leaves(why)
		s.enter(r, Leaving)
	}
}

// leaves notes why a run leaves. Unless an order starts it again, none brings its next run any more.
func (r *Run) leaves(why Why) {
	r.why = why
	if why != ByRestart {
		r.next = 0
	}
}

// kill ends a run at once, whichever needs it.
func (s *Apps) kill(r *Run, why Why) {
	if !r.Leaves() {
		r.leaves(why)
	}
	s.enter(r, Killing)
	s.cancelHooks(r)
	s.emit(Pool{r.id, pool.Kill{Reason: s.partingOf(r)}})
}

// stopInOrder tells those to stop that no other run needs any more.
func (s *Apps) stopInOrder() {
	if !slices.ContainsFunc(s.runs, func(r *Run) bool { return r.state == Leaving }) {
		return
	}
	due, under := 0, 0 // to be told; told
	needed := s.neededByLeaving()
	for _, r := range s.runs {
		switch {
		case r.state == Leaving && !needed[r.spec.Name]:
			s.stopNow(r)
			under++
		case r.state == Leaving:
			due++
		case r.state == Stopping, r.state == Killing:
			under++
		}
	}
	if due == 0 || under > 0 {
		return
	}
	// They need each other, which two configs one after the other can bring about.
	for _, r := range s.runs {
		if r.state == Leaving {
			s.stopNow(r)
		}
	}
}

func (s *Apps) stopNow(r *Run) {
	s.cancelHooks(r)
	s.hurry(r)
	s.enter(r, Stopping)
	s.emit(Pool{r.id, pool.Stop{Reason: s.partingOf(r)}})
}

// neededByLeaving are the names of the apps that runs depend on which are to stop too, and were started.
func (s *Apps) neededByLeaving() map[string]bool {
	needed := map[string]bool{}
	for _, r := range s.runs {
		if r.Leaves() && !r.Ended() && !r.Waits() {
			for _, n := range r.spec.Needs {
				needed[n.Name] = true
			}
		}
	}
	return needed
}

// partingOf is why the workers of a run go; empty: it is a stop.
func (s *Apps) partingOf(r *Run) string {
	if s.Stopping() {
		return ""
	}
	return r.parting
}

// hurry tells a run how long it has for a stop that is to follow, or that it is in.
func (s *Apps) hurry(r *Run) {
	if !s.endBy.IsZero() {
		s.emit(Pool{r.id, pool.Hurry{Within: s.endBy.Sub(s.now) / time.Duration(s.stages(r, map[ID]int{}))}})
	}
}

// stages is how many runs stop one after the other, r the first of them. found has those of the runs that were looked at: each is
// looked at once, however many need it.
func (s *Apps) stages(r *Run, found map[ID]int) int {
	if n, was := found[r.id]; was {
		return n // 0: it is being looked at, as it needs itself by others
	}
	found[r.id] = 0
	most := 0
	for _, n := range r.spec.Needs {
		for _, b := range s.runs {
			if b.spec.Name == n.Name && b != r && !b.Ended() && !b.Waits() {
				most = max(most, s.stages(b, found))
			}
		}
	}
	found[r.id] = most + 1
	return most + 1
}

// goOnStopping does what the time of a stop has come for.
func (s *Apps) goOnStopping() {
	if s.phase == Delaying && !s.now.Before(s.drainAt) {
		s.phase, s.drainAt, s.unsaved, s.unsettled = StoppingAll, time.Time{}, true, true
		s.stopAll(false)
	}
	if !s.endBy.IsZero() && !s.cut && !s.now.Before(s.endBy.Add(-LastMoment)) {
		s.cut = true
		s.emit(NoTime{})
	}
}

// stopApp ends one run by an order. It stays listed, and is not started again by anything but an order.
func (s *Apps) stopApp(r *Run, ev StopApp) {
	if r.state == Gone {
		s.impossible(r, "stop app")
		return
	}
	coming := r.next != 0 || r.ComesAgain()
	r.next, s.unsettled = 0, true // what was to start it learns of it
	r.touch()
	if r.Ended() {
		if coming {
			r.why = ByStop
			s.enter(r, Stopped)
			s.unwatch(r)
		}
		return
	}
	if old := s.byID[r.replaces]; old != nil && !old.Ended() {
		s.leave(old, BySuccessor)
	}
	if ev.Now {
		s.kill(r, ByStop)
	} else {
		s.leave(r, ByStop)
	}
	r.why = ByStop // also where it was leaving already
}

// stopForNext ends a run by an order whose next run is prepared.
func (s *Apps) stopForNext(r *Run, ev StopForNext) {
	if r.Ended() || r.next == 0 {
		s.impossible(r, "stop for next")
		return
	}
	if !r.Leaves() {
		r.parting = ev.Reason
	}
	if ev.Now {
		s.kill(r, ByRestart)
	} else {
		s.leave(r, ByRestart)
	}
	if !r.Halted() { // it was leaving already
		r.why = ByRestart
	}
	r.touch()
}

// nextRun notes which order brings the next run of an app.
func (s *Apps) nextRun(r *Run, ev NextRun) {
	if r.state == Gone || r.Leaves() && !r.Halted() || ev.Order == 0 || r.next != 0 {
		s.impossible(r, "next run")
		return
	}
	r.next, s.unsettled = ev.Order, true // for those that wait for it, it has not failed any more
	r.touch()
}

func (s *Apps) noNextRun(r *Run, ev NoNextRun) {
	if ev.Order != 0 && r.next == ev.Order {
		r.next, s.unsettled = 0, true
		r.touch()
	}
}

// exchange puts the next run of an app in the place of one that has ended.
func (s *Apps) exchange(r *Run, ev Exchange) {
	at := slices.Index(s.runs, r)
	if !r.Ended() || r.state == Gone || at < 0 || ev.Next.Spec.Name != r.spec.Name {
		s.impossible(r, "exchange")
		return
	}
	next := s.add(ev.Next, FromOrder, at)
	if next == nil {
		return
	}
	s.unwatch(r) // the next one has its own when it is started
	r.clock = nil
	s.remove(func(b *Run) bool { return b == r })
	s.startRun(next)
	s.unsettled = true
}
