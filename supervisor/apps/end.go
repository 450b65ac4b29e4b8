package apps

// Standing is how an app stands for all that waits until all is started: READY=1, Supervisor.Ready, `tine start`, the log, the
// status that is told above. There is one definition of settled and of failed, and it looks at what is, whichever way that came
// about.
type Standing uint8

const (
	Coming  Standing = iota // it is being started, tried again, or waits for apps that may come
	Serving                 // it was ready once; a one-shot app: it runs or was tried, and no more is waited for
	Through                 // nothing of it is to be started: it has finished, was stopped or scaled to nothing, leaves, or waits for its time
	Lost                    // it gave up, or waits for an app that will not come by itself
)

// Standing follows from the state of the run and the facts of its pool.
func (r *Run) Standing() Standing {
	switch r.Shown() {
	case Failed:
		return Lost
	case Finished, Stopped:
		return Through
	case Stopping:
		if r.Leaves() {
			return Through
		}
		return Coming // it ends by itself, and then it is known how
	case Waiting:
		switch r.state {
		case Blocked:
			return Lost
		case Later:
			return Through
		}
		return Coming
	}
	switch {
	case r.everReady, r.spec.OneShot && r.facts.Tried:
		return Serving
	case r.facts.Wanted == 0:
		return Through
	}
	return Coming
}

// judgeReady tells that all is ready when no app is waited for any more. Where all have ended and the master is about to, there
// is nothing that could be told ready.
func (s *Apps) judgeReady() {
	if s.ready || s.Stopping() {
		return
	}
	some := false
	var failed []ID
	for _, r := range s.runs {
		switch r.Standing() {
		case Coming:
			return
		case Serving:
			some = true
		case Lost:
			failed = append(failed, r.id)
		}
	}
	if !some && s.isEmpty() {
		return
	}
	s.ready, s.unsaved = true, true
	s.emit(AllReady{failed})
}

// isEmpty says whether nothing runs, and none of the runs can be followed by another.
func (s *Apps) isEmpty() bool {
	for _, r := range s.runs {
		if r.state == Blocked && r.next == 0 {
			continue // no app is left that could change that, unless another one is
		}
		if !r.Ended() || !s.Stopping() && s.mayRunAgain(r) {
			return false
		}
		if s.phase != KillingAll && !s.cut && r.hooks.busy() {
			return false
		}
	}
	return true
}

// judgeEnd ends the master when nothing can run again. Its code is that of the run whose failure has ended the rest, or else of the first that has failed.
func (s *Apps) judgeEnd() {
	if !s.isEmpty() || s.opening && !s.Stopping() {
		return
	}
	done := Done{}
	for _, r := range append([]*Run{s.gaveUp}, s.runs...) {
		if r != nil && r.code != 0 {
			done = Done{r.code, r.spec.Name, r.reason}
			break
		}
	}
	s.phase = Over
	s.emit(done)
}

// mayRunAgain says whether an order, a time or a file may bring the next run of an app that has ended.
func (s *Apps) mayRunAgain(r *Run) bool {
	return r.state == Stopped || r.next != 0 || r.ComesAgain() || r.origin == FromOrder && r.code != 0
}
