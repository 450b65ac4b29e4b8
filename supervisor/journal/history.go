package journal

import (
	"slices"
	"strconv"
	"syscall"

	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/pool"
	"golang.org/x/sys/unix"
)

// History is what outlives the workers of an app, and the app itself when it is
// stopped and started again.
type History struct {
	Restarts, Crashes uint64
	Rollouts          map[pool.Kind]uint64 // by how they ended
	Slots             []Slot
	Changed           map[int]struct{} // of slots, since the record was written
	LastRollout       *api.Rollout     // the last one, if it was aborted
	RolloutReason     string           // of the one that began last
	LastID            pool.WorkerID    // the highest there was
	LastGeneration    int              // likewise
	Err               string           // why the app ended or was not started
}

// Slot is what outlives the workers of one slot.
type Slot struct {
	Restarts int
	Unasked  bool   // its worker went, or is to go, without a person's order
	LastExit string // of the worker before
}

// Slot is that of slot n, to be changed: the next record has it anew.
func (h *History) Slot(n int) *Slot {
	for len(h.Slots) <= n {
		h.Slots = append(h.Slots, Slot{})
	}
	if h.Changed == nil {
		h.Changed = map[int]struct{}{}
	}
	h.Changed[n] = struct{}{} // each caller changes it
	return &h.Slots[n]
}

// Filled notes that a slot gets a worker. It is a restart when the worker before it went without an order; a worker that an
// order, a rollout or a change of the number of workers brings is none.
func (h *History) Filled(slot int) {
	if slot < 0 {
		return
	}
	if s := h.Slot(slot); s.Unasked {
		s.Unasked = false
		s.Restarts++
		h.Restarts++
	}
}

// Count adds n rollouts that ended so.
func (h *History) Count(end pool.Kind, n uint64) {
	if h.Rollouts == nil {
		h.Rollouts = map[pool.Kind]uint64{}
	}
	h.Rollouts[end] += n
}

// Note takes in what a core has recorded.
func (h *History) Note(r pool.Record, st func() pool.Status) {
	if slices.Contains(EndsOfRollouts[:], r.Kind) {
		h.Count(r.Kind, 1)
	}
	switch r.Kind {
	case pool.KindExited:
		crashed := r.Unasked()
		if crashed {
			h.Crashes++
		}
		if r.Slot < 0 {
			return
		}
		s := h.Slot(r.Slot)
		s.LastExit = exitWords(r)
		if r.State == pool.StateStarting || r.State == pool.StateReady {
			s.Unasked = true
		}
	case pool.KindSpawnFailed, pool.KindReadyTimeout, pool.KindRecycle:
		if r.Slot >= 0 {
			h.Slot(r.Slot).Unasked = true
		}
	case pool.KindRolloutBegin:
		h.LastRollout, h.RolloutReason = nil, r.Reason
		for i := range h.Slots {
			h.Slots[i].Unasked = false
		}
	case pool.KindRolloutAborted:
		now := st()
		h.LastRollout = &api.Rollout{
			ID: r.Generation, Reason: h.RolloutReason, Total: now.Wanted, Done: generationCount(now, r.Generation),
			State: api.RolloutAborted, Error: r.Reason,
		}
	case pool.KindReleased, pool.KindHeld:
		if r.Slot >= 0 {
			h.Slot(r.Slot).Unasked = false
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

// EndsOfRollouts are the kinds that a history counts.
var EndsOfRollouts = [...]pool.Kind{pool.KindRolloutDone, pool.KindRolloutAborted, pool.KindRolloutCancelled}
