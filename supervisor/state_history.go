package supervisor

import (
	"encoding/binary"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/pool"
)

// savedHistory is what an app has behind it, so that counters do not go back under
// another master.
type savedHistory struct {
	Restarts       uint64             `json:"restarts,omitempty"`
	Crashes        uint64             `json:"crashes,omitempty"`
	Rollouts       map[string]uint64  `json:"rollouts,omitempty"` // by the kind of their end
	Slots          []savedSlotHistory `json:"slots,omitempty"`
	Rollout        *control.Rollout   `json:"rollout,omitempty"` // the last one, if it was aborted
	RolloutReason  string             `json:"rollout_reason,omitempty"`
	LastID         pool.WorkerID      `json:"last_id,omitempty"`
	LastGeneration int                `json:"last_generation,omitempty"`
	Totals         []byte             `json:"totals,omitempty"` // ipc.Stats by slot, little endian; of another size: of another version
}

type savedSlotHistory struct {
	Restarts int    `json:"restarts,omitempty"`
	Unasked  bool   `json:"unasked,omitempty"`
	LastExit string `json:"last_exit,omitempty"`
}

// endsOfRollouts are the kinds that savedHistory counts.
var endsOfRollouts = []pool.Kind{pool.KindRolloutDone, pool.KindRolloutAborted, pool.KindRolloutCancelled}

func (a *app) savedHistory() savedHistory {
	h := &a.history
	s := savedHistory{
		Restarts: h.restarts, Crashes: h.crashes, Rollout: h.lastRollout, RolloutReason: h.rolloutReason,
		LastID: h.lastID, LastGeneration: h.lastGeneration, Totals: a.savedTotals(),
	}
	for kind, n := range h.rollouts {
		if s.Rollouts == nil {
			s.Rollouts = map[string]uint64{}
		}
		s.Rollouts[kind.String()] = n
	}
	for _, slot := range h.slots {
		s.Slots = append(s.Slots, savedSlotHistory{slot.restarts, slot.unasked, slot.lastExit})
	}
	return s
}

// savedTotals are made anew only when they have changed: each slot has a histogram.
func (a *app) savedTotals() []byte {
	if a.totalsSaved == nil && len(a.totals) > 0 {
		// It fails only with what has no fixed size.
		a.totalsSaved, _ = binary.Append(nil, binary.LittleEndian, a.totals)
	}
	return a.totalsSaved
}

func (a *app) restoreHistory(s savedHistory) {
	a.history = history{
		restarts: s.Restarts, crashes: s.Crashes, lastRollout: s.Rollout, rolloutReason: s.RolloutReason,
		lastID: s.LastID, lastGeneration: s.LastGeneration,
	}
	for _, kind := range endsOfRollouts {
		if n := s.Rollouts[kind.String()]; n > 0 {
			a.history.count(kind, n)
		}
	}
	for _, slot := range s.Slots {
		a.history.slots = append(a.history.slots, slotHistory{slot.Restarts, slot.Unasked, slot.LastExit})
	}
	size := binary.Size(ipc.Stats{})
	if size <= 0 || len(s.Totals)%size != 0 {
		return
	}
	totals := make([]ipc.Stats, len(s.Totals)/size)
	if _, err := binary.Decode(s.Totals, binary.LittleEndian, totals); err == nil {
		a.totals, a.totalsSaved = totals, s.Totals
	}
}
