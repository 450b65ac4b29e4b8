package apps

import "time"

// Apps decides between the apps of one master. It is not safe for concurrent use: one loop owns it.
type Apps struct {
	limits Limits
	now    time.Time // of the last Step

	phase    Phase
	adopting bool // restored, and Resumed has not come: facts are learned, and nothing is decided
	ready    bool // all were ready once
	asked    bool // a person has asked to stop
	cut      bool // the time for the stop is over
	opening  bool // the runs of a new config are being opened

	drainAt time.Time // Delaying: when the drains begin
	endBy   time.Time // of the stop; zero: it may take as long as it takes

	runs   []*Run // in the order in which they are shown; those that are replaced by a namesake too
	byID   map[ID]*Run
	byName map[string]*Run // the last of each name
	gaveUp *Run            // the run whose failure has ended the rest

	// Of the Step under way.
	effects   []Effect
	unsettled bool // what reconcile looks at has changed
	unsaved   bool // the record of the master itself has
	saveNow   bool
	moved     bool // runs have come or gone
}

// New returns what decides nothing until its first Step, which is Begin or Restore.
func New(limits Limits) *Apps {
	return &Apps{limits: limits, byID: map[ID]*Run{}, byName: map[string]*Run{}}
}

// Step takes in one event and returns what to do about it, in order. The slice belongs to the caller. After Done it returns
// nothing.
func (s *Apps) Step(now time.Time, ev Event) []Effect {
	if s.phase == Over {
		return nil
	}
	s.now = now
	s.learn(ev)
	if s.phase != Unborn && !s.adopting {
		s.reconcile()
	}
	effects := s.opens()
	s.effects, s.unsaved, s.saveNow, s.moved = nil, false, false, false
	return effects
}

// opens puts before the effects of a Step what the shell must know for all of them.
func (s *Apps) opens() []Effect {
	var first []Effect
	if s.moved {
		order := Order{}
		for _, r := range s.runs {
			order.Apps = append(order.Apps, r.id)
		}
		first = append(first, order)
	}
	save := Save{Now: s.saveNow}
	for _, r := range s.runs {
		if r.unsaved {
			r.unsaved, s.unsaved = false, true
			save.Apps = append(save.Apps, r.id)
		}
	}
	if s.unsaved {
		first = append(first, save)
	}
	if len(first) == 0 {
		return s.effects
	}
	return append(first, s.effects...)
}

func (s *Apps) emit(e Effect) { s.effects = append(s.effects, e) }

// enter is the only way into a state.
func (s *Apps) enter(r *Run, state State) {
	if r.state == state {
		return
	}
	if edges != nil {
		edges(r.state, state)
	}
	r.state, r.unsaved, s.unsettled = state, true, true
}

// edges is told each change of a state, in tests.
var edges func(from, to State)

// touch notes that the record of a run has changed.
func (r *Run) touch() { r.unsaved = true }

// learn turns an event into facts and states. What follows for other runs reconcile decides.
func (s *Apps) learn(ev Event) {
	switch ev := ev.(type) {
	case Begin:
		s.begin(ev)
	case Restore:
		s.restore(ev)
	default:
		if s.phase == Unborn {
			s.impossible(nil, name(ev)+" before the begin")
			return
		}
		if _, is := ev.(Resumed); s.adopting && !is && !isFact(ev) {
			s.impossible(nil, name(ev)+" before resumed")
			return
		}
		s.learnMore(ev)
	}
}

// isFact says whether an event is one that may come while runs are adopted.
func isFact(ev Event) bool {
	switch ev.(type) {
	case Tick, Stepped, HookEnded, FilesChanged, Opening, Refuse:
		return true
	}
	return false
}

func (s *Apps) learnMore(ev Event) {
	switch ev := ev.(type) {
	case Tick:
		s.expire()
	case Resumed:
		s.resumed()
	case Stepped:
		s.with(ev.App, ev, func(r *Run) { s.stepped(r, ev) })
	case HookEnded:
		s.with(ev.App, ev, func(r *Run) { s.hookEnded(r, ev) })
	case FilesChanged:
		s.with(ev.App, ev, func(r *Run) { s.filesChanged(r, ev) })
	case Stop:
		s.stop(ev)
	case Opening:
		s.opening = true
	case Refuse:
		s.opening = false
	case Configure:
		s.configure(ev)
	case StopApp:
		s.with(ev.App, ev, func(r *Run) { s.stopApp(r, ev) })
	case StopForNext:
		s.with(ev.App, ev, func(r *Run) { s.stopForNext(r, ev) })
	case NextRun:
		s.with(ev.App, ev, func(r *Run) { s.nextRun(r, ev) })
	case NoNextRun:
		s.with(ev.App, ev, func(r *Run) { s.noNextRun(r, ev) })
	case Exchange:
		s.with(ev.App, ev, func(r *Run) { s.exchange(r, ev) })
	case StartNeeds:
		s.with(ev.App, ev, func(r *Run) { s.startNeeds(r) })
	default:
		s.impossible(nil, "unknown event")
	}
}

// with finds the run that an event is about.
func (s *Apps) with(id ID, ev Event, do func(*Run)) {
	r := s.byID[id]
	if r == nil {
		s.emit(Record{Kind: KindImpossible, App: id, Reason: name(ev) + " of no run"})
		return
	}
	do(r)
}

func (s *Apps) impossible(r *Run, what string) {
	rec := Record{Kind: KindImpossible, Reason: what}
	if r != nil {
		rec.App, rec.State = r.id, r.state
	}
	s.emit(rec)
}

// reconcile compares what is with what should be, and orders the difference, until nothing follows any more.
func (s *Apps) reconcile() {
	for s.unsettled {
		s.unsettled = false
		s.stopInOrder()
		s.reconsiderAll()
		s.runDrainHooks()
		s.judgeReady()
	}
	s.judgeEnd()
}
