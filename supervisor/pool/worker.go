package pool

import (
	"errors"
	"slices"
	"strconv"
	"time"
)

// State is that of a worker. It only goes down this list; each step but the first may be skipped. Except that a standby
// begins once more, in its slot.
type State uint8

const (
	StateNone     State = iota // no worker: in records about something else
	StateStarting              // spawn ordered; due: the ready timeout
	StateStandby               // initialised, without a slot; nothing is due
	StateReady                 // accepts connections; nothing is due
	StateDraining              // finishes what it has; due: SIGTERM
	StateKilling               // owed SIGTERM, then SIGKILL; due: the next step
	StateGone                  // no process, or one that was given up
)

var stateNames = [...]string{"", "starting", "standby", "ready", "draining", "killing", "gone"}

func (s State) String() string               { return stateNames[s] }
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return errors.New("no such worker state: " + strconv.Quote(string(text)))
	}
	*s = State(i)
	return nil
}

// timed reports whether a deadline runs in this state.
func (s State) timed() bool { return s == StateStarting || s == StateDraining || s == StateKilling }

// signal is how a worker is being ended. They escalate.
type signal uint8

const (
	noSignal signal = iota
	sigTerm
	sigKill
)

// worker is one process incarnation, or the order for one.
type worker struct {
	id         WorkerID
	slot       *slot
	generation int
	pid        int  // 0: Spawned has not arrived
	assigned   bool // it was given its slot after it had stood by
	state      State
	ordered    time.Time // the Spawn
	readyAt    time.Time // zero: never was
	since      time.Time // in this state
	due        time.Time // when time itself moves it on; zero: never

	stall     string    // how it was seen to be stalled
	stalledAt time.Time // since when; zero: it is not
	dump      string    // why it shall say what it is doing, once; empty: it shall not
	dumped    bool      // it was asked
	share     float64   // of AgeJitter that its MaxAge is longer, -1..1

	renewed bool   // it got the ready timeout anew from a master that came later
	told    *Drain // the order that it was given; nil: none

	recycle string // why it shall be replaced when its turn comes; empty: it shall not

	// A worker is owed a signal from the moment of the decision, but gets it only once it has a PID.
	owed, sent signal
	why        string // of what is owed
}

// standby reports whether the worker has no slot yet.
func (w *worker) standby() bool { return w.slot.number == noSlot }

func (w *worker) stalled() bool { return !w.stalledAt.IsZero() }

func (w *worker) wasReady() bool { return !w.readyAt.IsZero() }

func (w *worker) enter(s State, now time.Time, due time.Time) {
	w.state, w.since, w.due = s, now, due
}
