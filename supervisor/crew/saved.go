package crew

import (
	"github.com/tinehq/tine/supervisor/journal"
	"github.com/tinehq/tine/supervisor/succession"
)

func (m *Worker) Saved() succession.Member {
	saved := succession.Member{
		ID: m.ID, PID: m.PID(), Slot: m.Slot, Seat: -1, Generation: m.Generation,
		Ready: m.Talk.WasReady(), Greeted: m.Greeted, Left: m.Talk.HasLeft(), Drains: m.Talk.Drains(), Jitter: m.Jitter, Exit: m.Unjudged, Inner: m.Inner,
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
