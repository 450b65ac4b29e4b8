package pool

import (
	"slices"
	"time"
)

// What a Step costs does not grow with the slots. A slot to which nothing has happened needs no second look, as reconcile
// orders nothing twice. So a Step looks at the slots in focus alone:
//
//	the slot of the worker that the event is about
//	slots of which a time has come
//	the slot that gets the next turn
//	all of them after a change of what they share: the phase, the slots wanted, the config, the rollout; and unless it runs
//
// The rest of the pool asks focus where it would go through all slots. Beside the slots it keeps, in memory that is quick to
// go through, what it has to find among all of them. The tests compare each Step with one of a pool that looks at everything.

// focus is what the Step under way looks at, and how the next one finds that.
type focus struct {
	slots  []*slot // in focus, by number
	wide   bool    // all are
	shared shared  // when the slots were looked at last
	epoch  time.Time
	at     time.Time // of the last look
	due    []int64   // by slot: nanoseconds from epoch to its next time; noTime: none
	flags  []byte    // by slot: needs, waits
	turns  int       // slots that have their turn
	always bool      // everything is looked at: for tests
}

const noTime = 1<<63 - 1

const (
	needs    byte = 1 << iota // a replacement, and has not its turn
	waits                     // for a worker: see Waits
	unserved                  // no worker in it accepts
)

// shared is what the outcome of every slot may depend on.
type shared struct {
	phase      phase
	want       int
	claimed    int
	generation int
	served     bool
	rollout    rollout
	cfg        Config
}

func (p *Pool) sharedNow() shared {
	return shared{p.phase, p.want, p.claimed, p.generation, p.served, p.rollout, p.cfg}
}

// about is the slot of the worker that an event tells of; nil: the event tells of none.
func (p *Pool) about(ev Event) (s *slot, all bool) {
	var id WorkerID
	switch ev := ev.(type) {
	case Tick:
		return nil, false
	case Spawned:
		id = ev.ID
	case SpawnFailed:
		id = ev.ID
	case Ready:
		id = ev.ID
	case Parked:
		id = ev.ID
	case Stalled:
		id = ev.ID
	case Resumed:
		id = ev.ID
	case Leaving:
		id = ev.ID
	case Exited:
		id = ev.ID
	case Recycle:
		id = ev.ID
	default:
		return nil, true // a command, or a pause: it is about all
	}
	if w := p.workers[id]; w != nil && p.has(w.slot) {
		return w.slot, false
	}
	return nil, false
}

// has reports whether s is among the open slots: the one of the standbys is not, nor is one that was closed.
func (p *Pool) has(s *slot) bool {
	return s.number >= 0 && s.number < len(p.slots) && p.slots[s.number] == s
}

// look begins a Step that knows what its event is about.
func (p *Pool) look(s *slot, all bool) {
	f := &p.focus
	f.slots, f.wide = f.slots[:0], false
	back := p.now.Before(f.at) // the clock was set back: what was past may be to come
	f.at = p.now
	if all || back || f.always || p.again || p.phase != running {
		p.lookAtAll()
		return
	}
	if p.widen(); f.wide {
		return
	}
	now := int64(p.now.Sub(f.epoch))
	if now == noTime { // more than the numbers have room for
		p.lookAtAll()
		return
	}
	for n, at := range f.due {
		if at <= now {
			f.slots = append(f.slots, p.slots[n])
		}
	}
	if s != nil {
		p.lookAt(s)
	}
}

// lookAtAll brings everything into focus until the Step ends.
func (p *Pool) lookAtAll() {
	f, n := &p.focus, len(p.slots)
	f.slots, f.wide, f.shared = append(f.slots[:0], p.slots...), true, p.sharedNow()
	f.due, f.flags = slices.Grow(f.due[:0], n)[:n], slices.Grow(f.flags[:0], n)[:n] // looked and flag fill them
}

// lookAt brings one more slot into focus.
func (p *Pool) lookAt(s *slot) {
	n, found := slices.BinarySearchFunc(p.focus.slots, s.number, func(s *slot, number int) int { return s.number - number })
	if !found {
		p.focus.slots = slices.Insert(p.focus.slots, n, s)
	}
}

// widen brings everything into focus if what the slots share has changed, or there are others than before.
func (p *Pool) widen() {
	if p.sharedNow() != p.focus.shared || len(p.focus.due) != len(p.slots) || p.focus.wide && len(p.focus.slots) != len(p.slots) {
		p.lookAtAll()
	}
}

// setTurn gives a slot its turn, for a reason, or takes it back.
func (p *Pool) setTurn(s *slot, why string) {
	if why != "" {
		p.focus.turns++
	}
	if s.replacing != "" {
		p.focus.turns--
	}
	s.replacing = why
}

// looked notes of the slots in focus when they want to be looked at next, and that they may have changed.
func (p *Pool) looked() {
	f := &p.focus
	if f.wide {
		f.epoch = p.now
	}
	f.due, f.flags = f.due[:len(p.slots)], f.flags[:len(p.slots)] // some were closed
	for _, s := range f.slots {
		if !p.has(s) {
			continue
		}
		s.at = p.slotAt(s)
		f.due[s.number] = noTime
		if !s.at.IsZero() {
			f.due[s.number] = min(int64(s.at.Sub(f.epoch)), noTime-1)
		}
		p.flag(s)
		p.noteChange(s)
	}
	f.shared = p.sharedNow()
}

// flag notes what is to be found of a slot without a look at it.
func (p *Pool) flag(s *slot) {
	flags := byte(0)
	if s.replacing == "" && p.need(s) != "" {
		flags |= needs
	}
	if !s.serves() {
		flags |= unserved
	}
	if s.waits() {
		flags |= waits
	}
	p.focus.flags[s.number] = flags
}

// slotAt is the next time that a slot waits for; zero: none. A time that is past waits for something else.
func (p *Pool) slotAt(s *slot) (first time.Time) {
	at := func(t time.Time) {
		if !t.IsZero() && t.After(p.now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	for _, w := range s.workers {
		at(w.due)
		if p.phase != running {
			continue
		}
		if w.stalled() {
			at(p.stallAt(w))
		}
		if p.cfg.MaxAge > 0 {
			at(p.ageAt(w))
		}
	}
	if p.phase != running {
		return first
	}
	at(p.forgetAt(s))
	at(s.calmAt())
	if p.wanted(s) && p.lacks(s) || p.lacksSweep(s) {
		at(s.retryAt)
	}
	return first
}

// liveness is how much a slot deserves new connections.
func (s *slot) liveness() uint8 {
	switch {
	case s.held != "":
		return 0
	case s.serves():
		return 3
	case s.staffed():
		return 2
	}
	return 1
}
