package master

import (
	"maps"
	"slices"
	"strconv"
	"syscall"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
	"golang.org/x/sys/unix"
)

// history is what outlives the workers of an app, and the app itself when it is
// stopped and started again.
type history struct {
	restarts, crashes uint64
	rollouts          map[pool.Kind]uint64 // by how they ended
	slots             []slotHistory
	changed           map[int]struct{} // of slots, since the record was written
	lastRollout       *control.Rollout // the last one, if it was aborted
	rolloutReason     string           // of the one that began last
	lastID            pool.WorkerID    // the highest there was
	lastGeneration    int              // likewise
	error             string           // why the app ended or was not started
}

type slotHistory struct {
	restarts int
	unasked  bool   // its worker went, or is to go, without a person's order
	lastExit string // of the worker before
}

func (h *history) slot(n int) *slotHistory {
	for len(h.slots) <= n {
		h.slots = append(h.slots, slotHistory{})
	}
	if h.changed == nil {
		h.changed = map[int]struct{}{}
	}
	h.changed[n] = struct{}{} // each caller changes it
	return &h.slots[n]
}

// filled notes that a slot gets a worker: a restart, when the one before went unasked.
// What an order, a rollout or a change of the number of workers brings is none.
func (h *history) filled(slot int) {
	if slot < 0 {
		return
	}
	if s := h.slot(slot); s.unasked {
		s.unasked = false
		s.restarts++
		h.restarts++
	}
}

func (h *history) count(end pool.Kind, n uint64) {
	if h.rollouts == nil {
		h.rollouts = map[pool.Kind]uint64{}
	}
	h.rollouts[end] += n
}

// note takes in what a core has recorded.
func (h *history) note(r pool.Record, st func() pool.Status) {
	if slices.Contains(endsOfRollouts[:], r.Kind) {
		h.count(r.Kind, 1)
	}
	switch r.Kind {
	case pool.KindExited:
		crashed := r.Unasked()
		if crashed {
			h.crashes++
		}
		if r.Slot < 0 {
			return
		}
		s := h.slot(r.Slot)
		s.lastExit = exitWords(r)
		if r.State == pool.StateStarting || r.State == pool.StateReady {
			s.unasked = true
		}
	case pool.KindSpawnFailed, pool.KindReadyTimeout, pool.KindRecycle:
		if r.Slot >= 0 {
			h.slot(r.Slot).unasked = true
		}
	case pool.KindRolloutBegin:
		h.lastRollout, h.rolloutReason = nil, r.Reason
		for i := range h.slots {
			h.slots[i].unasked = false
		}
	case pool.KindRolloutAborted:
		now := st()
		h.lastRollout = &control.Rollout{
			ID: r.Generation, Reason: h.rolloutReason, Total: now.Wanted, Done: generationCount(now, r.Generation),
			State: control.RolloutAborted, Error: r.Reason,
		}
	case pool.KindReleased, pool.KindHeld:
		if r.Slot >= 0 {
			h.slot(r.Slot).unasked = false
		}
	}
}

// generationCount is how many slots have a worker of a generation that was ready.
func generationCount(st pool.Status, generation int) (n int) {
	for _, s := range st.Slots {
		if !s.Retiring && s.Generation == generation {
			n++
		}
	}
	return n
}

// exitWords is an exit as status shows it.
func exitWords(r pool.Record) string {
	if r.Signal != 0 {
		if name := unix.SignalName(syscall.Signal(r.Signal)); name != "" {
			return name
		}
		return "signal " + strconv.Itoa(r.Signal)
	}
	return "exit " + strconv.Itoa(r.Code)
}

// inherit makes a the next run of an app that has ended or is about to.
func (a *app) inherit(old *app) {
	a.history = old.history
	a.history.changed = nil
	a.previous, a.previousUntil, old.previous = old.previous, old.previousUntil, nil
	a.history.rollouts = maps.Clone(old.history.rollouts)
	for i := range a.history.slots {
		a.history.slots[i].unasked = false // what follows is by order
	}
	old.history.slots = nil // two writers would share it
	a.setTotals(slices.Clone(old.totals))
	a.history.error = ""
}
