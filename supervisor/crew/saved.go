package crew

import (
	"reflect"
	"slices"
	"time"

	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/launch"
	"github.com/tinehq/tine/supervisor/listen"
	"github.com/tinehq/tine/supervisor/pool"
	"github.com/tinehq/tine/supervisor/succession"
)

func (m *Worker) Saved() succession.Member {
	saved := succession.Member{
		ID: m.ID, PID: m.PID(), Slot: m.Slot, Seat: -1, Generation: m.Generation,
		Ready: m.Ready, Greeted: m.Greeted, Left: m.Left, Drains: m.Drains, Jitter: m.Jitter, Exit: m.Unjudged,
	}
	if m.Seat != nil {
		saved.Seat = m.Seat.Number
	}
	return saved
}

func (a *App) SavedHistory() succession.History {
	h := &a.History
	s := succession.History{
		Restarts: h.Restarts, Crashes: h.Crashes, Rollout: h.LastRollout, RolloutReason: h.RolloutReason,
		LastID: h.LastID, LastGeneration: h.LastGeneration, Totals: a.Totals.Save(),
	}
	for kind, n := range h.Rollouts {
		if s.Rollouts == nil {
			s.Rollouts = map[string]uint64{}
		}
		s.Rollouts[kind.String()] = n
	}
	for _, slot := range h.Slots {
		s.Slots = append(s.Slots, SavedSlotHistory(slot))
	}
	return s
}

func SavedSlotHistory(s journal.Slot) succession.SlotHistory {
	return succession.SlotHistory{Restarts: s.Restarts, Unasked: s.Unasked, LastExit: s.LastExit}
}

func (a *App) RestoreHistory(s succession.History) {
	a.History = journal.History{
		Restarts: s.Restarts, Crashes: s.Crashes, LastRollout: s.Rollout, RolloutReason: s.RolloutReason,
		LastID: s.LastID, LastGeneration: s.LastGeneration,
	}
	for _, kind := range journal.EndsOfRollouts {
		if n := s.Rollouts[kind.String()]; n > 0 {
			a.History.Count(kind, n)
		}
	}
	for _, slot := range s.Slots {
		a.History.Slots = append(a.History.Slots, journal.Slot{Restarts: slot.Restarts, Unasked: slot.Unasked, LastExit: slot.LastExit})
	}
	a.Totals.Restore(s.Totals)
}

// saving is what the loop knows of what the record has of an app.
type saving struct {
	Dirty   bool // something may be others than the record has it
	All     bool // and it is known to be more than slots and workers
	Base    SavedBase
	Members map[pool.WorkerID]struct{} // are new, or others, or gone
	Slots   map[int]struct{}           // have another history
}

// SavedBase is what no part of an app tells, as far as that is not the pool's. It is compared, so that nothing is encoded to see
// that it is the same.
type SavedBase struct {
	Kind                        SavedKind
	Place, Sockets              int
	EverReady, Added, Leaving   bool
	Halted                      bool
	StartWith, Replaces         int
	NextRun                     time.Time
	LastRollout                 *control.Rollout
	RolloutReason, Why          string
	LastGeneration, Generations int
	Rollouts                    [len(journal.EndsOfRollouts)]uint64
	Previous, BackTo            *launch.Generation
	PreviousUntil               time.Time
	Newest                      [3]SavedGeneration // that workers are of, or will be
}

// SavedGeneration tells a generation from another, and from itself before it was resolved.
type SavedGeneration struct {
	Number   int
	Is       *launch.Generation
	Resolved *launch.Recipe
}

// SavedKind is how an app is in the record.
type SavedKind uint8

const (
	NotSaved SavedKind = iota // there is nothing to adopt
	SavedRunning
	SavedAsEnded
)

// UnsavedSet is what the record is to have of the sockets; other: it is not what it has, or all is to be written.
func (s *Sockets) UnsavedSet(all bool) (set listen.Saved, other bool) {
	set = s.Save()
	if !all && s.saved != nil && slices.Equal(set.Admitted, s.saved.Admitted) {
		a, b := set, *s.saved
		a.Admitted, b.Admitted = nil, nil
		if reflect.DeepEqual(a, b) {
			return set, false
		}
	}
	s.saved = &set
	return set, true
}
