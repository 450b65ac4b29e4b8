package pool

import (
	"cmp"
	"slices"
)

// Found is a worker of which nothing is known but that it runs, and serves a slot.
type Found struct {
	ID   WorkerID
	PID  int
	Slot int
}

// Adopted makes a record of workers whose own record is lost, or is of a version that Restore does not know. Their
// generation is not known, so the pool that is restored from it replaces them one by one, as in a rollout for the given
// reason, and starts what is missing. Of two in a slot the one with the lower ID is told to drain.
//
// cfg is the one that Restore will get. FirstGeneration must be resolved, as before Start; workers that start because others
// died get it. The workers' IDs may be any; those to come are higher, and not below FirstID. What else may run, without serving,
// is not to be told here but to be ended.
func Adopted(cfg Config, found []Found, reason string) Saved {
	cfg = cfg.normal()
	reason = cmp.Or(reason, "adopted")
	slots := 0
	for _, f := range found {
		slots = max(slots, min(f.Slot, MaxSlots)+1) // more is an error, which Restore says
	}
	saved := Saved{
		Version: SavedVersion, Phase: running.String(), Want: cfg.Workers, Claimed: min(slots, cfg.Workers),
		Slots: make([]SavedSlot, slots), FirstID: cfg.FirstID, NextID: cfg.FirstID,
		FirstGeneration: cfg.FirstGeneration, Generation: cfg.FirstGeneration, Newest: cfg.FirstGeneration,
		Queued: reason, Served: len(found) > 0, DoneCode: CodeStopped, DoneReason: "stopped", Random: cfg.Seed,
	}
	for i := range saved.Slots {
		saved.Slots[i].Generation = cfg.FirstGeneration
	}
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b Found) int { return cmp.Compare(a.ID, b.ID) })
	for _, f := range found {
		w := SavedWorker{ID: f.ID, PID: f.PID, State: StateReady, WasReady: true}
		saved.FirstID, saved.NextID = min(saved.FirstID, f.ID), max(saved.NextID, f.ID+1)
		s := &saved.Standbys // where no worker may be ready, so that Restore refuses it
		if f.Slot >= 0 && f.Slot < len(saved.Slots) {
			s = &saved.Slots[f.Slot]
			s.Filled = true
		}
		if n := len(s.Workers); n > 0 {
			old := &s.Workers[n-1]
			old.State, old.DueIn = StateDraining, cfg.DrainDelay+cfg.DrainTimeout
			old.Told = &SavedDrain{Reason: reason, Handover: true, Delay: cfg.DrainDelay}
		}
		s.Workers = append(s.Workers, w)
	}
	return saved
}
