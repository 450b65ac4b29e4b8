package apps

import (
	"slices"
	"strings"
)

// An app that needs others waits with its sockets open, so that its clients wait too, until each of them is what it needs: ready
// (all its workers were once) or exited (it has finished with code 0). When one has failed it goes on to wait, blocked, and says
// so: should an order start that one again, it follows. A stop goes the other way: see stop.go.

// verdict is what an app means for those that need it.
type verdict uint8

const (
	satisfied verdict = iota
	pending
	hopeless // it will not come by itself
)

// judge says whether an app is what is needed, and if not, why in words.
func (s *Apps) judge(n Need) (verdict, string) {
	r := s.Listed(n.Name)
	if r == nil {
		return hopeless, "there is no app " + n.Name
	}
	shown := r.Shown()
	switch {
	case r.Starting():
		return pending, n.Name + " is being started"
	case !n.Exited && r.everReady && shown == Running, n.Exited && shown == Finished:
		return satisfied, ""
	case shown == Failed:
		return hopeless, n.Name + " has failed: " + r.reason
	case shown == Finished:
		return hopeless, n.Name + " has finished and was never ready"
	case shown == Stopped:
		return pending, n.Name + " is stopped"
	case shown == Stopping:
		return pending, n.Name + " is stopping"
	case r.vain && shown == Waiting:
		return hopeless, n.Name + " was not started"
	case n.Exited:
		return pending, n.Name + " has not finished"
	}
	return pending, n.Name + " is not ready"
}

// judgeAll is the worst verdict, and all that is missing.
func (s *Apps) judgeAll(r *Run) (worst verdict, why string) {
	var missing []string
	for _, n := range r.spec.Needs {
		v, text := s.judge(n)
		if v != satisfied {
			missing = append(missing, text)
		}
		worst = max(worst, v)
	}
	return worst, strings.Join(missing, ", ")
}

// needs says whether an app of that name is among what is needed.
func (c Spec) needs(name string) bool {
	return slices.ContainsFunc(c.Needs, func(n Need) bool { return n.Name == name })
}

// reconsider starts a run whose waiting is over, or says what it waits for.
func (s *Apps) reconsider(r *Run) {
	v, why := s.judgeAll(r)
	state, kind := Waiting, KindWaiting
	switch v {
	case satisfied:
		s.startNow(r, true)
		return
	case hopeless:
		state, kind = Blocked, KindNotStarted
	}
	if why == r.missing && state == r.state {
		return
	}
	s.enter(r, state)
	r.missing = why
	r.touch()
	s.emit(Record{Kind: kind, App: r.id, Reason: why})
}

// reconsiderAll does so for all that wait. Which of them wait in vain is found anew, beginning with none: else those that need
// each other would block each other for ever.
func (s *Apps) reconsiderAll() {
	if s.Stopping() {
		return
	}
	var waiting, vain []*Run
	for _, r := range s.runs {
		r.vain = false
		if r.state == Waiting || r.state == Blocked {
			waiting = append(waiting, r)
		}
	}
	for found := -1; found < len(vain) && len(waiting) > 0; {
		found = len(vain)
		for _, r := range waiting {
			if !r.vain {
				if v, _ := s.judgeAll(r); v == hopeless {
					r.vain, vain = true, append(vain, r)
				}
			}
		}
	}
	for _, r := range vain { // what others are blocked by is told first
		s.reconsider(r)
	}
	for _, r := range waiting {
		if !r.vain {
			s.reconsider(r)
		}
	}
}

// startNeeds has those started that r needs and that have ended, because a person starts r.
func (s *Apps) startNeeds(r *Run) {
	for _, n := range r.spec.Needs {
		d := s.Listed(n.Name)
		if d == nil || !d.Ended() || d.next != 0 {
			continue
		}
		if v, _ := s.judge(n); v != satisfied {
			s.emit(OrderStart{d.id, "app " + r.spec.Name + " depends on it"})
		}
	}
}
