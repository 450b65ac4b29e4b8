package pool

import (
	"errors"
	"slices"
	"strconv"
)

// Bounds of what a record may say: more is no state that a pool was ever in.
const (
	maxFailures   = 1 << 20
	maxGeneration = 1 << 50
	maxID         = 1 << 62
)

// check says what in a record cannot be: what the rest of the pool takes for granted. What is merely odd is put right by the
// first reconcile.
func (saved Saved) check() error {
	switch {
	case saved.Version > SavedVersion:
		return errors.New("the record has version " + strconv.Itoa(saved.Version) + ", and the newest known here is " + strconv.Itoa(SavedVersion))
	case saved.Version < 1:
		return errors.New("the record has no version")
	}
	at := slices.Index(phaseNames[:], saved.Phase)
	if at < 0 {
		return errors.New("no such phase: " + strconv.Quote(saved.Phase))
	}
	ph := phase(at)
	busy := len(saved.Standbys.Workers) > 0
	for _, s := range saved.Slots {
		busy = busy || len(s.Workers) > 0
	}
	switch {
	case saved.Want < 0 || saved.Want > MaxSlots:
		return errors.New(strconv.Itoa(saved.Want) + " slots are wanted")
	case len(saved.Slots) > MaxSlots:
		return errors.New(strconv.Itoa(len(saved.Slots)) + " slots are open")
	case saved.Claimed < 0 || saved.Claimed > len(saved.Slots):
		return errors.New(strconv.Itoa(saved.Claimed) + " of " + strconv.Itoa(len(saved.Slots)) + " slots were wanted")
	case ph == running && saved.Claimed != min(saved.Want, len(saved.Slots)):
		return errors.New(strconv.Itoa(saved.Claimed) + " slots were wanted, and " + strconv.Itoa(saved.Want) + " are")
	case saved.FirstID < 1 || saved.NextID < saved.FirstID || saved.NextID > maxID:
		return errors.New("worker IDs go from " + decimal(saved.FirstID) + " to " + decimal(saved.NextID))
	case saved.FirstGeneration < 1 || saved.Generation < 1 || saved.Newest < saved.Generation || saved.Newest > maxGeneration:
		return errors.New("generation " + strconv.Itoa(saved.Generation) + " of " + strconv.Itoa(saved.Newest))
	case ph == idle && (len(saved.Slots) > 0 || busy || len(saved.Abandoned) > 0):
		return errors.New("it has not started, but has slots or workers")
	case ph == done && busy:
		return errors.New("it is done, but has workers")
	case (ph == stopping || ph == killing) && saved.Why == "":
		return errors.New("it stops for no reason")
	}
	if r := saved.Rollout; r != nil {
		switch {
		case ph != running:
			return errors.New("a rollout, but the phase is " + saved.Phase)
		case r.Generation != saved.Newest || r.Generation <= saved.Generation:
			return errors.New("a rollout to generation " + strconv.Itoa(r.Generation) + " of " + strconv.Itoa(saved.Newest))
		case r.Reason == "":
			return errors.New("a rollout for no reason")
		}
	}
	known := make(map[WorkerID]bool)
	for n, s := range saved.Slots {
		if err := saved.checkSlot(s, known); err != nil {
			return errors.New("slot " + strconv.Itoa(n) + ": " + err.Error())
		}
	}
	if err := saved.checkBench(known); err != nil {
		return errors.New("standbys: " + err.Error())
	}
	for _, w := range saved.Abandoned {
		if err := saved.checkWorker(w, known); err != nil {
			return err
		}
		if w.State != StateGone || w.Slot < noSlot || w.Slot >= MaxSlots {
			return errors.New("worker " + decimal(w.ID) + " is abandoned, but " + w.State.String() + " in slot " + strconv.Itoa(w.Slot))
		}
	}
	return nil
}

func (saved Saved) checkSlot(s SavedSlot, known map[WorkerID]bool) error {
	if err := saved.checkHistory(s); err != nil {
		return err
	}
	if len(s.Workers) > 2 {
		return errors.New(strconv.Itoa(len(s.Workers)) + " workers")
	}
	var count [len(stateNames)]int
	sweeping := 0
	for _, w := range s.Workers {
		if err := saved.checkWorker(w, known); err != nil {
			return err
		}
		switch w.State {
		case StateStarting, StateReady, StateDraining, StateKilling:
		case StateNone, StateStandby, StateGone:
			return errors.New("worker " + decimal(w.ID) + " is " + w.State.String())
		}
		count[w.State]++
		if w.Sweeping {
			sweeping++
			if w.State != StateDraining && w.State != StateKilling {
				return errors.New("worker " + decimal(w.ID) + " sweeps, but is " + w.State.String())
			}
		}
	}
	switch {
	case sweeping > 1:
		return errors.New("two workers sweep it")
	case count[StateStarting] > 1:
		return errors.New("two workers start")
	case count[StateReady]+count[StateStarting] > 1 && s.Replacing == "":
		return errors.New("two workers for no reason")
	case count[StateReady] > 0 && (s.Finished || !s.Filled):
		return errors.New("a worker is ready, but it is finished or was never filled")
	}
	return nil
}

func (saved Saved) checkBench(known map[WorkerID]bool) error {
	b := saved.Standbys
	if err := saved.checkHistory(b); err != nil {
		return err
	}
	if len(b.Workers) > 2*MaxSlots {
		return errors.New(strconv.Itoa(len(b.Workers)) + " workers")
	}
	if b.Held != "" || b.Replacing != "" || b.Finished || b.Filled || b.Swept || b.Sweeps != 0 {
		return errors.New("they have what only a slot has")
	}
	for _, w := range b.Workers {
		if err := saved.checkWorker(w, known); err != nil {
			return err
		}
		switch w.State {
		case StateStarting, StateStandby, StateDraining, StateKilling:
		case StateNone, StateReady, StateGone:
			return errors.New("worker " + decimal(w.ID) + " is " + w.State.String())
		}
		if w.WasReady || w.Assigned || w.Sweeping || w.Told != nil {
			return errors.New("worker " + decimal(w.ID) + " has done what needs a slot")
		}
	}
	return nil
}

func (saved Saved) checkHistory(s SavedSlot) error {
	switch {
	case s.Failures < 0 || s.Failures > maxFailures:
		return errors.New(strconv.Itoa(s.Failures) + " failures")
	case s.Generation < 0 || s.Generation > saved.Newest:
		return errors.New("generation " + strconv.Itoa(s.Generation) + " of " + strconv.Itoa(saved.Newest))
	case s.Sweeps < 0 || s.Sweeps > maxSweeps:
		return errors.New("swept by " + strconv.Itoa(s.Sweeps) + " workers")
	}
	return nil
}

// checkWorker holds what is true of a worker wherever it is.
func (saved Saved) checkWorker(w SavedWorker, known map[WorkerID]bool) error {
	if w.ID < saved.FirstID || w.ID >= saved.NextID || known[w.ID] {
		return errors.New("worker " + decimal(w.ID) + " of " + decimal(saved.FirstID) + " to " + decimal(saved.NextID) + ", or a second time")
	}
	known[w.ID] = true
	what := ""
	switch state := w.State; {
	case state <= StateNone || state > StateGone:
		what = "in no state"
	case w.PID < 0 || w.PID == 0 && (state == StateStandby || state == StateReady || state == StateDraining):
		what = state.String() + ", but its PID is " + strconv.Itoa(w.PID)
	case w.Generation < 0 || w.Generation > saved.Newest:
		what = "of generation " + strconv.Itoa(w.Generation)
	case w.WasReady != (state == StateReady) && (state == StateStarting || state == StateStandby || state == StateReady):
		what = state.String() + ", but was ready or was not"
	case w.WasReady && !saved.Served:
		what = "one that was ready, but no worker ever was"
	case w.Told != nil && (!w.WasReady || state == StateReady):
		what = state.String() + ", but was told to drain"
	case w.Owed < int(noSignal) || w.Owed > int(sigKill) || w.Sent < int(noSignal) || w.Sent > w.Owed || w.Sent > 0 && w.PID == 0:
		what = "sent signal " + strconv.Itoa(w.Sent) + " of " + strconv.Itoa(w.Owed)
	case (w.Owed != 0) != (state == StateKilling || state == StateGone):
		what = state.String() + ", but owed signal " + strconv.Itoa(w.Owed)
	case !(w.AgeShare >= -1 && w.AgeShare <= 1):
		what = "jittered beyond itself"
	}
	if what != "" {
		return errors.New("worker " + decimal(w.ID) + " is " + what)
	}
	return nil
}

func decimal(id WorkerID) string { return strconv.FormatUint(uint64(id), 10) }
