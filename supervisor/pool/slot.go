package pool

import (
	"slices"
	"time"
)

// SlotState is derived from a slot's workers and history, never stored.
type SlotState uint8

const (
	SlotVacant  SlotState = iota // no worker that serves or is about to
	SlotFilled                   // a worker is ready or starting
	SlotBackoff                  // vacant until a time
)

var slotStateNames = [...]string{"vacant", "filled", "backoff"}

func (s SlotState) String() string               { return slotStateNames[s] }
func (s SlotState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// slot is a position of the app. It outlives its workers and keeps what must be remembered of them. One more slot, which is not a
// position, has the standbys: see standby.go.
type slot struct {
	number  int       // noSlot: of the standbys
	workers []*worker // not gone, oldest first, at most two; more of the standbys

	filled     bool      // a worker was ready here once
	generation int       // restarts use it: of the last worker that was ready here, or later if rollouts were missed
	failures   int       // in a row
	failure    string    // the last of them
	failedAt   time.Time // and when
	retryAt    time.Time // not before; zero when finished
	hasty      int       // recycled workers in a row that served only a moment: see pace.go
	finished   bool      // vacant for good, until a worker of a rollout is ready here

	sweep sweep // before it is retired, or while it is held

	at   time.Time // when it wants to be looked at next; zero: at no time
	live uint8     // its liveness when the slots were steered to last
	kept slotMark  // what it was when it was looked at last

	unsaved bool // see Changes

	held string // why the slot has no worker although it stays; empty: it is not held

	// replacing is why this slot has its turn in the replacement queue; empty: it has none.
	replacing string
}

func (s *slot) in(state State) *worker {
	for _, w := range s.workers {
		if w.state == state {
			return w
		}
	}
	return nil
}

func (s *slot) ready() *worker    { return s.in(StateReady) }
func (s *slot) starting() *worker { return s.in(StateStarting) }
func (s *slot) vacant() bool      { return s.ready() == nil && s.starting() == nil }

// serves reports whether a worker here accepts: it is ready and not stalled.
func (s *slot) serves() bool {
	for _, w := range s.workers {
		if w.state == StateReady && !w.stalled() {
			return true
		}
	}
	return false
}

// holder returns the newest ready worker: the one that stays when there are two; nil: none is ready.
func (s *slot) holder() *worker {
	for i := len(s.workers) - 1; i >= 0; i-- {
		if s.workers[i].state == StateReady {
			return s.workers[i]
		}
	}
	return nil
}

func (s *slot) remove(w *worker) {
	s.workers = without(s.workers, w)
	if s.sweep.by == w {
		s.sweep.by = nil
	}
}

func without(workers []*worker, w *worker) []*worker {
	if i := slices.Index(workers, w); i >= 0 {
		return slices.Delete(workers, i, i+1)
	}
	return workers
}

func (s *slot) state(now time.Time) SlotState {
	switch {
	case !s.vacant():
		return SlotFilled
	case now.Before(s.retryAt):
		return SlotBackoff
	}
	return SlotVacant
}
